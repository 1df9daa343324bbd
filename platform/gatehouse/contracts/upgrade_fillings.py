"""How one field of the newer contract is filled from fields of the older one, cell by cell and column by column."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from gatehouse.contracts.cells import Cell, Fault, cell_check
from gatehouse.contracts.feature import NUMERIC_TYPES, Feature
from gatehouse.contracts.reach import ends, listed, written
from gatehouse.contracts.upgrade_columns import Column, cells_of, column_of
from gatehouse.contracts.upgrade_rules import Rule

FAILURES = {
    "upgrade_out_of_range": "the number that the rule makes is outside the newer contract's range",
    "upgrade_null_not_allowed": "null comes through, and the newer contract takes none",
    "upgrade_not_allowed": "the newer contract does not know this category",
    "upgrade_too_long": "the text that the rule makes is longer than the newer contract takes",
    "upgrade_not_an_integer": "a part of the text is no whole number",
    "upgrade_wrong_type": "a part of the text is no number",
    "upgrade_wrong_parts": "the text does not have as many parts as the rule splits it into",
}
"""Why a valid row of the older contract cannot become one of the newer: code and meaning."""

Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
RowNumbers: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]


@dataclass(frozen=True, slots=True)
class Failed:
    """Rows that fail for one reason. `sources` are the older contract's fields, to which the pointer leads; `fault` names the new one."""

    sources: tuple[str, ...]
    target: str
    fault: Fault
    rows: RowNumbers


class Filling:
    """One field of the newer contract. Subclasses say what becomes of cells that are not null.

    `sources` are older fields, of which `places` are the positions; a row where one of them is null is null, or `if_null`.
    """

    def __init__(self, target: Feature, sources: Sequence[Feature] = (), places: Sequence[int] = (), rule: Rule | None = None) -> None:
        self.target = target
        self.sources = tuple(sources)
        self.places = tuple(places)
        self.rule = rule
        self._check = cell_check(target)
        self._if_null: Cell = None if rule is None else rule.if_null

    @property
    def partial(self) -> bool:
        """Whether the author says that some rows fail."""
        return self.rule is not None and self.rule.partial

    def cell(self, cells: Sequence[Cell]) -> Cell | Fault:
        """What the cells of `sources` become, valid under the newer contract, or a fault whose code is one of FAILURES."""
        made = self._if_null if None in cells else self.made(cells)
        if not isinstance(made, Fault):
            made = self._check(made)
        return self._named(made) if isinstance(made, Fault) else made

    def made(self, cells: Sequence[Cell]) -> Cell | Fault:
        """What the rule makes, not yet held against the newer contract."""
        raise NotImplementedError

    def column(self, columns: Sequence[Column], rows: int) -> tuple[Column, list[Failed]]:
        """The same of whole columns; a cell that fails is null in the column."""
        cells = [cells_of(feature, column) for feature, column in zip(self.sources, columns, strict=True)]
        made = [self.cell(row) for row in zip(*cells, strict=True)]
        return column_of(self.target, (None if isinstance(cell, Fault) else cell for cell in made)), self._failed(made)

    def corners(self) -> Iterator[tuple[Cell, ...]]:
        """Cells of `sources`, none null, so chosen that no row fails where none of these does."""
        raise NotImplementedError

    def _failed(self, made: Sequence[Cell | Fault]) -> list[Failed]:
        rows_of: dict[str, list[int]] = {}
        fault_of: dict[str, Fault] = {}
        for row, cell in enumerate(made):
            if isinstance(cell, Fault):
                fault_of.setdefault(cell.code, cell)
                rows_of.setdefault(cell.code, []).append(row)
        return [self.failed(fault_of[code], np.array(rows, np.intp)) for code, rows in rows_of.items()]

    def failed(self, fault: Fault, rows: RowNumbers) -> Failed:
        """Rows that fail here."""
        return Failed(tuple(feature.name for feature in self.sources), self.target.name, fault, rows)

    def _named(self, fault: Fault) -> Fault:
        return Fault(
            f"upgrade_{fault.code}", f"becomes '{self.target.name}', which {fault.detail}", {"field": self.target.name, **fault.facts}
        )


class Constant(Filling):
    """The same for every row: a rule's constant, or what the newer contract takes where an optional field is left out."""

    def __init__(self, target: Feature, value: Cell, rule: Rule | None = None) -> None:
        super().__init__(target, rule=rule)
        self.value = value

    def cell(self, cells: Sequence[Cell]) -> Cell | Fault:
        return self.value

    def column(self, columns: Sequence[Column], rows: int) -> tuple[Column, list[Failed]]:
        return column_of(self.target, [self.value] * rows), []

    def corners(self) -> Iterator[tuple[Cell, ...]]:
        yield ()


class Moved(Filling):
    """A field that keeps its values, under the same name or another."""

    def made(self, cells: Sequence[Cell]) -> Cell | Fault:
        return cells[0]

    def column(self, columns: Sequence[Column], rows: int) -> tuple[Column, list[Failed]]:
        if self.target.type not in NUMERIC_TYPES:
            return super().column(columns, rows)
        return self._judged(columns[0], columns[0], self._outside(columns[0]))

    def corners(self) -> Iterator[tuple[Cell, ...]]:
        feature = self.sources[0]
        if feature.type == "text":
            yield ("x" * (feature.max_length or 0),)
        elif feature.type in ("number", "integer"):
            yield from ((end,) for end in ends(feature))
        else:
            yield from ((cell,) for cell in listed(feature) or ())

    def came_from(self, number: Fraction) -> Fraction:
        """The old number that becomes this one."""
        return number if self.rule is None else (number - written(self.rule.offset)) / written(self.rule.factor)

    def _judged(self, old: Column, made: Column, outside: Mask) -> tuple[Column, list[Failed]]:
        """`made` from the numeric column `old`, with nulls filled and what the newer contract refuses taken out."""
        nulls = np.isnan(old)
        refused = outside & ~nulls
        faulty = [refused]
        if self._if_null is not None:
            made = np.where(nulls, float(self._if_null), made)
        elif not self.target.nullable:
            faulty.append(nulls)
        failed = [self._at(old, rows) for rows in map(np.flatnonzero, faulty) if len(rows)]
        return np.where(refused, np.nan, made), failed

    def _outside(self, made: Column) -> Mask:
        if self.target.type == "boolean":
            return np.zeros(len(made), np.bool_)
        low, high = self._ends
        return (made < low) | (made > high)

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """Of what the newer contract takes."""
        low, high = ends(self.target)
        return low, high

    def _at(self, old: Column, rows: RowNumbers) -> Failed:
        """The fault is the one that the first of the rows gets alone."""
        fault = self.cell(cells_of(self.sources[0], old[rows[:1]]))
        if not isinstance(fault, Fault):
            raise AssertionError("columns and cells judge alike")
        return self.failed(fault, rows)
