"""What a guide is written in: blocks of text, code and tables, each rendered to Markdown and to HTML. Nothing in it is markup yet."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Code:
    """A name, value or address in the line."""

    text: str


@dataclass(frozen=True, slots=True)
class Strong:
    """What must be seen."""

    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """An address that is shown and can be followed; only https and http lead anywhere."""

    url: str


Span: TypeAlias = str | Code | Strong | Link
Line: TypeAlias = Sequence[Span]
"""Spans in a row; a `str` is plain text."""


@dataclass(frozen=True, slots=True)
class Heading:
    """Level 1 is the document's title."""

    level: int
    line: Line


@dataclass(frozen=True, slots=True)
class Paragraph:
    line: Line


@dataclass(frozen=True, slots=True)
class Listing:
    """Points, or with `ordered` steps."""

    lines: Sequence[Line]
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """A table; every row has as many cells as the head, each of one or more lines."""

    head: Sequence[str]
    rows: Sequence[Sequence[Sequence[Line]]]


@dataclass(frozen=True, slots=True)
class Program:
    """Code to copy. `language`: sh, powershell, python, javascript or json."""

    language: str
    text: str


Block: TypeAlias = Heading | Paragraph | Listing | Grid | Program
Document: TypeAlias = Sequence[Block]


def is_web(url: str) -> bool:
    """Whether an address may be a link."""
    return url.startswith(("https://", "http://"))


_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def disarmed(text: str) -> str:
    """The text, in which controls and marks that turn the direction of what follows are shown and do nothing."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
