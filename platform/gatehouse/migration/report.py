"""Who still calls an API version, what breaks if it is switched off, and who has been told."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date, datetime

from gatehouse.migration.moves import MOVED_DAYS
from gatehouse.migration.report_standing import Moves, Pair, Standing, Told, first_day
from gatehouse.migration.report_verdict import Verdict, Word, verdict_of
from gatehouse.migration.shadow import ShadowFigures, UpgradeFailures


@dataclass(frozen=True, slots=True)
class CallerKey:
    """`ended` says why it works no more."""

    id: str
    name: str | None
    """None for a key that is not known any more."""
    ended: str | None


@dataclass(frozen=True, slots=True)
class Caller:
    """A tenant that may call a model, or has called it. `grants`: API versions of the model; `*` stands for all but a preview."""

    tenant_id: str
    tenant: str
    suspended_at: datetime | None
    grants: frozenset[str]
    keys: tuple[CallerKey, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of callers beside who they are, by tenant id (and key id)."""

    moves: Mapping[tuple[str, str], Moves]
    told: Mapping[str, Told]
    compared_with: str | None
    """The model version that shadows are of."""
    shadows: Mapping[str, ShadowFigures]
    failures: Mapping[str, Sequence[UpgradeFailures]]


@dataclass(frozen=True, slots=True)
class KeyRow:
    key: CallerKey
    moves: Moves
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class TenantRow:
    """`standing.moves` is the sum of those of its keys."""

    tenant_id: str
    tenant: str
    last_day: date | None
    standing: Standing
    verdict: Verdict
    keys: tuple[KeyRow, ...]


@dataclass(frozen=True, slots=True)
class SwitchedOff:
    """What would fail if the older version answered nobody from now on."""

    tenants: int
    calls: int
    """That were answered in the last 7 days."""

    @property
    def calls_a_day(self) -> float:
        return round(self.calls / MOVED_DAYS, 1)


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """Tenants by name; those that may call the older version, or have called it in the last 30 days."""

    pair: Pair
    at: datetime
    compared_with: str | None
    tenants: tuple[TenantRow, ...]

    @property
    def since(self) -> date:
        """The first day (UTC) of those over which calls are counted."""
        return first_day(self.at)

    @property
    def verdicts(self) -> Mapping[Word, int]:
        """How many tenants each verdict has."""
        found = Counter(row.verdict.word for row in self.tenants)
        return {word: found[word] for word in Word}

    @property
    def switched_off(self) -> SwitchedOff:
        """Of those that could call a moment ago: neither suspended nor without grant or key, and for whom the version still answers."""
        calls = [row.standing.moves.old_answered for row in self.tenants if self._answers(row)]
        return SwitchedOff(sum(1 for each in calls if each), sum(calls))

    def _answers(self, row: TenantRow) -> bool:
        old, standing = self.pair.old, row.standing
        able = standing.suspended_at is None and standing.ended is None and standing.may_call(old)
        return able and old.state_at(self.at, row.tenant_id) != "retired"


def report_of(pair: Pair, now: datetime, callers: Iterable[Caller], found: Findings) -> MigrationReport:
    """Each caller's facts put together and judged."""
    called = _called(found.moves)
    rows = (_tenant_row(pair, now, caller, found, called.get(caller.tenant_id, frozenset())) for caller in callers)
    shown = [row for row in rows if _belongs(pair, row)]
    return MigrationReport(pair, now, found.compared_with, tuple(sorted(shown, key=lambda row: row.tenant)))


def _called(moves: Mapping[tuple[str, str], Moves]) -> Mapping[str, AbstractSet[str]]:
    """Keys that called in the span, by tenant id."""
    called: dict[str, set[str]] = {}
    for (tenant_id, key_id), each in moves.items():
        if each.old_calls or each.new_calls or each.gone_calls:
            called.setdefault(tenant_id, set()).add(key_id)
    return called


def _tenant_row(pair: Pair, now: datetime, caller: Caller, found: Findings, called: AbstractSet[str]) -> TenantRow:
    standing = Standing(
        moves=Moves(),
        grants=caller.grants,
        suspended_at=caller.suspended_at,
        told=found.told.get(caller.tenant_id, Told()),
        shadow=found.shadows.get(caller.tenant_id),
        failures=tuple(found.failures.get(caller.tenant_id, ())),
    )
    keys = [_key_row(pair, now, caller, key, standing, found) for key in _known(caller, called)]
    whole = replace(standing, moves=sum((row.moves for row in keys), Moves()), ended=_ended(caller))
    verdict = verdict_of(pair, whole, caller.tenant_id, now)
    return TenantRow(caller.tenant_id, caller.tenant, pair.old.last_day(caller.tenant_id), whole, verdict, tuple(keys))


def _key_row(pair: Pair, now: datetime, caller: Caller, key: CallerKey, standing: Standing, found: Findings) -> KeyRow:
    moves = found.moves.get((caller.tenant_id, key.id), Moves())
    return KeyRow(key, moves, verdict_of(pair, replace(standing, moves=moves, ended=key.ended), caller.tenant_id, now))


def _known(caller: Caller, called: AbstractSet[str]) -> list[CallerKey]:
    """Keys that work, and those that called in the span."""
    listed = [key for key in caller.keys if key.ended is None or key.id in called]
    gone = sorted(called - {key.id for key in caller.keys})
    return [*listed, *(CallerKey(key_id, None, "the key is not there any more") for key_id in gone)]


def _ended(caller: Caller) -> str | None:
    return None if any(key.ended is None for key in caller.keys) else "none of its keys works"


def _belongs(pair: Pair, row: TenantRow) -> bool:
    moves = row.standing.moves
    return row.standing.may_call(pair.old) or bool(moves.old_calls or moves.gone_calls)
