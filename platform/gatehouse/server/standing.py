"""What a process says of itself in its row: for whoever asks how all of them are."""

from collections.abc import Mapping

import msgspec


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One of another version may say more or less: what is not said is as below."""

    draining: bool = False
    usage_backlog_bytes: int = 0
    """In its spool, not yet in the database."""
    usage_lost: int = 0
    """Refused calls that could not be written down, since it started."""
    no_room: str | None = None
    """Why it cannot meter calls, and answers predictions with 503."""
    not_served: Mapping[str, str] = {}
    """Endpoints that it could not load as released, and why."""


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Standing)


def standing_text(standing: Standing) -> str:
    """As its row keeps it."""
    return _ENCODER.encode(standing).decode("ascii", "backslashreplace")


def standing_of(text: str | None) -> Standing:
    """As it was said; of a process of a version that says nothing, that all is well."""
    try:
        return _DECODER.decode(text or "{}")
    except msgspec.DecodeError:
        return Standing()
