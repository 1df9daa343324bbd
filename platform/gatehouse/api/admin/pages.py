"""Pages of a list: each answer ends with an opaque cursor, which goes on behind the last item whatever came or went meanwhile.

A cursor is a place in one list under one set of filters, with a checksum over all three. It gives no right: every call proves its
caller, so a secret key would protect nothing, and would end all cursors when it is changed.
"""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any, TypeVar

from pydantic import Field

from gatehouse.api.key_bodies import Closed
from gatehouse.errors import InvalidInput

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 200
LONGEST_CURSOR = 1024
_REFUSED = "is of no page of this list with these filters: leave it out to begin anew"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CHECKSUM_BYTES = 12
_CURSOR = "^[A-Za-z0-9_-]+$"
_LONGEST_STEP = 200
_SHOWN = re.compile(r"[\x20-\x7e]*", re.ASCII)
Item = TypeVar("Item")


class PageQuery(Closed):
    """What every list takes; a list adds its filters."""

    limit: Annotated[int, Field(ge=1, le=LARGEST_LIMIT, description="Items of a page")] = DEFAULT_LIMIT
    cursor: Annotated[
        str | None,
        Field(max_length=LONGEST_CURSOR, pattern=_CURSOR, description="`next` of the page before, with the same filters"),
    ] = None

    def filters(self) -> dict[str, Any]:
        """What narrows the list."""
        return self.model_dump(mode="json", exclude={"limit", "cursor"})

    def after(self, name: str, *kinds: Callable[[str], Any]) -> tuple[Any, ...] | None:
        """The place behind which this page of the list `name` begins, each step read by its kind. None for the first page.

        Raises InvalidInput.
        """
        return None if self.cursor is None else _place(name, self.filters(), self.cursor, kinds)

    def cut(self, name: str, found: Sequence[Item], place: Callable[[Item], tuple[str, ...]]) -> tuple[Sequence[Item], str | None]:
        """The items of the page, of which one more than `limit` was looked for, and the cursor to the next."""
        items = found[: self.limit]
        return items, _cursor(name, self.filters(), place(items[-1])) if len(found) > self.limit else None


def _cursor(name: str, filters: Mapping[str, Any], place: Sequence[str]) -> str:
    text = json.dumps(list(place), separators=(",", ":")).encode()
    return urlsafe_b64encode(_checksum(name, filters, text) + text).decode().rstrip("=")


def moment_step(moment: datetime) -> str:
    """Microseconds since 1970."""
    return str((moment - _EPOCH) // timedelta(microseconds=1))


def step_moment(step: str) -> datetime:
    """What `moment_step` wrote. Raises ValueError or OverflowError."""
    return _EPOCH + timedelta(microseconds=int(step))


def _place(name: str, filters: Mapping[str, Any], cursor: str, kinds: Sequence[Callable[[str], Any]]) -> tuple[Any, ...]:
    try:
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        checksum, text = raw[:_CHECKSUM_BYTES], raw[_CHECKSUM_BYTES:]
        place = json.loads(text) if checksum == _checksum(name, filters, text) else None
        if isinstance(place, list) and all(map(_is_step, place)):
            return tuple(kind(step) for kind, step in zip(kinds, place, strict=True))
    except (ValueError, OverflowError):  # neither base64 nor JSON, or no place in such a list
        pass
    raise InvalidInput(
        "A parameter of the query is not what it must be; 'errors' names it.",
        members={"errors": [{"parameter": "cursor", "code": "invalid", "detail": _REFUSED}]},
    )


def _is_step(step: Any) -> bool:
    """Whoever computes a checksum still sends nothing on which a database chokes."""
    return isinstance(step, str) and len(step) <= _LONGEST_STEP and _SHOWN.fullmatch(step) is not None


def _checksum(name: str, filters: Mapping[str, Any], text: bytes) -> bytes:
    bound = json.dumps([name, dict(filters)], sort_keys=True, separators=(",", ":")).encode()
    return sha256(bound + b"\n" + text).digest()[:_CHECKSUM_BYTES]
