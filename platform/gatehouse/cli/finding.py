"""One finding of `gatehouse doctor`."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One part, how it is, and what to do where it is not well."""

    part: str
    state: State
    detail: str
    remedy: str | None = None
