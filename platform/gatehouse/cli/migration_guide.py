"""`gatehouse migration guide`: how partners move from one API version to a later one, before anything is deprecated."""

from datetime import UTC, datetime

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.endpoint_facts import Model
from gatehouse.cli.migration_report import New, Old
from gatehouse.cli.output import Json
from gatehouse.cli.page_format import Format, FormatOption, OutputOption, hand_over, written
from gatehouse.migration.guide_text import guide_document, title_of
from gatehouse.operating.migration_guide import migration_guide


def guide(
    model: Model,
    old: Old,
    new: New,
    format: FormatOption = Format.MARKDOWN,
    output: OutputOption = None,
    json: Json = False,
) -> None:
    """Write down how partners move: fields, answers and code that runs, from the newest published version of each API version."""
    with open_deployment() as deployment, deployment.database.read() as session:
        found = migration_guide(session, deployment.settings, model, old, new, datetime.now(UTC))
    text = written(found, title_of(found), lambda: guide_document(found), Format.JSON if json else format)
    hand_over(text, output, f"says how to move from {model} {old} to {new}")
