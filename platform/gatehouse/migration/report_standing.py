"""Where a tenant, or one of its keys, stands between an API version and a later one: the facts that a verdict goes by."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from gatehouse.errors import Refused
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.moves import has_moved, share_moved
from gatehouse.migration.shadow import ShadowFigures, UpgradeFailures

SPAN_DAYS = 30
"""Calls are counted over today and so many days (UTC) before it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An endpoint and a later one of its model. `rules`: whether the later contract has upgrade rules; None where that is not known."""

    old: Endpoint
    new: Endpoint
    rules: bool | None


@dataclass(frozen=True, slots=True)
class Moves:
    """Calls on both versions; they reached the endpoint, answered or refused. Those that were answered with 410 are `gone` alone."""

    old_calls: int = 0
    """In the last 30 days, like `new_calls` and `gone_calls`."""
    new_calls: int = 0
    gone_calls: int = 0
    """To the older version."""
    old_answered: int = 0
    """Of the last 7 days, like `new_answered`: those with a 200."""
    new_answered: int = 0
    last_old: datetime | None = None
    """Beginning of the hour of the last call to the older version, however long ago."""
    last_gone: datetime | None = None
    """Beginning of the hour (or the day, where it is more than 7 days ago) of the last of `gone_calls`."""

    @property
    def share(self) -> float | None:
        """Of the calls of 30 days, on the newer version."""
        return share_moved(self.old_calls, self.new_calls)

    @property
    def moved(self) -> bool:
        return has_moved(self.old_answered, self.new_answered)

    def __add__(self, other: "Moves") -> "Moves":
        return Moves(
            self.old_calls + other.old_calls,
            self.new_calls + other.new_calls,
            self.gone_calls + other.gone_calls,
            self.old_answered + other.old_answered,
            self.new_answered + other.new_answered,
            later(self.last_old, other.last_old),
            later(self.last_gone, other.last_gone),
        )


@dataclass(frozen=True, slots=True)
class Told:
    """When a tenant was last told of the older version's end, since it was deprecated."""

    by_notice: datetime | None = None
    """A webhook arrived."""
    by_answer: datetime | None = None
    """In the hour from then it called: every answer says so."""

    @property
    def never(self) -> bool:
        return self.by_notice is None and self.by_answer is None


@dataclass(frozen=True, slots=True)
class Standing:
    """All that is known of a tenant, or with `moves` and `ended` of one of its keys."""

    moves: Moves
    grants: frozenset[str]
    """API versions of the model; `*` stands for all but a preview."""
    suspended_at: datetime | None = None
    ended: str | None = None
    """Why the key works no more."""
    told: Told = field(default_factory=Told)
    shadow: ShadowFigures | None = None
    """None where no call was to be compared."""
    failures: tuple[UpgradeFailures, ...] = ()

    def may_call(self, endpoint: Endpoint) -> bool:
        """Whether a grant covers it."""
        return endpoint.api_version in self.grants or ("*" in self.grants and endpoint.state != "preview")


def first_day(now: datetime) -> date:
    """Of the days over which calls are counted."""
    return (now - timedelta(days=SPAN_DAYS)).date()


def later(one: datetime | None, other: datetime | None) -> datetime | None:
    """The later of two moments that may be missing."""
    known = [each for each in (one, other) if each is not None]
    return max(known) if known else None


def pair_of(old: Endpoint, new: Endpoint, rules: bool | None) -> Pair:
    """Raises Refused for an endpoint that is no later version of the other."""
    if int(new.api_version[1:]) <= int(old.api_version[1:]):
        raise Refused(f"{new.name} is no later version than {old.name}; name the older one first")
    return Pair(old, new, rules)
