"""In the process of the shadows: another version scores rows that were answered before, and its answers are held against those."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gatehouse.contracts.contract import Contract, parse_contract
from gatehouse.contracts.upgrade import Upgrade, Upgraded
from gatehouse.contracts.upgrade_answers import AnswersBack
from gatehouse.contracts.upgrade_between import bind_for_comparison
from gatehouse.migration.differences import Answer, Differences, differences
from gatehouse.migration.shift_buckets import bucket_counts
from gatehouse.server.shadow_wire import Pair, Result
from gatehouse.serving.engine import Classes, Scores, Values
from gatehouse.serving.manifest import Manifest
from gatehouse.serving.predictor import Predictor
from gatehouse.serving.registry import NotServable, Registry
from gatehouse.serving.repository import Repository, VersionInvalid, VersionMissing

MOST_FIELD = 255
Calls = Sequence[tuple[int, int]]
"""Of each call the number of its tenant, and its rows."""


@dataclass(frozen=True, slots=True)
class ScoredElsewhere:
    """The engine of a version whose scores are known, and which is not loaded here."""

    classes: Classes
    own_labels: bool
    name: str = "elsewhere"
    inline_rows: int = 0

    def score(self, values: Values) -> Scores:
        raise NotImplementedError("this version is not loaded here")


class Comparison:
    """A version that answers calls, of which only the contract and the classes are needed here, and the one that scores them too."""

    def __init__(self, manifest: Manifest, upgrade: Upgrade, answers: AnswersBack, other: Predictor) -> None:
        self._upgrade = upgrade
        self._back = answers
        self._other = other
        self._same = upgrade.old.digest == upgrade.new.digest
        output = upgrade.old.output
        self._live = Predictor(ScoredElsewhere(manifest.classes, manifest.own_labels), output)
        self._targets = output.returns if output.task == "multioutput" else ()
        self._asked = tuple(answers.output.returns)

    def results(self, values: Values, scores: Scores, calls: Calls) -> list[Result]:
        """One for each tenant. Where all rows together fail, each call is scored alone, so that only those to blame fail."""
        tenants = max(tenant for tenant, _ in calls) + 1
        try:
            return self._results(values, scores, calls, tenants)
        except Exception:  # whatever the other version raises
            if len(calls) == 1:
                return [Result(failed=int(tenant == calls[0][0])) for tenant in range(tenants)]
        ends = np.cumsum([rows for _, rows in calls])[:-1]
        alone = zip(np.split(values, ends), np.split(scores, ends), calls, strict=True)
        return summed([self.results(own, live, [(0, rows)])[0] for own, live, (_, rows) in alone], [tenant for tenant, _ in calls], tenants)

    def _results(self, values: Values, scores: Scores, calls: Calls, tenants: int) -> list[Result]:
        owners = np.repeat([tenant for tenant, _ in calls], [rows for _, rows in calls])
        upgraded = Upgraded(values, ()) if self._same else self._upgrade.columns(values)
        valid = upgraded.valid
        results = [Result(rows=int(rows)) for rows in np.bincount(owners, minlength=tenants)]
        self._count_failures(upgraded, owners, results)
        if valid.any():
            found, compared = self._differences(upgraded.values[valid], scores[valid]), owners[valid]
            for tenant in np.unique(compared):
                of = compared == tenant
                result, shifts = results[tenant], found.shifts[of]
                result.disagreed = int(np.count_nonzero(found.disagreed[of]))
                result.shift_sum, result.shifts = float(shifts.sum()), bucket_counts(shifts)
        return results

    def _differences(self, values: Values, scores: Scores) -> Differences:
        told = self._other.told(self._other.score(values), self._asked)
        outputs = self._upgrade.old.output.returns
        return differences(self._live_answers(scores), self._back.told(told, outputs), self._targets)

    def _live_answers(self, scores: Scores) -> Sequence[Answer]:
        return self._live.told(scores, tuple(self._upgrade.old.output.returns))

    def _count_failures(self, upgraded: Upgraded, owners: Any, results: list[Result]) -> None:
        for tenant, rows in enumerate(np.bincount(owners[~upgraded.valid], minlength=len(results))):
            results[tenant].not_upgraded = int(rows)
        for (field, code), failed in _rows_by_reason(upgraded).items():
            for tenant, rows in enumerate(np.bincount(owners[failed], minlength=len(results))):
                if rows:
                    results[tenant].failures = [*results[tenant].failures, (field, code, int(rows))]


def _rows_by_reason(upgraded: Upgraded) -> dict[tuple[str, str], Any]:
    """Numbers of rows by field and code, each once, also where several rules that read the field complain of it."""
    found: dict[tuple[str, str], Any] = {}
    for each in upgraded.failed:
        reason = ",".join(each.sources)[:MOST_FIELD], each.fault.code
        found[reason] = np.union1d(found[reason], each.rows) if reason in found else each.rows
    return found


def summed(results: Sequence[Result], owners: Sequence[int], tenants: int) -> list[Result]:
    """The results of calls, added up for each tenant."""
    totals = [Result() for _ in range(tenants)]
    for tenant, each in zip(owners, results, strict=True):
        total = totals[tenant]
        for name in ("failed", "rows", "not_upgraded", "disagreed", "shift_sum"):
            setattr(total, name, getattr(total, name) + getattr(each, name))
        total.shifts = {bucket: total.shifts.get(bucket, 0) + each.shifts.get(bucket, 0) for bucket in total.shifts | each.shifts}
        reasons = Counter({(field, code): rows for field, code, rows in total.failures})
        for field, code, rows in each.failures:
            reasons[field, code] += rows
        total.failures = [(field, code, rows) for (field, code), rows in reasons.items()]
    return totals


def load_comparison(repository: Repository, pair: Pair) -> Comparison:
    """Verified, built and held against its golden row. Raises NotServable."""
    try:
        manifest, source = repository.read_contract(pair.model, pair.version)
    except (VersionMissing, VersionInvalid) as error:
        raise NotServable(str(error)) from None
    live = parse_contract(source, f"contract of {pair.model} {pair.version}")

    def compiled(other: bytes) -> tuple[tuple[Upgrade, AnswersBack], Contract]:
        contract = parse_contract(other, f"contract of {pair.model} {pair.other_version}")
        upgrade = bind_for_comparison(live, contract, f"contract of {pair.model} {pair.other_version}")
        if upgrade.answers is None:
            raise ValueError("its rules are one-way: no answer goes back, so none can be compared")
        return (upgrade, upgrade.answers), replace(contract, output=upgrade.answers.output)

    served = Registry(repository, compiled).load(pair.model, pair.other_api_version, pair.other_version)
    return Comparison(manifest, *served.contract, served.predictor)
