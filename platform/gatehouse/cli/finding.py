"""One finding of `gatehouse doctor`, and how findings are said."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import typer

from gatehouse.cli.output import print_json, print_parts

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One part, how it is, and what to do where it is not well."""

    part: str
    state: State
    detail: str
    remedy: str | None = None


def say_findings(found: Sequence[Finding], json: bool) -> None:
    """Raises Exit with code 1 when something is wrong."""
    wrong = any(finding.state == "problem" for finding in found)
    if json:
        parts = [{"part": each.part, "state": each.state, "detail": each.detail, "remedy": each.remedy} for each in found]
        print_json({"healthy": not wrong, "findings": parts})
    else:
        rows = [(each.part, each.state, each.detail) for each in found]
        print_parts(("part", "state", "what"), rows, [each.remedy for each in found])
    if wrong:
        raise typer.Exit(1)
