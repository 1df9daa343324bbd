"""`gatehouse migration guide`: how partners move from one API version to a later one, before anything is deprecated."""

from datetime import UTC, datetime
from enum import StrEnum
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from gatehouse.api.guide_page import guide_page
from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.endpoint_facts import Model
from gatehouse.cli.migration_report import New, Old
from gatehouse.cli.output import Json
from gatehouse.migration.guide import Guide
from gatehouse.migration.guide_markdown import markdown
from gatehouse.migration.guide_text import guide_document, title_of
from gatehouse.operating.migration_guide import migration_guide


class Format(StrEnum):
    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"


def guide(
    model: Model,
    old: Old,
    new: New,
    format: Annotated[Format, typer.Option("--format", help="markdown to read and mail, html for your own pages, json for programs.")] = (
        Format.MARKDOWN
    ),
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Where to write it; what is there is replaced.")] = None,
    json: Json = False,
) -> None:
    """Write down how partners move: fields, answers and code that runs, from the newest published version of each API version."""
    with open_deployment() as deployment, deployment.database.read() as session:
        found = migration_guide(session, deployment.settings, model, old, new, datetime.now(UTC))
    written = _written(found, Format.JSON if json else format)
    if output is None:
        typer.echo(written, nl=False)
        return
    output.write_text(written, encoding="utf-8")
    typer.echo(f"{output} says how to move from {model} {old} to {new}")


def _written(guide: Guide, format: Format) -> str:
    if format is Format.JSON:
        return dumps(guide, ensure_ascii=False) + "\n"
    document = guide_document(guide)
    return markdown(document) if format is Format.MARKDOWN else guide_page(title_of(guide), document).decode()
