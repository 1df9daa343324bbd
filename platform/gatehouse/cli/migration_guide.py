"""`gatehouse migration guide`: how partners move from one API version to a later one, before anything is deprecated."""

from datetime import UTC, datetime
from enum import StrEnum
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from gatehouse.api.guide_page import guide_page
from gatehouse.cli.deployment import Deployment, open_deployment
from gatehouse.cli.endpoint_facts import Model
from gatehouse.cli.migration_report import New, Old
from gatehouse.cli.output import Json
from gatehouse.cli.upgrade_proofs import newest_contract
from gatehouse.contracts.contract import Contract, ContractInvalid
from gatehouse.contracts.upgrade import bind_upgrade
from gatehouse.contracts.upgrade_guide import guide_facts
from gatehouse.errors import Refused
from gatehouse.migration.guide import Guide, guide_of, life_of
from gatehouse.migration.guide_markdown import markdown
from gatehouse.migration.guide_text import guide_document, title_of
from gatehouse.migration.store import find_endpoint
from gatehouse.operating.published import repository_of
from gatehouse.serving.names import NameInvalid, parse_api_version

EVERYBODY = ""
"""Whose sunset is told: that of tenants without an extension."""


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
    with open_deployment() as deployment:
        written = _written(_guide(deployment, model, old, new), Format.JSON if json else format)
    if output is None:
        typer.echo(written, nl=False)
        return
    output.write_text(written, encoding="utf-8")
    typer.echo(f"{output} says how to move from {model} {old} to {new}")


def _guide(deployment: Deployment, model: str, old: str, new: str) -> Guide:
    settings = deployment.settings
    if _number(new) <= _number(old):
        raise Refused(f"{model}/{new} is no later version than {model}/{old}; name the older one first")
    older, newer = (_newest(deployment, model, version) for version in (old, new))
    try:
        facts = guide_facts(bind_upgrade(older[1], newer[1], newer[0]))
    except ContractInvalid as error:
        raise Refused(str(error)) from None
    with deployment.database.read() as session:
        endpoint = find_endpoint(session, model, old)
    life = None if endpoint is None else life_of(endpoint, datetime.now(UTC), EVERYBODY)
    return guide_of(facts, settings.base_url, life)


def _number(api_version: str) -> int:
    """Raises Refused."""
    try:
        return parse_api_version(api_version)
    except NameInvalid as error:
        raise Refused(str(error)) from None


def _newest(deployment: Deployment, model: str, api_version: str) -> tuple[str, Contract]:
    """Raises Refused."""
    try:
        found = newest_contract(repository_of(deployment.settings), model, api_version)
    except NameInvalid as error:
        raise Refused(str(error)) from None
    if found is None:
        raise Refused(f"no {api_version} of {model} is published here; what is: gatehouse models list")
    return found


def _written(guide: Guide, format: Format) -> str:
    if format is Format.JSON:
        return dumps(guide, ensure_ascii=False) + "\n"
    document = guide_document(guide)
    return markdown(document) if format is Format.MARKDOWN else guide_page(title_of(guide), document).decode()
