"""`gatehouse` with clocks around its stages, or without some of them: for the bench only. Nothing of it is in the package.

`python -m comparison.altered_server --clocks FILE serve …` or `--without limits,metering serve …`
"""

import asyncio
import inspect
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from comparison.clocks import Clocks
from comparison.road import STAGES, owner_of

from gatehouse.cli import main as gatehouse

REAL_CALLS = 200
"""After so many a function that is left out answers what it answered last."""


def leave_out(parts: set[str]) -> None:
    """What belongs to those parts of security is done for the first calls only. Raises StageGone."""
    for stage in STAGES:
        if stage.security in parts:
            for function in stage.functions:
                owner, name = owner_of(function)
                setattr(owner, name, remembered(getattr(owner, name), LEFT_TO_DO.get(function)))


def answered(_meter: Any, _call: Any, waiter: "asyncio.Future[Any]", answer: Any) -> None:
    """A call that nobody meters still gets its answer."""
    waiter.set_result(answer)


LEFT_TO_DO: dict[str, Callable[..., Any]] = {"gatehouse.usage.meter:Meter.record_for": answered}
"""Of a function that is left out."""


def remembered(work: Callable[..., Any], instead: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """The same answer for ever, once warm, or that of `instead`."""
    calls, last = 0, None

    if inspect.iscoroutinefunction(work):

        @wraps(work)
        async def later(*given: Any, **named: Any) -> Any:
            nonlocal calls, last
            if calls >= REAL_CALLS:
                return last
            last = await work(*given, **named)
            calls += 1
            return last

        return later

    @wraps(work)
    def at_once(*given: Any, **named: Any) -> Any:
        nonlocal calls, last
        if calls >= REAL_CALLS:
            return last if instead is None else instead(*given, **named)
        last = work(*given, **named)
        calls += 1
        return last

    return at_once


def main() -> int:
    how, what, *sys.argv[1:] = sys.argv[1:]
    if how == "--without":
        leave_out(set(what.split(",")))
        gatehouse()
        return 0
    clocks = Clocks()
    clocks.put()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again at its end, which would leave nothing written
    try:
        gatehouse()
        return 0
    finally:
        clocks.write(Path(what))


if __name__ == "__main__":
    sys.exit(main())
