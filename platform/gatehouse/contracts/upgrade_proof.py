"""The proof of a rule set: which rows of the older contract do not become rows of the newer one.

Exact for each field: a finite set of cells is tried, so chosen that no row fails where none of them does (see `Filling.corners`; doubles
are scaled by the very arithmetic that serves, which is monotone). Drawn rows are upgraded whole on top, by columns and one by one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from gatehouse.contracts.cells import Cell, Fault
from gatehouse.contracts.drawing import draw_cells
from gatehouse.contracts.fast_decode import Matrix
from gatehouse.contracts.feature import Feature
from gatehouse.contracts.pause import Pause, no_pause
from gatehouse.contracts.reach import ends, may_be_null, written
from gatehouse.contracts.upgrade import Upgrade
from gatehouse.contracts.upgrade_columns import column_of, matrix_of
from gatehouse.contracts.upgrade_fillings import Filling, Moved

SEED = 20_260_601
ROWS = 500
SHOWN = 10
LONGEST_SHOWN = 40
LONG = 10**15


@dataclass(frozen=True, slots=True)
class Gap:
    """Values of older fields that no row of the newer contract comes from. `witness`: one of them. `declared`: the rule says partial."""

    sources: tuple[str, ...]
    target: str
    code: str
    values: str
    detail: str
    witness: Mapping[str, Cell]
    declared: bool
    place: str

    def __str__(self) -> str:
        return f"{' and '.join(self.sources)} {self.values}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Proof:
    """`rows` were drawn and upgraded whole. No gap: every row of the older contract becomes a valid row of the newer one."""

    gaps: tuple[Gap, ...]
    rows: int

    @property
    def undeclared(self) -> tuple[Gap, ...]:
        """Gaps that no rule admits."""
        return tuple(gap for gap in self.gaps if not gap.declared)


def prove(upgrade: Upgrade, rows: int = ROWS, seed: int = SEED, *, pause: Pause = no_pause) -> Proof:
    """The same for the same rules. Raises nothing but what `pause` does, which is called between its steps."""
    gaps = exact_gaps(upgrade, pause)
    drawn = draw_cells(upgrade.old.features, rows, seed)
    known = {(gap.target, gap.code) for gap in gaps}
    fillings = {filling.target.name: filling for filling in upgrade.fillings}
    for failed in upgrade.columns(matrix(upgrade.old.features, drawn)).failed:
        if (failed.target, failed.fault.code) not in known:
            filling, row = fillings[failed.target], drawn[failed.rows[0]]
            gaps.append(_gap(filling, failed.fault, [[row[place] for place in filling.places]]))
    return Proof(tuple(gaps), len(drawn))


def exact_gaps(upgrade: Upgrade, pause: Pause = no_pause) -> list[Gap]:
    """Those that are proved field by field, without a drawn row."""
    return [gap for filling in upgrade.fillings for gap in _gaps(filling, pause)]


def matrix(features: Sequence[Feature], rows: Sequence[Sequence[Cell]]) -> Matrix:
    """Rows as decoding delivers them."""
    return matrix_of(features, [column_of(feature, (row[place] for row in rows)) for place, feature in enumerate(features)])


def _gaps(filling: Filling, pause: Pause) -> Iterator[Gap]:
    by_code: dict[str, tuple[Fault, list[Sequence[Cell]]]] = {}
    for cells in _tried(filling):
        pause()
        fault = filling.cell(cells)
        if isinstance(fault, Fault):
            by_code.setdefault(fault.code, (fault, []))[1].append(cells)
    for fault, witnesses in by_code.values():
        yield _gap(filling, fault, witnesses)


def _tried(filling: Filling) -> Iterator[Sequence[Cell]]:
    """The corners, and null beside something that is not."""
    first: Sequence[Cell] | None = None
    for cells in filling.corners():
        first = first or cells
        yield cells
    for place, source in enumerate(filling.sources):
        if may_be_null(source) and first is not None:
            yield [None if other == place else cell for other, cell in enumerate(first)]


def _gap(filling: Filling, fault: Fault, witnesses: Sequence[Sequence[Cell]]) -> Gap:
    names = tuple(source.name for source in filling.sources)
    return Gap(
        sources=names,
        target=filling.target.name,
        code=fault.code,
        values=_words(filling, fault, witnesses),
        detail=fault.detail,
        witness=dict(zip(names, witnesses[0], strict=True)),
        declared=filling.partial,
        place=filling.rule.place if filling.rule is not None else f"features.{filling.target.name}",
    )


def _words(filling: Filling, fault: Fault, witnesses: Sequence[Sequence[Cell]]) -> str:
    if isinstance(filling, Moved) and fault.code == "upgrade_out_of_range":
        return _range_words(filling, [cells[0] for cells in witnesses])
    shown = [" + ".join(map(_shown, cells)) for cells in witnesses]
    return ", ".join(shown[:SHOWN]) + (f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else "")


def _range_words(filling: Moved, failing: Sequence[Any]) -> str:
    """`below 0.5 cm and above 12 cm`: which old values are outside, where the ends that fail are known."""
    source = filling.sources[0]
    low, high = ends(source)
    unit = f" {source.unit}" if source.unit else ""
    (first, above), (last, below) = sorted((filling.came_from(written(bound)), open_) for bound, open_ in _bounds(filling.target))
    lowest, highest = written(low), written(high)
    if first > highest or last < lowest:
        return f"of {low} to {high}{unit}, that is always"
    words = []
    if low in failing:
        less = f"of {_number(first)}{unit} or less" if above else f"below {_number(first)}{unit}"
        words.append(less if first > lowest or (above and first == lowest) else f"of {low}{unit}, by rounding")
    if high in failing:
        more = f"of {_number(last)}{unit} or more" if below else f"above {_number(last)}{unit}"
        words.append(more if last < highest or (below and last == highest) else f"of {high}{unit}, by rounding")
    return " and ".join(words)


def _bounds(feature: Feature) -> list[tuple[float | int, bool]]:
    """The bounds that hold, and whether they are exclusive; of whole numbers none is."""
    return [(end, False) for end in ends(feature)] if feature.type == "integer" else [feature.lowest, feature.highest]


def _number(exact: Fraction) -> str:
    return str(int(exact)) if exact.denominator == 1 and abs(exact) < LONG else f"{float(exact):.12g}"


def _shown(cell: Cell) -> str:
    if cell is None:
        return "null"
    if isinstance(cell, bool):
        return str(cell).lower()
    if not isinstance(cell, str):
        return str(cell)
    return f'"{cell}"' if len(cell) <= LONGEST_SHOWN else f"a text of {len(cell):,} characters"
