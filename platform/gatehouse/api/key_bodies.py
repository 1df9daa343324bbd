"""What `/account/keys` takes and answers: fixed lists of fields, in the OpenAPI document as they stand here."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from gatehouse.identity.key_store import ApiKey
from gatehouse.identity.keys import DEFAULT_GRACE, LONGEST_GRACE
from gatehouse.identity.names import NAME
from gatehouse.identity.networks import MOST
from gatehouse.identity.plans import LARGEST
from gatehouse.principal import Rate, Scope

Count = Annotated[int, Field(ge=1, le=LARGEST)]
CountOrNone = Annotated[int, Field(ge=0, le=LARGEST)]
Name = Annotated[str, Field(pattern=f"^{NAME.pattern}$", description="What the key is for: small letters, digits, '-' and '_'")]
Scopes = Annotated[list[Scope], Field(min_length=1, max_length=len(Scope), description="What it may do; at most what the calling key may")]
Networks = Annotated[
    list[Annotated[str, Field(max_length=64)]],
    Field(max_length=MOST, description="CIDR networks from which it may be used, such as 192.0.2.0/24; none is anywhere"),
]
_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII)


def _rfc_3339(value: Any) -> datetime:
    """A moment by its text; pydantic would take seconds since 1970 too."""
    try:
        if isinstance(value, str) and _RFC_3339.fullmatch(value.upper()):
            return datetime.fromisoformat(value.upper())
    except ValueError:
        pass  # no such day or hour
    raise PydanticCustomError("rfc_3339", "must be a moment such as 2027-06-30T00:00:00Z")


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:  # the first and the last hours of the calendar have no counterpart in every time zone
        raise PydanticCustomError("rfc_3339", "must be a moment such as 2027-06-30T00:00:00Z") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_rfc_3339), AfterValidator(_in_utc)]
Expiry = Annotated[
    AwareDatetime, BeforeValidator(_rfc_3339), Field(description="When it ends, as RFC 3339 with a time zone; null is never")
]


class Closed(BaseModel):
    """Nothing but its fields. `passing` are those that change without anybody's doing: no entity tag depends on them."""

    model_config = ConfigDict(extra="forbid")
    passing: ClassVar[frozenset[str]] = frozenset()


class RateEntry(Closed):
    """At most `burst + count * t / period_s` in any span of t seconds; 0 lets nothing in."""

    count: CountOrNone
    period_s: Count
    burst: CountOrNone

    @classmethod
    def of(cls, rate: Rate) -> Self:
        return cls(count=rate.count, period_s=rate.period_s, burst=rate.burst)


class RateBody(RateEntry):
    """At most `burst + count * t / period_s` in any span of t seconds."""

    count: Count
    burst: Count


def entry_of(rate: Rate | None) -> RateEntry | None:
    return None if rate is None else RateEntry.of(rate)


def rate_of(body: RateEntry | None) -> Rate | None:
    return None if body is None else Rate(body.count, body.period_s, body.burst)


class NewKey(Closed):
    """A key to be made. Expiry, networks and limits that are left out are those of the calling key."""

    name: Name = "default"
    scopes: Scopes | None = Field(None, description="Unless given: predictions:create, models:read, account:read and usage:read")
    expires_at: Expiry | None = None
    networks: Networks = []
    requests: RateBody | None = None
    rows: RateBody | None = None


class KeyEdit(Closed):
    """What to change; what is left out stays, and null takes away."""

    name: Name = "default"
    scopes: Scopes = []
    expires_at: Expiry | None = None
    networks: Networks | None = None
    requests: RateBody | None = None
    rows: RateBody | None = None


class Rotation(Closed):
    grace_s: Annotated[int, Field(ge=0, le=int(LONGEST_GRACE.total_seconds()))] = int(DEFAULT_GRACE.total_seconds())
    """Seconds for which the secret from before works too."""


class Notice(Closed):
    """Something that the caller should know beside the answer."""

    code: str
    detail: str


class KeyEntry(Closed):
    """A key without its secret."""

    passing = frozenset({"state", "last_used_at", "notices", "key"})
    id: str
    name: str
    state: Literal["active", "expired", "revoked"]
    scopes: list[Scope]
    requests: RateEntry | None
    rows: RateEntry | None
    networks: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    rotated_at: datetime | None
    grace_ends_at: datetime | None
    last_used_at: datetime | None


class KeyList(Closed):
    """Newest first; `more` when there are older ones."""

    keys: list[KeyEntry]
    more: bool


class ChangedKey(KeyEntry):
    notices: list[Notice]


class ShownKey(ChangedKey):
    key: Annotated[str, Field(repr=False, description="The whole key. It is shown here and never again.")]


def entry(key: ApiKey, now: datetime) -> KeyEntry:
    """A key by the list of fields."""
    expired = key.expires_at is not None and key.expires_at <= now
    return KeyEntry(
        id=key.id,
        name=key.name,
        state="revoked" if key.revoked_at else "expired" if expired else "active",
        scopes=sorted(key.scopes),
        requests=entry_of(key.requests),
        rows=entry_of(key.rows),
        networks=[str(network) for network in key.networks],
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        rotated_at=key.rotated_at,
        grace_ends_at=key.grace_ends_at,
        last_used_at=key.last_used_at,
    )
