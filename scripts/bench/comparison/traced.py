"""A server under a count of the bytecodes that its event loop executes, from one signal to the next: for the bench only.

`python -m comparison.traced FILE gatehouse serve …` or `… FILE uvicorn …`. SIGUSR1 begins and ends the count, which is then in FILE.
"""

import json
import signal
import sys
from collections import Counter
from importlib.metadata import entry_points
from pathlib import Path
from types import CodeType, FrameType
from typing import Any


class Count:
    """By function: bytecodes, and how often it was called or gone on with. Of the thread that takes signals, which runs the event loop."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._bytecodes: Counter[CodeType] = Counter()
        self._calls: Counter[CodeType] = Counter()
        self._on = False

    def turn(self, _number: int, _frame: FrameType | None) -> None:
        """Begin, or end and write."""
        self._on = not self._on
        sys.settrace(self._entered if self._on else None)
        if not self._on:
            found = {_named(code): [self._bytecodes[code], calls] for code, calls in self._calls.items()}
            unfinished = self._file.with_suffix(".part")
            unfinished.write_text(json.dumps(found), encoding="utf-8")
            unfinished.rename(self._file)

    def _entered(self, frame: FrameType, _event: str, _given: Any) -> Any:
        if not self._on:
            return None
        self._calls[frame.f_code] += 1
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._executed

    def _executed(self, frame: FrameType, event: str, _given: Any) -> Any:
        if event == "opcode" and self._on:
            self._bytecodes[frame.f_code] += 1
        return self._executed


def _named(code: CodeType) -> str:
    parts = Path(code.co_filename).parts
    since = next((place for place, part in enumerate(parts) if part in ("gatehouse", "site-packages", "baselines")), len(parts) - 2)
    return f"{'/'.join(parts[since:])}:{code.co_qualname}:{code.co_firstlineno}"


def main() -> None:
    file, program, *sys.argv[1:] = sys.argv[1:]
    sys.argv[0] = program
    signal.signal(signal.SIGUSR1, Count(Path(file)).turn)
    (found,) = entry_points(group="console_scripts", name=program)
    found.load()()


if __name__ == "__main__":
    main()
