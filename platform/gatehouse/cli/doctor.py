"""`gatehouse doctor`: is every part of the deployment well, and what to do where it is not."""

import typer

from gatehouse.cli.deployment import settings_or_refusal
from gatehouse.cli.output import Json, print_json, print_table


def doctor(json: Json = False) -> None:
    """Check every part of this deployment and say what to do; changes nothing. Exit code 1 when something is wrong.

    Example: gatehouse doctor --json
    """
    from gatehouse.cli.findings import findings

    found = list(findings(settings_or_refusal()))
    wrong = any(finding.state == "problem" for finding in found)
    if json:
        parts = [{"part": each.part, "state": each.state, "detail": each.detail, "remedy": each.remedy} for each in found]
        print_json({"healthy": not wrong, "findings": parts})
    else:
        rows = [(each.part, each.state, f"{each.detail}; {each.remedy}" if each.remedy else each.detail) for each in found]
        print_table(("part", "state", "what"), rows)
    if wrong:
        raise typer.Exit(1)
