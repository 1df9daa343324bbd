"""A first contract for an estimator, as TOML that its author looks through before it is published.

Bounds are left open, because the extremes of a sample are values of training rows; examples are invented.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count

from gatehouse.contracts.contract import FORMAT, ContractInvalid, parse_contract
from gatehouse.contracts.feature import NAME, RESERVED_NAMES, colliding, plain
from gatehouse.contracts.inference import Column
from gatehouse.contracts.output import DEFAULT_DECIMALS, MAX_LABEL_NAME, ClassValue
from gatehouse.contracts.toml_table import TomlTable

ROUND_NUMBERS = (1.5, 2.5, 0.5, 10.5, 100.5, 1000.5)
ROUND_INTEGERS = (1, 2, 3, 5, 10, 20, 50, 100, 1000)
HEAD = """\
# Draft: what partners may send and will get. Read every line before it is published.
# Bounds are open: the extremes of a sample are values of training rows, and partners read every line but the comments.
# Where you know what is possible, write minimum and maximum (or exclusive_minimum, exclusive_maximum) and unit.
# Examples are invented, never taken from rows: put round values of your own that look real.
"""


class DraftIncomplete(ValueError):
    """Something that only the author knows; the message is one line and says how to give it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One output of an estimator. `classes` is None for a regression; `names` are those of its classes, in order, or empty."""

    classes: tuple[ClassValue | float, ...] | None = None
    names: tuple[str, ...] = ()
    probabilities: bool = True
    target: str | None = None


def draft(model: str, api_version: str, columns: Sequence[Column], answers: Sequence[Answer]) -> str:
    """The TOML text; several answers make a multioutput, each with its target's name. Raises DraftIncomplete."""
    head = [f"{HEAD}format = {FORMAT}", f"model = {_toml(model)}", f"api_version = {_toml(api_version)}", ""]
    names = valid_names([column.name for column in columns])
    fields = chain.from_iterable(_field(column, name) for column, name in zip(columns, names, strict=True))
    text = "\n".join([*head, *fields, *_output(answers)]) + "\n"
    try:
        parse_contract(text.encode(), "draft")
    except ContractInvalid as error:
        raise DraftIncomplete(f"no contract can be drafted: {error.messages[0]}") from None
    return text


def valid_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names that a draft gives to columns or targets of these names."""
    taken: set[str] = set()
    return tuple(_valid_name(name, place, taken) for place, name in enumerate(names, 1))


def _field(column: Column, name: str) -> Iterator[str]:
    yield f"[{TomlTable({}, 'features', []).place_of(name)}]"
    if name != column.name:
        yield f"# the estimator's column {column.name!r}"
    if column.guessed:
        yield '# a guess, since there was no sample: "number", "integer", "boolean", "category" or "text"'
    elif column.type == "integer":
        yield '# every row of the sample had a whole number; "number" lets fractions in'
    yield f"type = {_toml(column.type)}"
    if column.allowed is not None:
        yield "# as found in the sample, and public: partners read this list. Add what is missing, remove what names a person"
        yield f"allowed = [{', '.join(map(_toml, column.allowed))}]"
    if column.nullable:
        yield "# the sample has empty cells; remove the line if callers must always send a value"
        yield "nullable = true"
    yield f"example = {_toml(_example(column))}"
    yield ""


def _example(column: Column) -> str | float | int | bool:
    """A value that is not one of the sample's; of categories and booleans every value is public."""
    if column.type == "boolean":
        return True
    if column.allowed is not None:
        return column.allowed[0]
    if column.type == "text":
        words = (f"a few words{number or ''}" for number in count())
        return next(text for text in words if text not in column.seen)
    seen = {float(cell) for cell in column.seen}
    if column.type == "integer":
        return next(whole for whole in chain(ROUND_INTEGERS, count(4)) if whole not in seen)
    return next(number for number in chain(ROUND_NUMBERS, (whole + 0.5 for whole in count(3))) if number not in seen)


def _output(answers: Sequence[Answer]) -> Iterator[str]:
    yield "[output]"
    if len(answers) == 1:
        yield from _answer(answers[0])
        return
    yield 'task = "multioutput"'
    taken: set[str] = set()
    for place, answer in enumerate(answers, 1):
        if answer.target is None:
            raise DraftIncomplete(f"the estimator answers {len(answers)} values at once: name them in its order with --targets price,rent")
        name = _valid_name(answer.target, place, taken)
        yield ""
        yield f"[{TomlTable({}, 'output.targets', []).place_of(name)}]"
        yield from _answer(answer)


def _answer(answer: Answer) -> Iterator[str]:
    if answer.classes is None:
        yield 'task = "regression"'
        yield '# unit = "EUR"'
    else:
        yield 'task = "classification"'
        yield "labels = ["
        names = _class_names(answer)
        yield from (f"  {{class = {_class(cls)}, name = {_toml(name)}}}," for cls, name in zip(answer.classes, names, strict=True))
        yield "]"
        returns = ["label", "confidence", "probabilities"] if answer.probabilities else ["label"]
        if not answer.probabilities:
            yield "# the estimator has no predict_proba, so that there is no confidence and no probability"
        yield f"returns = [{', '.join(map(_toml, returns))}]"
    yield f"decimals = {DEFAULT_DECIMALS}"


def _class_names(answer: Answer) -> tuple[str, ...]:
    """Given names, or the classes themselves where they are texts that can be names."""
    classes = answer.classes or ()
    shown = ", ".join(str(cls) if plain(str(cls)) else repr(cls) for cls in classes[:10]) + (", …" if len(classes) > 10 else "")
    of = f" of {answer.target}" if answer.target else ""
    if answer.names:
        if len(answer.names) != len(classes):
            raise DraftIncomplete(f"the classes{of} are {shown}: --labels must give {len(classes)} names, not {len(answer.names)}")
        return answer.names
    names = tuple(cls for cls in classes if isinstance(cls, str) and 0 < len(cls) <= MAX_LABEL_NAME and plain(cls))
    if len(names) != len(classes):
        wanted = "no,yes" if len(classes) == 2 else "low,middle,high" if len(classes) == 3 else "first,second,third,…"
        raise DraftIncomplete(f"the classes{of} are {shown}: say in this order what partners call them, with --labels {wanted}")
    return names


def _class(cls: ClassValue | float) -> str:
    if isinstance(cls, float):
        if not cls.is_integer():
            raise DraftIncomplete("a class of the estimator is a fraction; train it with whole numbers or texts as classes")
        return str(int(cls))
    return _toml(cls)


def _valid_name(name: str, place: int, taken: set[str]) -> str:
    """The name itself where a contract can have it, else the nearest that it can."""
    found = name
    if not NAME.fullmatch(found) or found in RESERVED_NAMES:
        plain_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
        found = re.sub(r"[^A-Za-z0-9]+", "_", plain_name).strip("_")[:50]
        found = found if NAME.fullmatch(found) and found not in RESERVED_NAMES else f"field_{found or place}"
    stem, again = found, 2
    while colliding(found) in taken:
        found, again = f"{stem[:58]}_{again}", again + 1
    taken.add(colliding(found))
    return found


def _toml(value: str | float | int | bool) -> str:
    """JSON's texts, numbers and booleans are TOML's too, but for the one control character that JSON leaves bare."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
