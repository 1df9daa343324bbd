"""A guide as Markdown (CommonMark with tables). No text of it is taken for markup: what could be is escaped."""

import re
from collections.abc import Iterable, Sequence

from gatehouse.migration.guide_document import (
    Block,
    Code,
    Document,
    Grid,
    Heading,
    Line,
    Link,
    Listing,
    Paragraph,
    Program,
    Span,
    Strong,
    disarmed,
    is_web,
)

ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "\\": "&#92;", "`": "&#96;", "\n": " ", "\r": " "}
"""What a backslash before it would not keep from meaning something in every place, a cell of a table above all."""
SPECIAL = re.compile(r"[*\[\]~#@$]|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])|:(?=//)|(?<=www)\.|(?<=WWW)\.|^[-+=]|(?<=^\d)[.)]|(?<=^\d\d)[.)]")
"""Emphasis, links (bare addresses too), mathematics, and what begins a list or a heading."""
NO_CODE = re.compile(r"[|\\`\r\n]")
"""What keeps a text from being a span of code in a cell of a table."""


def markdown(document: Document) -> str:
    """The whole document."""
    return "\n\n".join(map(_block, document)) + "\n"


def escaped(text: str) -> str:
    """Plain text that means nothing else, wherever it stands."""
    shown = disarmed(text)
    blank = shown[: len(shown) - len(shown.lstrip())]  # where it begins a line, this is cut
    marked = blank + SPECIAL.sub(lambda found: "\0" + found[0], shown[len(blank) :])
    return "".join(ENTITIES.get(character, character) for character in marked).replace("\0", "\\")


def _block(block: Block) -> str:
    match block:
        case Heading(level, line):
            return f"{'#' * level} {_line(line)}"
        case Paragraph(line):
            return _line(line)
        case Listing(lines, ordered):
            return "\n".join(f"{f'{number}.' if ordered else '-'} {_line(line)}" for number, line in enumerate(lines, 1))
        case Grid(head, rows):
            return "\n".join([_row(map(escaped, head)), _row("---" for _ in head), *(_row(map(_cell, row)) for row in rows)])
        case Program(language, text):
            return _fenced(language, text)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(lines: Sequence[Line]) -> str:
    return "<br>".join(map(_line, lines))


def _fenced(language: str, text: str) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip(chr(10))}\n{fence}"


def _line(line: Line) -> str:
    return "".join(map(_span, line)).strip()


def _span(span: Span) -> str:
    match span:
        case Code(text):
            shown = disarmed(text)
            return f"`{shown}`" if shown and shown.strip() == shown and not NO_CODE.search(shown) else escaped(text)
        case Strong(text):
            return f"**{escaped(disarmed(text).strip())}**"
        case Link(url):
            return f"<{url}>" if is_web(url) else escaped(url)
        case str():
            return escaped(span)
