"""In the process of the shadows: another version scores rows that were answered before, and its answers are held against those."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic
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

    def results(self, values: Values, scores: Scores, calls: Calls, apart_s: float) -> list[Result]:
        """One for each tenant. Calls that fail together are halved for so many seconds, so that only those to blame fail.

        What is not looked at by then, or not alone, is dropped.
        """
        totals = [Result() for _ in range(max(tenant for tenant, _ in calls) + 1)]
        starts = np.concatenate([[0], np.cumsum([rows for _, rows in calls])])
        ends_at = monotonic() + apart_s
        pieces = deque([(0, len(calls))])
        while pieces:
            first, end = pieces.popleft()
            if end - first < len(calls) and monotonic() > ends_at:
                _count(totals, calls[first:end], "dropped")
                continue
            rows = slice(starts[first], starts[end])
            try:
                found = self._results(values[rows], scores[rows], calls[first:end])
            except Exception:  # whatever the other version raises
                if end - first == 1:
                    _count(totals, calls[first:end], "failed")
                else:
                    middle = (first + end) // 2
                    pieces += [(first, middle), (middle, end)]
                continue
            for tenant, each in found.items():
                add(totals[tenant], each)
        return totals

    def _results(self, values: Values, scores: Scores, calls: Calls) -> dict[int, Result]:
        tenants, numbers = np.unique([tenant for tenant, _ in calls], return_inverse=True)
        owners = np.repeat(numbers, [rows for _, rows in calls])
        upgraded = Upgraded(values, ()) if self._same else self._upgrade.columns(values)
        valid = upgraded.valid
        results = [Result(rows=int(rows)) for rows in np.bincount(owners, minlength=len(tenants))]
        self._count_failures(upgraded, owners, results)
        if valid.any():
            found, compared = self._differences(upgraded.values[valid], scores[valid]), owners[valid]
            for tenant in np.unique(compared):
                of = compared == tenant
                result, shifts = results[tenant], found.shifts[of]
                result.disagreed = int(np.count_nonzero(found.disagreed[of]))
                result.shift_sum, result.shifts = float(shifts.sum()), bucket_counts(shifts)
        return dict(zip(tenants.tolist(), results, strict=True))

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


def _count(totals: list[Result], calls: Calls, outcome: str) -> None:
    for tenant, _ in calls:
        setattr(totals[tenant], outcome, getattr(totals[tenant], outcome) + 1)


def add(total: Result, more: Result) -> None:
    """Add what other calls of the same tenant came to; reasons by field and code."""
    for name in ("dropped", "failed", "rows", "not_upgraded", "disagreed", "shift_sum"):
        setattr(total, name, getattr(total, name) + getattr(more, name))
    total.shifts = {bucket: total.shifts.get(bucket, 0) + more.shifts.get(bucket, 0) for bucket in total.shifts | more.shifts}
    reasons = Counter({(field, code): rows for field, code, rows in total.failures})
    for field, code, rows in more.failures:
        reasons[field, code] += rows
    total.failures = [(field, code, rows) for (field, code), rows in reasons.items()]


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
