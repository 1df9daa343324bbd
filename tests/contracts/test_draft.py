"""A draft is a contract as it stands, and holds nothing of a sample's rows but the names of categories."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse.contracts.contract import Contract, parse_contract
from gatehouse.contracts.draft import Answer, DraftIncomplete, draft
from gatehouse.contracts.inference import Column, ColumnUnclear, infer_column, unseen_column

REGRESSION = [Answer()]


def drafted(columns: list[Column], answers: list[Answer] = REGRESSION) -> Contract:
    return parse_contract(draft("shop", "v1", columns, answers).encode(), "draft")


@pytest.mark.parametrize(
    ("cells", "type_", "nullable"),
    [
        (["1", "2", "-7"], "integer", False),
        (["1", "", "3"], "integer", True),
        (["1", "2.0"], "number", False),
        (["1e5", "-0.25"], "number", False),
        (["9007199254740993"], "number", False),
        (["007", "008", "009", "010"], "text", False),
        (["1_000", "2_000", "3_000", "4_000"], "text", False),
        (["True", "False", ""], "boolean", True),
        (["true"], "boolean", False),
        (["red", "green", "red", "red"], "category", False),
        (["yes", "no"], "category", False),
        (["a long tale", "another one", "and a third"], "text", False),
        (["٣", "٤", "٥"], "text", False),
    ],
)
def test_the_type_of_a_column_is_read_off_its_cells(cells: list[str], type_: str, nullable: bool) -> None:
    column = infer_column("x", cells)
    assert (column.type, column.nullable) == (type_, nullable)
    assert drafted([column]).features[0].type == type_


@pytest.mark.parametrize("word", ["NaN", "nan", "NA", "null", "None", "inf"])
def test_numbers_beside_a_word_for_missing_are_asked_about(word: str) -> None:
    with pytest.raises(ColumnUnclear, match=f"column 'x' holds numbers or true/false, and {word}; leave the cell empty"):
        infer_column("x", ["1", word, "2.5"])
    with pytest.raises(ColumnUnclear, match="is empty in every row"):
        infer_column("x", ["", ""])


def test_categories_are_those_of_the_sample_and_the_draft_says_that_they_are_public() -> None:
    column = infer_column("plan", ["pro", "free"] * 5)
    assert drafted([column]).features[0].allowed == ("free", "pro")
    assert "public: partners read this list" in draft("shop", "v1", [column], REGRESSION)


NUMBERS = st.lists(st.integers(-1000, 1000).map(str) | st.floats(-1e6, 1e6).map(repr), min_size=1, max_size=40)


@settings(max_examples=150, deadline=None)
@given(NUMBERS)
def test_no_number_of_the_sample_stands_in_a_draft(cells: list[str]) -> None:
    text = draft("shop", "v1", [infer_column("x", cells)], REGRESSION)
    feature = parse_contract(text.encode(), "draft").features[0]
    bounds = (feature.minimum, feature.maximum, feature.exclusive_minimum, feature.exclusive_maximum, feature.default)
    assert bounds == (None,) * 5
    assert float(feature.example) not in {float(cell) for cell in cells}
    written = {float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text.partition("[features.x]")[2].partition("[output]")[0])}
    assert written == {float(feature.example)}


def test_no_text_of_the_sample_stands_in_a_draft() -> None:
    texts = ["a few words", "a few words1", "what Ann said", "what Bob said"]
    text = draft("shop", "v1", [infer_column("note", texts)], REGRESSION)
    assert 'example = "a few words2"' in text
    assert "Ann" not in text


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=70), min_size=1, max_size=6, unique=True))
def test_any_names_of_columns_become_a_valid_contract_in_their_order(names: list[str]) -> None:
    contract = drafted([unseen_column(name) for name in names])
    assert len(contract.features) == len(names)


def test_names_that_a_contract_can_have_stay_and_others_are_said() -> None:
    text = draft("shop", "v1", [unseen_column(name) for name in ("sepal length (cm)", "länge", "länge?", "1", "data")], REGRESSION)
    assert parse_contract(text.encode(), "draft").names == ("sepal length (cm)", "lange", "lange_2", "field_1", "field_data")
    assert "# the estimator's column 'länge?'" in text


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([Answer((0, 1))], "the classes are 0, 1: say in this order what partners call them, with --labels no,yes"),
        ([Answer((0, 1, 2))], "the classes are 0, 1, 2: say in this order what partners call them, with --labels low,middle,high"),
        ([Answer((1, 2, 3, 4))], "--labels first,second,third,…"),
        ([Answer((False, True))], "the classes are False, True: say"),
        ([Answer(("a", ""))], "--labels no,yes"),
        ([Answer(("a\n", "b"))], "--labels no,yes"),
        ([Answer((0, 1), ("no",))], "the classes are 0, 1: --labels must give 2 names, not 1"),
        ([Answer((0.5, 1.5), ("no", "yes"))], "a class of the estimator is a fraction"),
        ([Answer(), Answer()], "the estimator answers 2 values at once: name them in its order with --targets price,rent"),
        ([Answer((0, 1), ("same", "same"))], "no contract can be drafted: output.labels must have different names"),
    ],
)
def test_what_only_the_author_knows_is_asked_for(answers: list[Answer], expected: str) -> None:
    with pytest.raises(DraftIncomplete) as raised:
        drafted([unseen_column("x")], answers)
    assert expected in str(raised.value)
    assert "\n" not in str(raised.value)


def test_classes_keep_their_values_and_get_names() -> None:
    pairs = [
        (Answer(("yes", "no")), [("yes", "yes"), ("no", "no")]),
        (Answer((1.0, 2.0), ("one", "two")), [(1, "one"), (2, "two")]),
        (Answer((False, True), ("no", "yes")), [(False, "no"), (True, "yes")]),
        (Answer(('a "quoted" \\ name',)), [('a "quoted" \\ name',) * 2]),
    ]
    for answer, labels in pairs:
        found = drafted([unseen_column("x")], [answer]).output.labels
        assert [(label.cls, label.name) for label in found] == labels
        assert all(type(label.cls) is type(cls) for label, (cls, _) in zip(found, labels, strict=True))


def test_an_estimator_without_probabilities_promises_none() -> None:
    assert drafted([unseen_column("x")], [Answer(("a", "b"), probabilities=False)]).output.returns == ("label",)


def test_several_outputs_become_targets() -> None:
    output = drafted([unseen_column("x")], [Answer(target="price"), Answer(("a", "b"), target="länge")]).output
    assert [(target.name, target.output.task) for target in output.targets] == [("price", "regression"), ("lange", "classification")]


@pytest.mark.parametrize("cells", [["true", "false"], ["1", "2", "2"], ["007"], ["x", "y"]])
def test_texts_that_the_estimator_knows_as_categories_stay_texts(cells: list[str]) -> None:
    column = infer_column("x", [*cells, ""], known=frozenset({*cells, "another"}))
    assert (column.type, column.allowed, column.nullable) == ("category", tuple(sorted(set(cells))), True)
    assert infer_column("x", [*cells, "3"], known=frozenset(cells)).type != "category" or cells[0] in ("x", "007")
