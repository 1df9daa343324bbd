"""One step of `gatehouse why`: a part on the road of a call, whether it lets calls through now, and what to do where it does not."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Part = Literal["key", "tenant", "grant", "lifecycle", "limits", "quota", "load", "engine"]


@dataclass(frozen=True, slots=True)
class Step:
    """`remedy` stands where it is not well, or was not lately, and is a command or begins with what to do."""

    part: Part
    well: bool
    detail: str
    remedy: str | None = None
    lately: bool = False
    """Whether it refused calls of the last day, though it lets them in now."""


def minute(at: datetime) -> str:
    """A moment for reading."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def calls(number: int) -> str:
    """A number of calls in words."""
    return "1 call" if number == 1 else f"{number:,} calls"
