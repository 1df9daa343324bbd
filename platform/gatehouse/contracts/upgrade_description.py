"""Upgrade rules as plain data, field by field, before and after: what a guide for partners is made from."""

from typing import Any

from gatehouse.contracts.cells import Cell, Fault, cell_check
from gatehouse.contracts.feature import Feature
from gatehouse.contracts.openapi import describe
from gatehouse.contracts.upgrade import Upgrade
from gatehouse.contracts.upgrade_fillings import Filling
from gatehouse.contracts.upgrade_listings import Mapped, Part
from gatehouse.contracts.upgrade_rules import Rule

Facts = dict[str, Any]


def describe_upgrade(upgrade: Upgrade) -> Facts:
    """Every field of the newer contract and where it comes from, every dropped one, and how answers go back (None: they do not)."""
    old = {view["name"]: view for view in describe(upgrade.old)["features"]}
    new = {view["name"]: view for view in describe(upgrade.new)["features"]}
    return {
        "model": upgrade.new.model,
        "from": upgrade.old.api_version,
        "to": upgrade.new.api_version,
        "fields": [
            _field(filling) | {"old": [old[name] for name in _names(filling)], "new": new[filling.target.name]}
            for filling in upgrade.fillings
        ],
        "dropped": [_dropped(rule) | {"old": old[rule.sources[0]]} for rule in upgrade.rules.rules if rule.operation == "drop"],
        "answers": None if upgrade.answers is None else upgrade.answers.describe(),
    }


def _field(filling: Filling) -> Facts:
    """`before` and `after` are examples; `after` is None where the older contract's own example cannot be upgraded.

    Of a split, `part` counts from 0, and there must be `parts`.
    """
    rule = filling.rule
    examples = [_example(source) for source in filling.sources]
    made = filling.cell(examples)
    return {
        "operation": _operation(filling),
        "sources": _names(filling),
        "target": filling.target.name,
        "says": _says(filling),
        "before": dict(zip(_names(filling), examples, strict=True)),
        "after": None if isinstance(made, Fault) else {filling.target.name: made},
        "partial": filling.partial,
        "note": None if rule is None else rule.note,
        **({} if rule is None else _settings(rule)),
        **({"part": filling.place, "parts": filling.parts} if isinstance(filling, Part) else {}),
    }


def _dropped(rule: Rule) -> Facts:
    return {"operation": "drop", "sources": list(rule.sources), "says": f"{_quoted(rule.sources[0])} is no longer taken", "note": rule.note}


def _settings(rule: Rule) -> Facts:
    """What the operation was told."""
    settings: dict[str, Facts] = {
        "scale": {"factor": rule.factor, "offset": rule.offset},
        "map": {"values": dict(rule.values)},
        "constant": {"value": rule.constant},
        "split": {"separator": rule.separator},
        "join": {"separator": rule.separator},
    }
    return settings.get(rule.operation, {}) | ({} if rule.if_null is None else {"if_null": rule.if_null})


def _operation(filling: Filling) -> str:
    """`default`: a new field that may be left out."""
    if filling.rule is not None:
        return filling.rule.operation
    return "keep" if filling.sources else "default"


def _says(filling: Filling) -> str:
    target, names = _quoted(filling.target.name), [_quoted(name) for name in _names(filling)]
    operation, rule = _operation(filling), filling.rule
    if operation == "keep":
        return f"{target} stays as it is"
    if rule is None:
        return f"{target} is new and may be left out; it is then {_quoted(filling.target.default)}"
    if operation == "rename":
        said = f"{names[0]} is now called {target}"
    elif operation == "constant":
        said = f"{target} is always {_quoted(rule.constant)}"
    elif operation == "scale":
        said = f"{target}{_unit(filling.target.unit)} is {names[0]}{_unit(filling.sources[0].unit)}{_arithmetic(rule)}"
    elif isinstance(filling, Mapped):
        said = f"{target} comes from {names[0]}: " + ", ".join(f'"{key}" becomes {_quoted(value)}' for key, value in rule.values)
    elif isinstance(filling, Part):
        said = f"{target} is part {filling.place + 1} of {names[0]}, split at {_quoted(rule.separator)}"
    else:
        said = f"{target} is {' and '.join(names)}, with {_quoted(rule.separator)} between them"
    return said if rule.if_null is None else f"{said}; where that is null, {_quoted(rule.if_null)}"


def _arithmetic(rule: Rule) -> str:
    factor = f" × {_short(rule.factor)}" if rule.factor != 1 else ""
    return factor + (f" {'+' if rule.offset > 0 else '−'} {_short(abs(rule.offset))}" if rule.offset else "")


def _short(number: float | int) -> str:
    """As people read it: 5/9 is 0.555555555556."""
    return str(number) if isinstance(number, int) else f"{number:.12g}"


def _unit(unit: str | None) -> str:
    return f" ({unit})" if unit else ""


def _names(filling: Filling) -> list[str]:
    return [source.name for source in filling.sources]


def _quoted(value: Cell) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f'"{value}"' if isinstance(value, str) else str(value)


def _example(feature: Feature) -> Cell:
    """As a row holds it: an integer's 5.0 is 5."""
    checked = cell_check(feature)(feature.example)
    return feature.example if isinstance(checked, Fault) else checked
