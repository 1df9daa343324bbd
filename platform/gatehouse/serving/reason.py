"""Why a version is not served, taken apart: what is wrong, and what to do about it."""

import re

_REMEDY = re.compile(r": (?=(?:put back|publish|roll back|release) )")


def apart(reason: str) -> tuple[str, str | None]:
    """What is wrong, and the remedy where the reason names one."""
    what, *remedy = _REMEDY.split(reason, maxsplit=1)
    return what, remedy[0] if remedy else None


def meaning(loaded: bool) -> str:
    """What callers get of a version that cannot be loaded here. `loaded`: a process has it in its memory."""
    return "calls get 503 from the next start on" if loaded else "calls get 503"
