"""What is known of one HTTP call while it goes down the road: filled in step by step, read by log and usage."""

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

import msgspec

from gatehouse.principal import Principal

SCOPE_KEY = "gatehouse.call"
"""Where the call lies in an ASGI scope."""
CONNECTION_KEY = "gatehouse.connection"
"""Where the server puts what tells that the caller has gone."""
EXCHANGE_KEY = "gatehouse.exchange"
"""Where the server puts what tells, by `more_body`, whether some of the body has still to come, and by `alone`, whether this is the only
call under way in the process; and gives, by `take`, a body that is here."""
REFUSAL_KEY = "gatehouse.refusal"
"""Where the server puts the problem that it found in the bytes of a request, in their head or later in their body."""
CONTROLS = bytes({*range(32), 127} - set(b"\t"))
"""What no header may hold, of a request or an answer."""
CLIENT_GONE = 499
"""Status in log and usage of a call whose caller went away before there was an answer."""


class Fields(dict[bytes, bytes]):
    """The headers of a request by their names in lower case; of one that came more than once the last, and its name in `repeated`."""

    __slots__ = ("repeated",)

    def __init__(self, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        dict.__init__(self, headers)
        self.repeated: Set[bytes] = NONE if len(self) == len(headers) else _repeated(headers)

    def single(self, name: bytes) -> bytes | None:
        """What came just once."""
        return None if name in self.repeated else self.get(name)


NONE: Set[bytes] = frozenset()


class _EachOnce(Fields):
    """The same of headers of which none came twice, as nearly always: made, and asked for what came once, as any dict is."""

    __slots__ = ()

    __init__ = dict.__init__
    repeated = NONE
    single = dict.get  # type: ignore[assignment]


def fields_of_head(headers: Sequence[tuple[bytes, bytes]]) -> Fields:
    """The headers of a request."""
    fields = _EachOnce(headers)
    return fields if len(fields) == len(headers) else Fields(headers)


def _repeated(headers: Sequence[tuple[bytes, bytes]]) -> Set[bytes]:
    numbers = Counter(name for name, _ in headers)
    return {name for name, number in numbers.items() if number > 1}


@dataclass(frozen=True, slots=True)
class Route:
    """A prediction path, taken apart. `model` is None for the tenant's default model."""

    api_version: str
    model: str | None


@dataclass(frozen=True, slots=True)
class Notice:
    """What every answer of an endpoint that ends says, made beforehand."""

    headers: tuple[tuple[bytes, bytes], ...]
    member: msgspec.Raw
    """JSON of the body's `notices`."""


@dataclass(slots=True)
class Kept:
    """Rows and scores of a call that the shadow of its endpoint is to score too."""

    values: Any = None
    scores: Any = None


class Call(msgspec.Struct):
    """A struct, since each call makes one, and most of its fields keep their defaults."""

    request_id: str
    started_ns: int
    """`time.perf_counter_ns()` when the call came in."""
    traceparent: str | None = None
    address: str = ""
    """The caller's IP address as text, behind trusted proxies too; empty when the transport has none."""
    method: str = ""
    path: str = ""
    fields: Fields = msgspec.field(default_factory=Fields)
    """The headers that came with it."""
    principal: Principal | None = None
    holder: Principal | None = None
    """Whose credential it is where that was proven, and is not good here or any more: then there is no principal."""
    credential: str = ""
    """What the caller was let in by, for steps that must prove it anew; never written down."""
    generation: int = 0
    """Which changes of keys, tenants and grants had been seen when it was."""
    route: Route | None = None
    """Set on prediction paths only."""
    status: int = 0
    code: str | None = None
    reason: str | None = None
    """Why a call was refused, for the log; no caller sees it."""
    model: str | None = None
    api_version: str | None = None
    model_version: str | None = None
    engine: str | None = None
    bridged: bool = False
    """Whether a version of a later API version answers, through the upgrade rules."""
    rows: int = 0
    """Rows that were answered (metered), 0 for a refused call."""
    month: str | None = None
    """`YYYY-MM` of the quota from which the rows were taken."""
    event_id: str | None = None
    """Of the usage event that an answer becomes, where an Idempotency-Key has settled it before."""
    replayed: bool = False
    """A repeat by Idempotency-Key of a call that is metered already."""
    bytes_in: int = 0
    bytes_out: int = 0
    alone: bool = True
    """Whether no other call was under way when it came in, so that nothing could be done for several at once."""
    declared_bytes: int = 0
    """Of its body, by Content-Length; 0 where nothing was declared."""
    body_pending: bool = False
    """The caller announced a body of which not all has been read."""
    limit_fields: tuple[str, str] | None = None
    """`RateLimit-Policy` and `RateLimit` of the decisions so far; they go on every answer of this call, also on refusals."""
    kept: Kept | None = None
    """Set on calls that are to be shadowed."""
    notice: Notice | None = None
    """Set from the step on at which the caller was granted an endpoint that ends; it goes on every answer."""

    def __repr__(self) -> str:
        """Without its headers and its credential, which are never written down."""
        return f"Call(request_id={self.request_id!r}, method={self.method!r}, path={self.path!r}, status={self.status!r})"
