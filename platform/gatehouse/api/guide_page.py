"""A guide as a page: every text of it is escaped, and nothing in it runs or is fetched."""

from collections.abc import Iterable, Sequence
from html import escape

from gatehouse.api.pages import page
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


def guide_page(title: str, document: Document) -> bytes:
    """The whole page; its style is that of the other pages, whose Content-Security-Policy it needs."""
    return page(title, "\n".join(['<p class="mark">Gatehouse</p>', '<article class="guide">', *map(_block, document), "</article>\n"]))


def _block(block: Block) -> str:
    match block:
        case Heading(level, line):
            return f"<h{level}>{_line(line)}</h{level}>"
        case Paragraph(line):
            return f"<p>{_line(line)}</p>"
        case Listing(lines, ordered):
            tag = "ol" if ordered else "ul"
            return f"<{tag}>{''.join(f'<li>{_line(line)}</li>' for line in lines)}</{tag}>"
        case Grid(head, rows):
            return _table(head, rows)
        case Program(_, text):
            return f'<pre tabindex="0"><code>{escape(text.rstrip())}</code></pre>'


def _table(head: Sequence[str], rows: Sequence[Sequence[Sequence[Line]]]) -> str:
    """Where the screen is narrow, each cell says the name of its column."""
    top = "".join(f'<th scope="col">{_text(name)}</th>' for name in head)
    body = "".join(f"<tr>{_cells(head, row)}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _cells(head: Sequence[str], row: Iterable[Sequence[Line]]) -> str:
    named = zip(head, row, strict=True)
    return "".join(f'<td data-column="{_text(name)}">{"<br>".join(map(_line, lines))}</td>' for name, lines in named)


def _line(line: Line) -> str:
    return "".join(map(_span, line))


def _span(span: Span) -> str:
    match span:
        case Code(text):
            return f"<code>{_text(text)}</code>"
        case Strong(text):
            return f"<strong>{_text(text)}</strong>"
        case Link(url):
            return f'<a href="{escape(url)}" rel="noreferrer">{_text(url)}</a>' if is_web(url) else _text(url)
        case str():
            return _text(span)


def _text(text: str) -> str:
    return escape(disarmed(text))
