"""All that a guide for partners is made from, as plain data: what the rules do, which rows do not move, and a body before and after."""

from collections.abc import Iterator, Sequence
from typing import Any

from gatehouse.contracts.cells import Cell, Fault, cell_check
from gatehouse.contracts.drawing import draw_cells
from gatehouse.contracts.feature import Feature
from gatehouse.contracts.openapi import describe
from gatehouse.contracts.upgrade import Upgrade, cells_from
from gatehouse.contracts.upgrade_description import Facts, describe_upgrade
from gatehouse.contracts.upgrade_fillings import FAILURES
from gatehouse.contracts.upgrade_proof import SEED, exact_gaps

DIGITS = 12
"""Of an example: 4.35 × 100 is 435, not 434.99999999999994."""
TRIED = 100
MOST_WHOLE = 10**15


def guide_facts(upgrade: Upgrade) -> Facts:
    """`describe_upgrade`, and `gaps`, their `codes`, `output` (old, new), and `examples`: old and new body, or None where no row moves."""
    facts = describe_upgrade(upgrade)
    for field in facts["fields"]:
        field["before"] = _all_shown(upgrade.old.features, field["before"])
        field["after"] = field["after"] and _all_shown(upgrade.new.features, field["after"])
    gaps = [
        {"sources": list(gap.sources), "target": gap.target, "code": gap.code, "values": gap.values, "detail": gap.detail}
        for gap in exact_gaps(upgrade)  # they were tried on drawn rows when they were published
    ]
    output = {"old": describe(upgrade.old)["output"], "new": describe(upgrade.new)["output"]}
    return facts | {"gaps": gaps, "codes": dict(FAILURES), "output": output, "examples": _examples(upgrade)}


def _examples(upgrade: Upgrade) -> dict[str, Any] | None:
    for old, cells in _rows(upgrade):
        made, failures = upgrade.row(cells)
        if not failures:
            return {"old": {"instances": [old]}, "new": {"instances": [_all_shown(upgrade.new.features, upgrade.record(made))]}}
    return None


def _rows(upgrade: Upgrade) -> Iterator[tuple[dict[str, Cell], Sequence[Cell]]]:
    """The older contract's own example first; where its rules do not take that, rows that are drawn."""
    example: dict[str, Cell] = {feature.name: feature.example for feature in upgrade.old.features}
    yield example, [_checked(feature, cell) for feature, cell in zip(upgrade.old.features, cells_from(upgrade.old, example), strict=True)]
    for cells in draw_cells(upgrade.old.features, TRIED, SEED):
        yield dict(zip(upgrade.old.names, cells, strict=True)), cells


def _checked(feature: Feature, cell: Cell) -> Cell:
    """As decoding delivers it; an example always fits."""
    checked = cell_check(feature)(cell)
    return cell if isinstance(checked, Fault) else checked


def _all_shown(features: Sequence[Feature], record: dict[str, Cell]) -> dict[str, Cell]:
    of_name = {feature.name: feature for feature in features}
    return {name: _shown(of_name[name], cell) for name, cell in record.items()}


def _shown(feature: Feature, cell: Cell) -> Cell:
    """Without the noise of doubles, where the contract still takes it."""
    if not isinstance(cell, float):
        return cell
    rounded = float(f"{cell:.{DIGITS}g}")
    if isinstance(cell_check(feature)(rounded), Fault):
        return cell
    return int(rounded) if rounded.is_integer() and abs(rounded) < MOST_WHOLE else rounded
