"""What a contract file may say, and what its author is told when it says something else."""

import hashlib
from pathlib import Path

import pytest

from gatehouse.contracts.contract import Contract, ContractInvalid, parse_contract

GOOD = (Path(__file__).parent / "flowers.toml").read_text()
NUMBER = '[features.sepal_width]\ntype = "number"\nunit = "cm"\nminimum = 0.1\nmaximum = 15\nexample = 3.6\n'


def with_feature(lines: str) -> str:
    assert NUMBER in GOOD
    return GOOD.replace(NUMBER, f"[features.sepal_width]\n{lines}\n")


def complaints(source: str) -> str:
    with pytest.raises(ContractInvalid) as raised:
        parse_contract(source.encode(), "bad.toml")
    assert all(str(raised.value).splitlines())
    return str(raised.value)


def test_contract_holds_what_the_file_says(flowers: Contract) -> None:
    assert (flowers.model, flowers.api_version, flowers.names) == (
        "flowers",
        "v1",
        ("sepal_length", "sepal_width", "petal_length", "petal_width"),
    )
    assert flowers.digest == hashlib.sha256(GOOD.encode()).hexdigest()
    first = flowers.features[0]
    assert (first.type, first.unit, first.minimum, first.maximum, first.example, first.required) == ("number", "cm", 0.1, 15, 5.2, True)
    assert [(label.cls, label.name) for label in flowers.output.labels] == [(0, "setosa"), (1, "versicolor"), (2, "virginica")]
    assert flowers.numeric


def test_defaults_are_filled_in(visits: Contract) -> None:
    assert visits.output.returns == ("value",)
    assert [feature.required for feature in visits.features] == [True, False, True, False, False]
    assert not visits.numeric


def test_every_number_is_bounded_so_that_float32_stays_finite_and_integers_exact(sensors: Contract) -> None:
    temperature, count = sensors.features[:2]
    assert (temperature.lowest, temperature.highest) == ((-3.4028234663852886e38, False), (3.4028234663852886e38, False))
    assert (count.lowest, count.highest) == ((-(2**53), False), (2**53, False))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("format = 1", "", "format is missing; write for example: format = 1"),
        ("format = 1", "format = 2", "format must be 1"),
        ("format = 1", "format = true", "format must be a whole number"),
        ('model = "flowers"', 'model = "Flowers"', "model must be a small letter"),
        ('model = "flowers"', 'modle = "flowers"', "modle is not known here; did you mean model?"),
        ('api_version = "v1"', 'api_version = "v0"', "api_version must be v1 to v999"),
        ('api_version = "v1"', 'api_version = "1"', "api_version must be v1 to v999"),
        ("[features.petal_width]", '[features.""]', "is no good name"),
        ("[features.petal_width]", '[features."petal/width"]', "is no good name"),
        ("[features.petal_width]", "[features.instances]", "is no good name"),
        ("[features.petal_width]", "[features.Petal-Length]", "differs from features.petal_length only by case"),
        ('task = "classification"', 'task = "classify"', "output.task is not a known task; did you mean classification?"),
        ('task = "classification"', "", "output.task is missing"),
        ("decimals = 4", "decimals = 11", "output.decimals must be 0 to 10"),
        ("decimals = 4", "decimals = 4.0", "output.decimals must be a whole number"),
        ("decimals = 4", 'unit = "cm"', "output.unit is not known here"),
        ('"confidence", ', '"value", ', "output.returns must hold some of these"),
        ('"confidence", ', '"label", ', "output.returns must hold some of these"),
        ('returns = ["label", "confidence", "probabilities"]', "returns = []", "output.returns must hold some of these"),
        ('{class = 1, name = "versicolor"}', '{class = 0, name = "versicolor"}', "output.labels must have different classes"),
        ('{class = 1, name = "versicolor"}', '{class = 1, name = "setosa"}', "output.labels must have different names"),
        ('{class = 1, name = "versicolor"}', '{class = true, name = "versicolor"}', "output.labels must have classes of one type"),
        ('{class = 1, name = "versicolor"}', '{class = 1.5, name = "versicolor"}', "output.labels[1] has a class"),
        ('{class = 1, name = "versicolor"}', '{class = 1, label = "versicolor"}', "output.labels[1] must have exactly class and name"),
        ('{class = 1, name = "versicolor"}', '{class = 1, name = ""}', "output.labels[1] needs a name"),
    ],
)
def test_a_wrong_line_is_named_with_what_to_write(old: str, new: str, expected: str) -> None:
    assert old in GOOD
    assert expected in complaints(GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("example = 1", "features.sepal_width.type is missing"),
        ('type = "float"\nexample = 1', "features.sepal_width.type is not a known type"),
        ('type = "number"', "features.sepal_width.example is missing"),
        ('type = "number"\nexample = "1"', "example does not fit its own field: it must be a number, not a string"),
        ('type = "number"\nexample = 1979-05-27', "example does not fit its own field"),
        ('type = "number"\nminimum = 2\nexample = 1', "example does not fit its own field: it must be at least 2"),
        ('type = "number"\nminimum = 2\nmaximum = 2\nexample = 2', "minimum must be smaller than the maximum"),
        ('type = "number"\nminimum = nan\nexample = 2', "minimum must be a finite number"),
        ('type = "number"\nmaximum = 1e39\nexample = 2', "maximum is beyond what a model can be given"),
        ('type = "number"\nexample = 1e39', "must be within"),
        ('type = "integer"\nmaximum = 9007199254740993\nexample = 2', "maximum is beyond what a model can be given"),
        ('type = "integer"\nmaximum = 2.5\nexample = 2', "maximum must be a whole number"),
        ('type = "number"\nminimum = 1\nexclusive_minimum = 1\nexample = 2', "minimum stands beside exclusive_minimum"),
        ('type = "number"\nminumum = 1\nexample = 2', "features.sepal_width.minumum is not known here; did you mean minimum?"),
        ('type = "boolean"\nminimum = 1\nexample = true', "features.sepal_width.minimum is not known here"),
        ('type = "boolean"\nexample = 1', "it must be true or false, not a number"),
        ('type = "category"\nexample = "a"', "allowed is missing"),
        ('type = "category"\nallowed = ["a", "a"]\nexample = "a"', "allowed must hold 1 to"),
        ('type = "category"\nallowed = []\nexample = "a"', "allowed must hold 1 to"),
        ('type = "category"\nallowed = ["a", 1]\nexample = "a"', "allowed must hold texts"),
        ('type = "category"\nallowed = ["a"]\nexample = "A"', 'must be exactly "a"'),
        ('type = "text"\nmax_length = 0\nexample = "a"', "max_length must be 1 to"),
        ('type = "text"\nmax_length = 2\nexample = "abc"', "it must be at most 2 characters"),
        ('type = "number"\ndefault = 1\nexample = 1', "default is never used"),
        ('type = "number"\nrequired = false\nexample = 1', "required is false, so the field may be missing"),
        ('type = "number"\nrequired = false\nmaximum = 3\ndefault = 4\nexample = 1', "default does not fit its own field"),
        ('type = "number"\nnullable = "yes"\nexample = 1', "nullable must be true or false"),
        ('type = "number"\nunit = ""\nexample = 1', "unit must be 1 to 40 characters"),
    ],
)
def test_a_wrong_field_is_named_with_what_to_write(lines: str, expected: str) -> None:
    assert expected in complaints(with_feature(lines))


def test_all_complaints_come_at_once() -> None:
    text = complaints(
        GOOD.replace("format = 1", "format = 9").replace("decimals = 4", "decimals = 99").replace("minimum = 0.1", "minimum = 99")
    )
    assert len(text.splitlines()) >= 6


def test_a_byte_order_mark_is_named() -> None:
    with pytest.raises(ContractInvalid, match="starts with a byte-order mark; save it as UTF-8 without one"):
        parse_contract(b"\xef\xbb\xbf" + GOOD.encode(), "odd.toml")


@pytest.mark.parametrize(
    "source", [b"", b"format =", b"\xff", b"a = " + b"[" * 5000, b"a = " + b"9" * 5000, b"features = 1", b"[features]"]
)
def test_a_file_that_is_no_contract_is_refused_with_its_name(source: bytes) -> None:
    with pytest.raises(ContractInvalid, match=r"odd\.toml: "):
        parse_contract(source, "odd.toml")
