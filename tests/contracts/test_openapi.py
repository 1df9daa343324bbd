"""The JSON Schemas say what the decoder does, and the partner's view says no more than it may."""

import json
from typing import Any

import jsonschema_rs
import pytest

from gatehouse.contracts.contract import Contract
from gatehouse.contracts.decode import Decoder
from gatehouse.contracts.openapi import describe, example_columns_request, example_request, request_schema, response_schema
from gatehouse.errors import Problem

NAMES = ("flowers", "visits", "sensors")


@pytest.fixture(params=NAMES)
def contract(request: pytest.FixtureRequest) -> Contract:
    found: Contract = request.getfixturevalue(request.param)
    return found


def accepted(schema: dict[str, Any], body: object) -> bool:
    return bool(jsonschema_rs.Draft202012Validator(schema).is_valid(body))


def test_schemas_are_json_schema_2020_12(contract: Contract) -> None:
    for schema in (request_schema(contract), response_schema(contract)):
        assert jsonschema_rs.meta.is_valid(schema | {"$schema": "https://json-schema.org/draft/2020-12/schema"})
        json.dumps(schema, allow_nan=False)


def test_examples_are_valid_by_schema_and_by_decoder_as_they_stand(contract: Contract) -> None:
    for body in (example_request(contract), example_columns_request(contract)):
        assert accepted(request_schema(contract), body)
        assert Decoder(contract).decode(json.dumps(body).encode(), 1).rows == 1


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("flowers", {"sepal_width": 16}),
        ("flowers", {"sepal_width": "3"}),
        ("flowers", {"sepal_width": True}),
        ("flowers", {"sepal_width": None}),
        ("flowers", {"sepal_wide": 3}),
        ("visits", {"spend": -100}),
        ("visits", {"children": 5.5}),
        ("visits", {"children": 21}),
        ("visits", {"member": 1}),
        ("visits", {"colour": "Red"}),
        ("visits", {"note": "thirteen char"}),
        ("visits", {"note": "a\0b"}),
        ("sensors", {"count": 2**53 + 1}),
        ("sensors", {"pressure": 2000}),
        ("sensors", {"temperature": 1e39}),
    ],
)
def test_schema_and_decoder_refuse_the_same_rows(request: pytest.FixtureRequest, name: str, change: dict[str, Any]) -> None:
    contract: Contract = request.getfixturevalue(name)
    body = example_request(contract)
    body["instances"][0] |= change
    assert not accepted(request_schema(contract), body)
    with pytest.raises(Problem):
        Decoder(contract).decode(json.dumps(body).encode(), 1)


@pytest.mark.parametrize(
    ("name", "change"),
    [("visits", {"children": 5.0, "spend": None, "note": None}), ("sensors", {"temperature": None, "pressure": None, "count": -(2**53)})],
)
def test_schema_and_decoder_take_the_same_rows(request: pytest.FixtureRequest, name: str, change: dict[str, Any]) -> None:
    contract: Contract = request.getfixturevalue(name)
    body = example_request(contract)
    body["instances"][0] |= change
    assert accepted(request_schema(contract), body)
    assert Decoder(contract).decode(json.dumps(body).encode(), 1).rows == 1


def test_row_67_schemas_of_requests_are_closed_at_each_level(contract: Contract) -> None:
    schema = request_schema(contract)
    for body in (example_request(contract), example_columns_request(contract)):
        assert not accepted(schema, body | {"extra": 1})
    missing = example_columns_request(contract)
    missing["columns"] = missing["columns"][1:]
    assert not accepted(schema, missing)


def test_schemas_carry_unit_range_description_and_example(visits: Contract) -> None:
    fields = request_schema(visits)["oneOf"][0]["properties"]["instances"]["items"]["properties"]
    assert fields["spend"] == {
        "type": ["number", "null"],
        "exclusiveMinimum": -100,
        "maximum": 3.4028234663852886e38,
        "description": "Unit: EUR.",
        "x-unit": "EUR",
        "examples": [12.5],
    }
    assert fields["note"]["description"] == "What the visitor said"
    assert fields["children"]["default"] == 2


def test_answers_fit_the_response_schema(flowers: Contract, visits: Contract) -> None:
    answer: dict[str, Any] = {"model": "flowers", "model_version": "1.0.0", "api_version": "v1", "request_id": "r"}
    row = {"label": "setosa", "confidence": 0.98, "probabilities": {"setosa": 0.98, "versicolor": 0.02, "virginica": 0.0}}
    assert accepted(response_schema(flowers), answer | {"predictions": [row]})
    assert accepted(
        response_schema(flowers), answer | {"predictions": [{"label": "setosa"}], "notices": [{"code": "c", "detail": "d", "link": "l"}]}
    )
    assert not accepted(response_schema(flowers), answer | {"predictions": [row | {"label": "rose"}]})
    assert not accepted(response_schema(flowers), answer | {"predictions": []})
    assert accepted(response_schema(visits), answer | {"model": "visits", "api_version": "v2", "predictions": [{"value": 1.25}]})


def test_the_partners_view_is_a_fixed_list_of_facts(contract: Contract) -> None:
    view = describe(contract)
    assert set(view) == {"features", "output"}
    allowed = {"name", "type", "unit", "minimum", "maximum", "exclusive_minimum", "exclusive_maximum", "allowed", "max_length"}
    allowed |= {"required", "nullable", "default", "description", "example"}
    assert all(set(feature) <= allowed for feature in view["features"])
    assert set(view["output"]) <= {"task", "labels", "returns", "decimals", "unit"}
    assert contract.digest not in json.dumps(view)


def test_the_partners_view_names_labels_without_classes(sensors: Contract) -> None:
    assert describe(sensors)["output"] == {
        "task": "classification",
        "labels": ["fine", "broken"],
        "returns": ["label", "confidence"],
        "decimals": 4,
    }
