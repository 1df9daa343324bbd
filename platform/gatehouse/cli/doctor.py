"""`gatehouse doctor`: is every part of the deployment well, and what to do where it is not."""

from gatehouse.cli.deployment import settings_or_refusal
from gatehouse.cli.finding import say_findings
from gatehouse.cli.output import Json


def doctor(json: Json = False) -> None:
    """Check every part of this deployment and say what to do; changes nothing. Exit code 1 when something is wrong.

    Example: gatehouse doctor --json
    """
    from gatehouse.cli.findings import findings

    say_findings(list(findings(settings_or_refusal())), json)
