"""`gatehouse audit export`: the trail as CSV or JSON lines, for whoever keeps it elsewhere."""

import json
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer

from gatehouse.cli.audit_rows import ACTION, ACTOR, REQUEST, SINCE, SUBJECT, UNTIL, facts, wanted_rows
from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.progress import progress_bar
from gatehouse.cli.usage_lines import counted
from gatehouse.cli.written_file import written_file
from gatehouse.db.audit_trail import AuditRow, count_entries, hold_still, stream_entries
from gatehouse.usage.csv_text import csv_lines

COLUMNS = ("id", "sequence", "at", "actor", "source", "request_id", "action", "subject", "detail", "key_version", "mac")
STEP = 10_000
"""Rows between two signs of progress."""


class Format(StrEnum):
    """How rows are written."""

    CSV = "csv"
    NDJSON = "ndjson"


def export(
    actor: ACTOR = None,
    action: ACTION = None,
    subject: SUBJECT = None,
    request: REQUEST = None,
    since: SINCE = None,
    until: UNTIL = None,
    format: Annotated[Format, typer.Option("--format", help="csv, or ndjson: a JSON object a line.")] = Format.CSV,
    out: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write there; on standard output unless given.")] = None,
) -> None:
    """Write the rows, the oldest first, one line each."""
    wanted, count = wanted_rows(actor, action, subject, request, since, until), 0
    write = _csv if format is Format.CSV else _ndjson
    with open_deployment() as deployment, written_file(out) as target, deployment.database.read() as session:
        hold_still(session)
        number = count_entries(session, wanted)
        if format is Format.CSV:
            target.write(csv_lines([COLUMNS]))
        with progress_bar("export", number // STEP + 1) as begin:
            for count, row in enumerate(stream_entries(session, wanted), 1):
                _sign(begin, count, number)
                write(target, row)
    where = f" to {out}" if out else ""
    typer.echo(f"{counted(count, 'row')} written{where}", err=True)


def _sign(begin: Callable[[str], None], count: int, number: int) -> None:
    if count % STEP == 0:
        begin(f"{count:,} of {number:,} rows")


def _csv(target: TextIO, row: AuditRow) -> None:
    line = facts(row) | {"detail": row.detail}
    target.write(csv_lines([[line[name] for name in COLUMNS]]))


def _ndjson(target: TextIO, row: AuditRow) -> None:
    target.write(json.dumps(facts(row)) + "\n")
