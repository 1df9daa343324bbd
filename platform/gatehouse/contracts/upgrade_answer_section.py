"""Reads how answers go back, `[upgrade.from.v1.answer]` of a contract file."""

from typing import Any

from gatehouse.contracts.toml_table import TomlTable
from gatehouse.contracts.upgrade_rule_section import note, scale_number
from gatehouse.contracts.upgrade_rules import AnswerRule

MEMBERS = ("from", "labels", "merged", "never", "factor", "offset", "note")
LABELS_LINE = 'labels = {"new name" = "old name"}'


def read_answers(table: TomlTable, complaints: list[str]) -> tuple[AnswerRule, ...]:
    """One rule, or with `targets` one for each target of the older contract that is written there."""
    targets = table.take("targets", dict, example="[upgrade.from.v1.answer.targets.rent]")
    if targets is None:
        table.refuse_unknown((*MEMBERS, "targets"))
        return (_answer(table, complaints, None),)
    table.refuse_unknown(("targets",))
    of_target = TomlTable(targets, table.place_of("targets"), complaints)
    found: list[AnswerRule] = []
    for name, values in targets.items():
        place = of_target.place_of(name)
        if type(values) is not dict:
            complaints.append(f"{place} must be a table; write [{place}] and its lines below")
            continue
        one = TomlTable(values, place, complaints)
        one.refuse_unknown(MEMBERS)
        found.append(_answer(one, complaints, name))
    return tuple(found)


def _answer(table: TomlTable, complaints: list[str], target: str | None) -> AnswerRule:
    factor = scale_number(table, "factor", 1)
    if factor == 0:
        table.complain("factor", "must not be 0, which would make all answers one")
    return AnswerRule(
        place=table.place_of(""),
        target=target,
        source=table.take("from", str, example='from = "rent"'),
        labels=_labels(table, complaints),
        merged=_names(table, "merged"),
        never=_names(table, "never"),
        factor=factor,
        offset=scale_number(table, "offset", 0),
        scaled=table.has("factor") or table.has("offset"),
        note=note(table),
    )


def _labels(table: TomlTable, complaints: list[str]) -> tuple[tuple[str, str], ...]:
    written: dict[str, Any] = table.take("labels", dict, example=LABELS_LINE) or {}
    names = TomlTable(written, table.place_of("labels"), complaints)
    taken = {name: names.take(name, str, example=LABELS_LINE, required=True) for name in written}
    return tuple((name, old) for name, old in taken.items() if old is not None)


def _names(table: TomlTable, key: str) -> tuple[str, ...]:
    line = f'{key} = ["a label of the older contract"]'
    written = table.take(key, list, example=line)
    if written is None:
        return ()
    if not written or any(type(name) is not str for name in written) or len(set(written)) != len(written):
        table.complain(key, f"must hold labels, each once: {line}")
        return ()
    return tuple(written)
