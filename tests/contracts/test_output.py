"""What an output may say: top k, several targets, and the answers that the schema then promises."""

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from gatehouse.contracts.contract import Contract, ContractInvalid, parse_contract
from gatehouse.contracts.decode import Decoder
from gatehouse.contracts.openapi import describe, request_schema, response_schema

HEAD = (Path(__file__).parent / "flowers.toml").read_text().partition("[output]")[0]
TOP = """
[output]
task = "classification"
labels = [{class = 0, name = "setosa"}, {class = 1, name = "versicolor"}, {class = 2, name = "virginica"}]
top_k = 2
"""
SEVERAL = """
[output]
task = "multioutput"
returns = ["sold", "rent per month"]
[output.targets."rent per month"]
task = "regression"
unit = "EUR"
decimals = 2
[output.targets.hidden]
task = "regression"
decimals = 6
[output.targets.sold]
task = "classification"
labels = [{class = 0, name = "no"}, {class = 1, name = "perhaps"}, {class = 2, name = "yes"}]
returns = ["label", "probabilities"]
top_k = 1
"""


def contract(output: str) -> Contract:
    return parse_contract((HEAD + output).encode(), "flowers.toml")


def takes(output: str, prediction: dict[str, Any]) -> bool:
    answer = {"model": "flowers", "model_version": "1.0.0", "api_version": "v1", "request_id": "r", "predictions": [prediction]}
    return bool(jsonschema_rs.Draft202012Validator(response_schema(contract(output))).is_valid(answer))


def test_top_k_bounds_the_probabilities_that_are_promised() -> None:
    output = contract(TOP).output
    assert (output.top_k, output.returns) == (2, ("label", "confidence", "probabilities"))
    assert takes(TOP, {"label": "setosa", "confidence": 0.6, "probabilities": {"setosa": 0.6, "virginica": 0.3}})
    assert not takes(TOP, {"probabilities": {"setosa": 0.6}})
    assert describe(contract(TOP))["output"]["top_k"] == 2


def test_targets_are_answered_by_name_and_the_others_are_kept_back() -> None:
    output = contract(SEVERAL).output
    assert (output.task, output.returns, output.decimals) == ("multioutput", ("sold", "rent per month"), 6)
    assert [target.name for target in output.targets] == ["rent per month", "hidden", "sold"]
    assert [target.output.task for target in output.targets] == ["regression", "regression", "classification"]
    assert takes(SEVERAL, {"sold": {"label": "no", "probabilities": {"no": 0.9}}, "rent per month": {"value": 812.5}})
    assert not takes(SEVERAL, {"sold": "no"})
    view = describe(contract(SEVERAL))["output"]
    assert (set(view), [target["name"] for target in view["targets"]]) == ({"task", "returns", "targets"}, ["rent per month", "sold"])
    assert "hidden" not in str(response_schema(contract(SEVERAL))) + str(view)


def test_outputs_narrow_the_answer_to_some_targets() -> None:
    body = b'{"instances": [{"sepal_length": 5, "sepal_width": 3, "petal_length": 1, "petal_width": 1}], "outputs": ["rent per month"]}'
    decoder = Decoder(contract(SEVERAL))
    assert decoder.decode(body, 1).outputs == decoder.decode_strictly(body, 1).outputs == ("rent per month",)
    assert request_schema(contract(SEVERAL))["oneOf"][0]["properties"]["outputs"]["items"] == {"enum": ["sold", "rent per month"]}


def test_all_targets_are_answered_unless_the_contract_says_otherwise() -> None:
    output = contract(SEVERAL.replace('returns = ["sold", "rent per month"]\n', "")).output
    assert output.returns == ("rent per month", "hidden", "sold")


@pytest.mark.parametrize(
    ("source", "old", "new", "expected"),
    [
        (TOP, "top_k = 2", "top_k = 3", "output.top_k must be at least 1 and less than the number of labels, 3"),
        (TOP, "top_k = 2", "top_k = 0", "output.top_k must be at least 1"),
        (TOP, "top_k = 2", "top_k = 2.0", "output.top_k must be a whole number"),
        (TOP, "top_k = 2", 'top_k = 2\nreturns = ["label"]', "output.top_k bounds the probabilities, which are not returned"),
        (TOP, "top_k = 2", "top_n = 2", "output.top_n is not known here; did you mean top_k?"),
        (TOP, "top_k = 2", "[output.targets.a]", "output.targets is not known here"),
        (SEVERAL, 'task = "multioutput"', 'task = "multi"', "output.task is not a known task; did you mean multioutput?"),
        (SEVERAL, 'task = "multioutput"', 'task = "multioutput"\ndecimals = 2', "output.decimals is not known here"),
        (SEVERAL, '"sold", ', '"gone", ', "output.returns must hold some of these"),
        (SEVERAL, "top_k = 1", "top_k = 3", "output.targets.sold.top_k must be"),
        (SEVERAL, 'unit = "EUR"', 'labels = "EUR"', 'output.targets."rent per month".labels is not known here'),
        (SEVERAL, "[output.targets.hidden]", "[output.targets.value]", "output.targets.value is no good name"),
        (SEVERAL, "[output.targets.hidden]", "[output.targets.Sold]", "output.targets.sold differs from the target Sold only by case"),
        (SEVERAL, '[output.targets.hidden]\ntask = "regression"', '[output.targets.hidden]\ntask = "multioutput"',
         "output.targets.hidden.task is not a known task"),
        (SEVERAL, "[output.targets.hidden]\n", "[output.targets.hidden]\nclass = 1\n", "output.targets.hidden.class is not known here"),
        (SEVERAL, SEVERAL, '[output]\ntask = "multioutput"', "output.targets is missing; write for example: [output.targets.price]"),
        (SEVERAL, SEVERAL, '[output]\ntask = "multioutput"\n[output.targets.a]\ntask = "regression"', "output.targets must hold 2 to 100"),
        (SEVERAL, SEVERAL, '[output]\ntask = "multioutput"\ntargets = {a = 1, b = 2}', "output.targets.a must be a table"),
    ],
)  # fmt: skip
def test_a_wrong_line_of_an_output_is_named_with_what_to_write(source: str, old: str, new: str, expected: str) -> None:
    assert old in source
    with pytest.raises(ContractInvalid) as raised:
        contract(source.replace(old, new, 1))
    assert expected in str(raised.value)
