"""Which outcomes of a call count: the one table that the meter reads and that docs/usage.md shows."""

from dataclasses import dataclass

from gatehouse.call import CLIENT_GONE


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a call on a prediction path that ends with this status."""

    meaning: str
    event: bool = True
    """Whether it becomes a usage event. One without is added up by key, limit and second; in metrics alone where nobody is known."""
    rows: bool = False
    """Whether its rows count: for the bill and the quota."""


OUTCOMES: dict[int, Outcome] = {
    200: Outcome("answered", rows=True),
    400: Outcome("malformed request or JSON"),
    401: Outcome("no credential, or one that is not valid: counted for its holder where that is proven, else for nobody", event=False),
    403: Outcome("the credential lacks the scope"),
    404: Outcome("no such endpoint, or not granted"),
    405: Outcome("another method than POST"),
    408: Outcome("the body took too long", event=False),
    409: Outcome("in conflict with another call"),
    410: Outcome("the endpoint is retired"),
    413: Outcome("the body is too large"),
    414: Outcome("the address is too long: refused before the credential is read", event=False),
    415: Outcome("not JSON, or compressed"),
    422: Outcome("rows that do not fit the contract, or more than a limit ever lets in"),
    429: Outcome("over a limit or the quota", event=False),
    431: Outcome("the headers are too large: refused before the credential is read", event=False),
    CLIENT_GONE: Outcome("the caller went away before there was an answer"),
    500: Outcome("something failed, or the model could not answer"),
    503: Outcome("overloaded, or a part was not reachable"),
    504: Outcome("the model took too long"),
}
_OTHER = Outcome("any other")
"""Written down, and never billed."""
_METERED = frozenset(status for status, outcome in OUTCOMES.items() if outcome.rows)


def outcome_of(status: int) -> Outcome:
    """What becomes of a call with this status."""
    return OUTCOMES.get(status, _OTHER)


def metered_rows(status: int, rows: int) -> int:
    """Rows that count: those of an answered call, none of any other outcome."""
    return rows if status in _METERED else 0


def outcome_table() -> str:
    """The table as the docs show it, in Markdown."""
    lines = ["| status | outcome | rows count | kept as |", "| --- | --- | --- | --- |"]
    for status, outcome in OUTCOMES.items():
        lines.append(f"| {status} | {outcome.meaning} | {'yes' if outcome.rows else 'no'} | {'event' if outcome.event else 'count'} |")
    return "\n".join(lines)
