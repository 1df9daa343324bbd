"""Rows of an older API version made into rows of a newer one, by the rules in the newer contract."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gatehouse.contracts.cells import Cell, Fault
from gatehouse.contracts.contract import Contract, ContractInvalid
from gatehouse.contracts.fast_decode import Matrix
from gatehouse.contracts.findings import MOST_COUNTED, Findings, escaped
from gatehouse.contracts.upgrade_answer_binding import bind_answers
from gatehouse.contracts.upgrade_answers import AnswersBack
from gatehouse.contracts.upgrade_binding import Binding
from gatehouse.contracts.upgrade_columns import columns_of, matrix_of
from gatehouse.contracts.upgrade_fillings import Constant, Failed, Filling, Mask
from gatehouse.contracts.upgrade_rules import UpgradeRules

__all__ = ["Failed", "Failure", "Upgrade", "Upgraded", "bind_upgrade", "rules_from"]


@dataclass(frozen=True, slots=True)
class Failure:
    """One field of a row that cannot be upgraded. `sources` are the older fields that it comes from; the code is one of FAILURES."""

    row: int
    sources: tuple[str, ...]
    target: str
    fault: Fault

    def pointer(self, sent: Sequence[str] | None = None) -> str:
        """Of the older field; of the row where the rule reads several. `sent`: the names of a body in the columns shape."""
        source = self.sources[0] if len(self.sources) == 1 else None
        if sent is None:
            return f"/instances/{self.row}" + (f"/{escaped(source)}" if source is not None else "")
        return f"/data/{self.row}" + (f"/{sent.index(source)}" if source in sent else "")


@dataclass(frozen=True, slots=True)
class Upgraded:
    """`values` is as decoding by the newer contract delivers; in a row that failed the cells that failed are null (or no matter)."""

    values: Matrix
    failed: tuple[Failed, ...]

    @property
    def valid(self) -> Mask:
        """Which rows are rows of the newer contract."""
        mask = np.ones(len(self.values), np.bool_)
        for each in self.failed:
            mask[each.rows] = False
        return mask

    def failures(self, most: int | None = None) -> list[Failure]:
        """Each row and field that failed, in the order of the rows; of many the first `most`."""
        found = (Failure(int(row), each.sources, each.target, each.fault) for each in self.failed for row in each.rows[:most])
        return sorted(found, key=lambda failure: failure.row)[:most]

    def refuse(self, sent: Sequence[str] | None = None) -> None:
        """Raise InvalidInput, with pointers into a body of the older contract, if a row failed. `sent`: see `Failure.pointer`."""
        findings = Findings()
        for failure in self.failures(MOST_COUNTED):
            findings.add(failure.pointer(sent), failure.fault)
        findings.end()


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Rules that fit both contracts. `answers` is None where they are one-way."""

    old: Contract
    new: Contract
    rules: UpgradeRules
    fillings: tuple[Filling, ...]
    answers: AnswersBack | None

    def columns(self, values: Matrix) -> Upgraded:
        """All rows at once: `values` as decoded by the older contract. Raises nothing; what fails is told."""
        old = columns_of(self.old.features, values)
        made, failed = [], []
        for filling in self.fillings:
            column, faults = filling.column([old[place] for place in filling.places], len(values))
            made.append(column)
            failed += faults
        return Upgraded(matrix_of(self.new.features, made), tuple(failed))

    def row(self, cells: Sequence[Cell]) -> tuple[list[Cell], list[Failure]]:
        """One row, checked by the older contract and in its order; where one cell fails it is null in the new row."""
        made: list[Cell] = []
        failures: list[Failure] = []
        for filling in self.fillings:
            cell = filling.cell([cells[place] for place in filling.places])
            if isinstance(cell, Fault):
                failures.append(Failure(0, tuple(feature.name for feature in filling.sources), filling.target.name, cell))
                cell = None
            made.append(cell)
        return made, failures

    @property
    def sent(self) -> tuple[str, ...]:
        """The fields of the newer contract that a row is sent with: not those that no rule fills."""
        return tuple(filling.target.name for filling in self.fillings if not _left_out(filling))

    def record(self, cells: Sequence[Cell]) -> dict[str, Cell]:
        """A row of the newer contract as a partner would send it."""
        of_name = dict(zip(self.new.names, cells, strict=True))
        return {name: of_name[name] for name in self.sent}


def rules_from(new: Contract, old: str) -> UpgradeRules | None:
    """The rules of a contract that lead up from the API version `old`, None where it has none."""
    return next((rules for rules in new.upgrades if rules.old == old), None)


def bind_upgrade(old: Contract, new: Contract, origin: str) -> Upgrade:
    """The rules of `new`, whose file is `origin`, for rows of `old`. Raises ContractInvalid with all complaints."""
    rules = rules_from(new, old.api_version)
    if old.model != new.model or rules is None:
        raise ContractInvalid(origin, [_unruled(old, new)])
    complaints: list[str] = []
    fillings = Binding(old.api_version, old.features, new.features, complaints).fillings(rules.rules)
    answers = None if rules.one_way else bind_answers(old.output, new.output, rules.answers, complaints)
    if complaints:
        raise ContractInvalid(origin, complaints)
    return Upgrade(old, new, rules, fillings, answers)


def cells_from(contract: Contract, record: Mapping[str, Cell]) -> list[Cell]:
    """A checked record in contract order, with defaults for what was left out."""
    return [record.get(feature.name, feature.default) for feature in contract.features]


def _unruled(old: Contract, new: Contract) -> str:
    if old.model != new.model:
        return f"is the contract of {new.model}, and no row of {old.model} becomes one of it; name two contracts of one model"
    place = f"[upgrade.from.{old.api_version}]"
    return f"has no rules from {old.api_version}; write {place} with rules = […], or leave it empty where all fields stay"


def _left_out(filling: Filling) -> bool:
    return isinstance(filling, Constant) and filling.rule is None
