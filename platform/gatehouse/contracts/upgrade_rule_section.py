"""Reads one upgrade rule of a contract file, and holds it against the contract that it stands in."""

from collections.abc import Mapping, Sequence
from typing import Any

from gatehouse.contracts.cells import SENT_AS, Fault, cell_check
from gatehouse.contracts.feature import FLOAT32_MAX, MAX_DESCRIPTION, Feature, Value, plain
from gatehouse.contracts.names import suggestion
from gatehouse.contracts.toml_table import TomlTable
from gatehouse.contracts.upgrade_rules import EXAMPLES, MEMBERS_OF, Rule

MAX_SEPARATOR = 16


class RuleReader:
    """Reads rule by rule, and remembers which rule fills which field."""

    def __init__(self, features: Mapping[str, Feature], complaints: list[str]) -> None:
        self._features = features
        self._complaints = complaints
        self._filled: dict[str, str] = {}

    def rule(self, entry: Any, place: str) -> Rule | None:
        """The rule, None after a complaint."""
        if type(entry) is not dict:
            self._complaints.append(f"{place} must be a table; write for example: {EXAMPLES['rename']}")
            return None
        operations = [key for key in entry if key in MEMBERS_OF]
        if len(operations) != 1:
            self._complaints.append(f"{place} {_no_operation(entry, operations)}")
            return None
        before = len(self._complaints)
        rule = self._read(operations[0], TomlTable(entry, place, self._complaints), place)
        return rule if len(self._complaints) == before else None

    def _read(self, operation: str, table: TomlTable, place: str) -> Rule:
        table.refuse_unknown((operation, *MEMBERS_OF[operation]))
        sources = _sources(operation, table)
        targets = self._targets(operation, table, sources)
        return Rule(
            operation=operation,  # type: ignore[arg-type]  # a key of MEMBERS_OF, seen by the caller
            place=place,
            sources=sources,
            targets=targets,
            factor=_factor(table) if operation == "scale" else 1,
            offset=scale_number(table, "offset", 0),
            values=self._values(table, targets) if operation == "map" else (),
            separator=_separator(table) if operation in ("split", "join") else "",
            constant=self._fitting(table, "constant", targets) if operation == "constant" else None,
            if_null=self._fitting(table, "if_null", targets),
            partial=bool(table.take("partial", bool, example="partial = true")),
            note=note(table),
        )

    def _targets(self, operation: str, table: TomlTable, sources: tuple[str, ...]) -> tuple[str, ...]:
        """Fields of this contract, each filled by no other rule; scale and map may leave the name as it is."""
        if operation == "drop":
            return ()
        if operation == "split":
            names = _names(table, "to", EXAMPLES["split"], "the fields of its parts")
        elif operation == "keep" or (operation in ("scale", "map") and not table.has("to")):
            names = sources
        else:
            name = table.take("to", str, example=EXAMPLES[operation], required=True)
            names = () if name is None else (name,)
        key = "to" if table.has("to") else operation
        for name in names:
            self._fill(table, key, name)
        return names

    def _fill(self, table: TomlTable, key: str, name: str) -> None:
        if name not in self._features:
            table.complain(key, f"names {name}, which is no field of this contract; {suggestion(name, self._features)}")
            return
        other = self._filled.setdefault(name, table.place_of(""))
        if other != table.place_of(""):
            table.complain(key, f"names {name}, which {other} fills already; keep one of the two rules")

    def _fitting(self, table: TomlTable, key: str, targets: tuple[str, ...]) -> Value | None:
        """A value that the field takes, as the field holds it."""
        if not table.has(key):
            return None
        return self._fitted(table, key, table.raw(key), targets)

    def _fitted(self, table: TomlTable, key: str, value: Any, targets: tuple[str, ...]) -> Value | None:
        feature = self._features.get(targets[0]) if targets else None
        if feature is None:
            return None  # complained of already
        checked = cell_check(feature)(value) if type(value) in SENT_AS else Fault("wrong_type", "must be a number, a text or true/false")
        if isinstance(checked, Fault):
            table.complain(key, f"does not fit features.{feature.name}: it {checked.detail}")
            return None
        return checked

    def _values(self, table: TomlTable, targets: tuple[str, ...]) -> tuple[tuple[str, Value], ...]:
        written = table.take("values", dict, example=EXAMPLES["map"], required=True) or {}
        if not written and table.has("values"):
            table.complain("values", f"must hold at least one value; write for example: {EXAMPLES['map']}")
        of_value = TomlTable(written, table.place_of("values"), self._complaints)
        found = {key: self._fitted(of_value, key, value, targets) for key, value in written.items()}
        return tuple((key, value) for key, value in found.items() if value is not None)


def note(table: TomlTable) -> str | None:
    """What the author tells partners of a rule."""
    text = table.take("note", str, example='note = "Lengths are in millimetres now"')
    if text is not None and not (0 < len(text) <= MAX_DESCRIPTION and plain(text)):
        table.complain("note", f"must be 1 to {MAX_DESCRIPTION} characters in one line")
    return text


def scale_number(table: TomlTable, key: str, otherwise: int) -> float | int:
    """A finite number that a model's values can be multiplied with or moved by."""
    number = table.number(key, whole=False)
    if number is not None and abs(number) > FLOAT32_MAX:
        table.complain(key, f"is beyond what a model can be given; write at most {FLOAT32_MAX} in magnitude")
    return otherwise if number is None else number


def _no_operation(entry: Mapping[str, Any], operations: Sequence[str]) -> str:
    if operations:
        return f"has several operations, {' and '.join(operations)}; write one rule for each"
    unknown = next((key for key in entry if not any(key in members for members in MEMBERS_OF.values())), "")
    hint = suggestion(unknown, MEMBERS_OF) if unknown else f"known are {', '.join(MEMBERS_OF)}"
    return f"has no operation; {hint}"


def _sources(operation: str, table: TomlTable) -> tuple[str, ...]:
    if operation == "constant":
        return ()
    if operation == "join":
        return _names(table, "join", EXAMPLES["join"], "the fields to join")
    name = table.take(operation, str, example=EXAMPLES[operation], required=True)
    return () if name is None else (name,)


def _names(table: TomlTable, key: str, example: str, what: str) -> tuple[str, ...]:
    written = table.take(key, list, example=example, required=True)
    if written is None:
        return ()
    if len(written) < 2 or any(type(name) is not str for name in written) or len(set(written)) != len(written):
        table.complain(key, f"must name {what}, at least two and each once; write for example: {example}")
        return ()
    return tuple(written)


def _factor(table: TomlTable) -> float | int:
    if not table.has("factor") and not table.has("offset"):
        table.complain("factor", f"is missing, and so is offset; write for example: {EXAMPLES['scale']}")
    factor = scale_number(table, "factor", 1)
    if factor == 0:
        table.complain("factor", "must not be 0, which would make all values one; a value that is always the same is {constant = …}")
    return factor


def _separator(table: TomlTable) -> str:
    text = table.take("separator", str, example='separator = "/"', required=True)
    if text is not None and not (0 < len(text) <= MAX_SEPARATOR and plain(text)):
        table.complain("separator", f"must be 1 to {MAX_SEPARATOR} characters without control characters")
    return text or ""
