"""`gatehouse tenants welcome`: the one page that a partner's developer needs beside a key."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.output import Json
from gatehouse.cli.page_format import Format, FormatOption, OutputOption, hand_over, written
from gatehouse.identity.tenants import named_tenant
from gatehouse.settings import Settings


def welcome_tenant(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's name.")],
    format: FormatOption = Format.MARKDOWN,
    output: OutputOption = None,
    json: Json = False,
) -> None:
    """Write the page for a partner's developer: address, models, programs that run as pasted, limits, errors. It holds no key."""
    from gatehouse.operating.welcome import welcome  # brings NumPy, a fifth of what the other commands on tenants take
    from gatehouse.operating.welcome_text import title_of, welcome_document

    with open_deployment() as deployment:
        settings = deployment.settings
        with deployment.database.read() as session:
            facts = welcome(session, settings, named_tenant(session, tenant), datetime.now(UTC))
    text = written(facts, title_of(facts), lambda: welcome_document(facts), Format.JSON if json else format)
    hand_over(text, output, f"is for the developers of {tenant}; give them a key apart from it: gatehouse keys create --tenant {tenant}")
    for note in _notes(settings):
        typer.echo(note, err=True)


def _notes(settings: Settings) -> Iterator[str]:
    """What the page lacks."""
    if not settings.public_url:
        yield f"note: the page leads to {settings.base_url}; set GATEHOUSE_PUBLIC_URL to the address that partners call"
    if not settings.contact:
        yield "note: the page names nobody to ask; set GATEHOUSE_CONTACT to an e-mail address or a page"
