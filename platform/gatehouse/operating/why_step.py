"""One step of `gatehouse why`: a part on the road of a call, whether it lets calls through now, and what to do where it does not."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Part = Literal["key", "tenant", "grant", "lifecycle", "limits", "quota", "load", "engine"]


@dataclass(frozen=True, slots=True)
class Step:
    """`remedy` stands where it is not well, and is a command or begins with what to do."""

    part: Part
    well: bool
    detail: str
    remedy: str | None = None


def minute(at: datetime) -> str:
    """A moment for reading."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
