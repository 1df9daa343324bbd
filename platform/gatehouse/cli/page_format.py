"""How a page for partners is written: Markdown, HTML or JSON, to the terminal or into a file."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer

from gatehouse.api.guide_page import guide_page
from gatehouse.cli.one_line import cause_of
from gatehouse.errors import Refused
from gatehouse.migration.guide_document import Document
from gatehouse.migration.guide_markdown import markdown


class Format(StrEnum):
    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="markdown to read and mail, html for your own pages, json for programs.")]
OutputOption = Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Where to write it; what is there is replaced.")]


def written(facts: Mapping[str, Any], title: str, document: Callable[[], Document], format: Format) -> str:
    """The whole text."""
    if format is Format.JSON:
        return dumps(facts, ensure_ascii=False) + "\n"
    return markdown(document()) if format is Format.MARKDOWN else guide_page(title, document()).decode()


def hand_over(text: str, output: Path | None, said: str) -> None:
    """Print it, or write it to the file and say so."""
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refused(f"{output} cannot be written: {cause_of(error)}") from None
    typer.echo(f"{output} {said}")
