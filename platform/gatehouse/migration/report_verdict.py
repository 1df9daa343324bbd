"""May an API version be switched off for this caller: one word of a closed set, by stated rules, with the facts that speak for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from gatehouse.migration.report_standing import SPAN_DAYS, Pair, Standing
from gatehouse.migration.shadow import UpgradeFailures

MOST_DISAGREEMENT = 0.01
"""Share of compared rows on which the answers may differ."""
MOST_FAILED = 0.01
"""Share of shadowed calls on which the newer version may fail; one alone is no habit, however few calls there were."""
NEAR_DAYS = 30
"""So many days before the last day, whoever has not begun is late."""
MOST_FIELDS = 3


class Word(StrEnum):
    """What is said of a caller, in the order of what needs work first."""

    BLOCKED = "blocked"
    AT_RISK = "at_risk"
    READY = "ready"
    MOVED = "moved"
    SILENT = "silent"


Code = Literal[
    "suspended",
    "key_ended",
    "old_not_granted",
    "no_calls",
    "new_not_granted",
    "new_preview",
    "new_retired",
    "calls_moved",
    "only_new_calls",
    "rows_not_upgraded",
    "disagreement",
    "new_failed",
    "never_told",
    "sunset_near",
    "not_tried",
    "told_gone",
    "nothing_against",
]


@dataclass(frozen=True, slots=True)
class Reason:
    """A stable code, the verdict that it speaks for, and one line of English."""

    code: Code
    weighs: Word
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    word: Word
    reasons: tuple[Reason, ...]


def verdict_of(pair: Pair, standing: Standing, tenant_id: str, now: datetime) -> Verdict:
    """`moved` and `silent` need one reason and look no further; else the worst of all that speaks against moving, or `ready`."""
    still, gone = next(_settled(pair, standing, now), None), list(_told_gone(pair, standing, tenant_id, now))
    if still is not None:
        return Verdict(still.weighs, (still, *gone) if still.weighs is Word.MOVED else (still,))
    reasons = [*_access(pair, standing, now), *_rows(pair, standing), *_warning(pair, standing, tenant_id, now), *gone]
    worst = next((word for word in (Word.BLOCKED, Word.AT_RISK) if word in [reason.weighs for reason in reasons]), None)
    if worst is not None:
        return Verdict(worst, tuple(reasons))
    calls = f"{_count(standing.moves.old_calls, 'call')} on {pair.old.api_version} in {SPAN_DAYS} days"
    return Verdict(Word.READY, (Reason("nothing_against", Word.READY, f"{calls}; nothing speaks against moving"), *reasons))


def _settled(pair: Pair, standing: Standing, now: datetime) -> Iterator[Reason]:
    """What leaves nothing to move, or nobody who could."""
    old, new, moves = pair.old.api_version, pair.new.api_version, standing.moves
    if standing.suspended_at is not None:
        yield Reason("suspended", Word.SILENT, f"suspended since {standing.suspended_at:%Y-%m-%d}: none of its calls is answered")
    if standing.ended is not None:
        yield Reason("key_ended", Word.SILENT, standing.ended)
    if not standing.may_call(pair.old):
        yield Reason("old_not_granted", Word.SILENT, f"{old} is not granted any more")
    if not (moves.old_calls or moves.new_calls or moves.gone_calls):
        yield Reason("no_calls", Word.SILENT, f"no call on {old} or {new} in {SPAN_DAYS} days")
    if any(_access(pair, standing, now)):
        return
    if moves.moved:
        both = moves.old_answered + moves.new_answered
        yield Reason("calls_moved", Word.MOVED, f"{moves.new_answered:,} of {_count(both, 'answered call')} in 7 days on {new}")
    if not (moves.old_calls or moves.gone_calls):
        yield Reason("only_new_calls", Word.MOVED, f"no call on {old} in {SPAN_DAYS} days, {moves.new_calls:,} on {new}")


def _access(pair: Pair, standing: Standing, now: datetime) -> Iterator[Reason]:
    """Whether the newer version would answer at all."""
    new = pair.new
    if not standing.may_call(new):
        preview = new.state == "preview" and "*" in standing.grants
        why = "is a preview, which a grant of the whole model does not cover" if preview else "is not granted"
        yield Reason("new_preview" if preview else "new_not_granted", Word.BLOCKED, f"{new.api_version} {why}")
    if new.state_at(now) == "retired":
        yield Reason("new_retired", Word.BLOCKED, f"{new.api_version} is retired itself")


def _rows(pair: Pair, standing: Standing) -> Iterator[Reason]:
    """What comparing showed. While the endpoint is bridged its callers get the newer version's answers already, and these refusals too."""
    shadow, new, bridged = standing.shadow, pair.new.api_version, _bridged(pair)
    failed = shadow.not_upgraded if shadow else 0
    if failed or standing.failures:
        many = f"{failed:,} of {_count(shadow.rows, 'row')}" if shadow and failed else "rows"
        text = f"{many} cannot be upgraded to {new}: {_fields(standing.failures)}"
        yield Reason("rows_not_upgraded", Word.AT_RISK if bridged else Word.BLOCKED, text)
    if shadow is None or bridged:
        return
    share = shadow.disagreed / shadow.compared if shadow.compared else 0.0
    if share > MOST_DISAGREEMENT:
        text = f"{new} answers {_percent(share)} of {_count(shadow.compared, 'compared row')} otherwise"
        yield Reason("disagreement", Word.AT_RISK, text)
    tried = shadow.calls - shadow.dropped
    if shadow.failed > 1 and shadow.failed / tried > MOST_FAILED:
        yield Reason("new_failed", Word.AT_RISK, f"{new} failed on {shadow.failed:,} of {_count(tried, 'shadowed call')}")


def _fields(failures: Sequence[UpgradeFailures]) -> str:
    named = [f"{each.field} {each.code} {each.rows:,}" for each in failures[:MOST_FIELDS]]
    more = [f"{len(failures) - MOST_FIELDS} more"] if len(failures) > MOST_FIELDS else []
    return ", ".join(named + more) or "no field is known"


def _warning(pair: Pair, standing: Standing, tenant_id: str, now: datetime) -> Iterator[Reason]:
    """What the caller may not know yet, and what nobody knows."""
    old, new, moves = pair.old, pair.new.api_version, standing.moves
    if old.deprecation is not None and standing.told.never:
        yield Reason("never_told", Word.AT_RISK, "told neither by a notice nor by an answer since the deprecation")
    last_day = None if old.state == "retired" else old.last_day(tenant_id)
    if last_day is not None and not moves.new_calls and (left := (last_day - now.date()).days) <= NEAR_DAYS:
        when = f"ends on {last_day}, in {_count(left, 'day')}" if left >= 0 else f"has ended on {last_day}"
        yield Reason("sunset_near", Word.AT_RISK, f"{old.api_version} {when}, and no call is on {new}")
    tried = moves.new_answered or (standing.shadow and standing.shadow.rows) or _bridged(pair)
    if not tried:
        yield Reason("not_tried", Word.AT_RISK, f"no answered call on {new} in 7 days, and no row compared with it in {SPAN_DAYS}")


def _told_gone(pair: Pair, standing: Standing, tenant_id: str, now: datetime) -> Iterator[Reason]:
    """In a brownout it is meant to be so; once the version has ended these calls fail for good."""
    moves, old = standing.moves, pair.old
    if not moves.gone_calls:
        return
    weighs = Word.AT_RISK if old.state_at(now, tenant_id) == "retired" or not moves.old_calls else Word.READY
    text = f"{_count(moves.gone_calls, 'call')} on {old.api_version} answered with 410 in {SPAN_DAYS} days"
    yield Reason("told_gone", Word.MOVED if moves.moved else weighs, text)


def _bridged(pair: Pair) -> bool:
    return pair.old.bridged_to == pair.new.api_version


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _percent(share: float) -> str:
    return f"{share:.1%}".replace("%", " %")
