"""What long decoding calls between its steps, so that whoever runs it can let others go first."""

from collections.abc import Callable
from typing import TypeAlias

Pause: TypeAlias = Callable[[], None]


def no_pause() -> None:
    """For bodies so small that nobody waits for them."""
