"""What an exception of a library says, short enough for a line of ours."""

import re

MOST = 160
_NEXT_SENTENCE = re.compile(r"(?<![ei]\.[ge])[.!?]\s+(?=[A-Z])")


def first_sentence(error: BaseException) -> str:
    """The first one of its first line, without its full stop, at most MOST characters; empty where it says nothing."""
    line = (str(error).strip().splitlines() or [""])[0]
    printed = "".join(letter if letter.isprintable() else " " for letter in line)
    sentence = _NEXT_SENTENCE.split(printed)[0].strip().removesuffix(".")
    return sentence if len(sentence) <= MOST else sentence[: MOST - 1].rstrip() + "…"


def named(error: BaseException) -> str:
    """Its class and what it says: `ValueError: Input X contains NaN`."""
    said = first_sentence(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
