"""`gatehouse audit verify`: the proof that the audit trail is as it was written."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer

from gatehouse.cli.deployment import Deployment, open_deployment
from gatehouse.cli.output import Json, print_json
from gatehouse.cli.progress import progress_bar
from gatehouse.cli.usage_lines import counted
from gatehouse.db.audit_chain import Head
from gatehouse.db.audit_keys import AuditKeys
from gatehouse.db.audit_trail import AuditFilter, count_entries
from gatehouse.db.audit_verify import Verdict, verify_trail

STEP = 10_000
"""Rows between two signs of progress."""
_HEAD = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")


def verify(
    head: Annotated[
        list[str] | None,
        typer.Option("--head", metavar="SEQ:MAC", help="A head that a server has logged: finds the newest rows' removal. May be repeated."),
    ] = None,
    json: Json = False,
) -> None:
    """Prove that no row was changed, removed, inserted or swapped. Exits with 1 and names the row where one was.

    Servers log the chain's head (logger gatehouse.audit) whenever it has moved. Removed newest rows are found by such a head only.
    """
    seen = [_head(text) for text in head or ()]
    with open_deployment() as deployment, _progress(deployment) as progress, deployment.database.read() as session:
        verdict = verify_trail(session, AuditKeys(deployment.settings.audit_keys), seen, progress)
    if json:
        findings = [asdict(finding) for finding in verdict.findings]
        facts = {"intact": not findings, "rows": verdict.rows, "old_rows": verdict.old_rows, "head": str(verdict.head)}
        print_json(facts | {"findings": findings, "further_findings": verdict.further})
    else:
        for line in _said(verdict, seen):
            typer.echo(line)
    if verdict.findings:
        raise typer.Exit(1)


@contextmanager
def _progress(deployment: Deployment) -> Iterator[Callable[[int, int], None]]:
    with deployment.database.read() as session:
        steps = count_entries(session, AuditFilter()) // STEP + 1
    with progress_bar("verify", steps) as begin:
        yield lambda done, all: begin(f"{done:,} of {all:,} rows") if 0 < done < all and done % STEP == 0 else None


def _said(verdict: Verdict, seen: list[Head]) -> Iterator[str]:
    if not verdict.findings:
        yield f"{counted(verdict.rows, 'row')} in an unbroken chain; its head is {verdict.head}"
        if verdict.old_rows:
            sealed = "as they were when it began" if verdict.rows else "not sealed yet: the next change does that"
            yield f"{counted(verdict.old_rows, 'row')} from before the chain, {sealed}"
        yield from (f"row {head.sequence} is the one whose head was logged" for head in seen)
        return
    for finding in verdict.findings:
        yield finding.text
    if verdict.further:
        yield f"and {counted(verdict.further, 'further finding')}"
    if verdict.rows and not verdict.fits:
        yield "no row fits at all: is GATEHOUSE_AUDIT_KEY the key of this deployment?"
    yield "the first one named is where it begins; compare with a backup, and with the heads that servers have logged"


def _head(text: str) -> Head:
    found = _HEAD.fullmatch(text)
    if found is None:
        raise typer.BadParameter("write --head as a server has logged it: 57: and 64 hexadecimal digits")
    return Head(int(found[1]), found[2])
