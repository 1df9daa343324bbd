"""A welcome page in the order in which a partner's developer needs it: the key, one call that runs, the models, limits, what goes wrong."""

from collections.abc import Iterator, Mapping
from typing import Any

from gatehouse.migration.guide_document import Block, Code, Document, Grid, Heading, Line, Link, Listing, Paragraph, Program, Span, Strong
from gatehouse.migration.guide_literals import json_text
from gatehouse.migration.guide_words import names, traits
from gatehouse.operating.welcome_limits import limit_lines

Facts = Mapping[str, Any]
MOST_VALUES = 200
"""Categories of a field, or labels, that are all written out."""
SET_KEY = {"sh": "read -rs PARTNER_KEY && export PARTNER_KEY\n", "powershell": "$env:PARTNER_KEY = Read-Host 'API key'\n"}
TITLES = {"curl": "curl", "powershell": "PowerShell", "python": "Python", "pandas": "pandas", "javascript": "JavaScript"}
LANGUAGES = {"curl": "sh", "powershell": "powershell", "python": "python", "pandas": "python", "javascript": "javascript"}
HOW: dict[str, Line] = {
    "curl": ["In bash or zsh."],
    "powershell": [
        "Version 5.1 or later; 5.1 reads letters beyond ASCII in an answer wrongly, 7 does not. A refusal is an error there; ",
        Code("$Error[0].ErrorDetails.Message"),
        " says why.",
    ],
    "python": ["Version 3.9 or later, with nothing installed. A refusal raises ", Code("RuntimeError"), " with the whole answer."],
    "pandas": ["A whole frame in one line, below the code above. Its columns are the fields, in any order."],
    "javascript": [
        "Node.js 18 or later, with nothing installed: save it as ",
        Code("first-call.mjs"),
        ", run ",
        Code("node first-call.mjs"),
        ".",
    ],
}


def welcome_document(facts: Facts) -> Document:
    """The whole page."""
    parts = (_top, _key, _first_call, _models, _endings, _limits, _errors, _again, _asking)
    return [block for part in parts for block in part(facts)]


def title_of(facts: Facts) -> str:
    """`Predictions for acme`."""
    return f"Predictions for {facts['tenant']}"


def _top(facts: Facts) -> Iterator[Block]:
    yield Heading(1, [title_of(facts)])
    yield Paragraph(["Your programs ask ", Code(facts["address"]), " and get predictions as JSON. This page is all you need to begin."])


def _key(facts: Facts) -> Iterator[Block]:
    yield Heading(2, ["Your key"])
    yield Paragraph(["You get an API key apart from this page. It begins with ", Code("gate_"), ". Keep it as you keep a password."])
    yield Paragraph(["Put it into the environment variable ", Code("PARTNER_KEY"), ", never into code or an address."])
    yield Paragraph(["bash or zsh: enter this line, paste the key (nothing is shown), press Enter."])
    yield Program("sh", SET_KEY["sh"])
    yield Paragraph(["PowerShell: enter this line, paste the key, press Enter."])
    yield Program("powershell", SET_KEY["powershell"])


def _first_call(facts: Facts) -> Iterator[Block]:
    first = facts["first"]
    yield Heading(2, ["Your first call"])
    yield Paragraph(["It asks ", *_name(first), " about the example row of its fields. Each of these runs as pasted."])
    for name, text in first["code"].items():
        yield Heading(3, [TITLES[name]])
        yield Paragraph(HOW[name])
        yield Program(LANGUAGES[name], text)


def _models(facts: Facts) -> Iterator[Block]:
    yield Heading(2, ["What you may call"])
    for endpoint in facts["endpoints"]:
        yield from _model(endpoint)


def _model(endpoint: Facts) -> Iterator[Block]:
    yield Heading(3, _name(endpoint))
    yield Paragraph([Code(f"POST {endpoint['url']}")])
    if endpoint["lifecycle"] == "preview":
        yield Paragraph([Strong("A preview: it may still change.")])
    if endpoint["lifecycle"] == "deprecated":
        yield Paragraph([Strong(f"Deprecated: it answers you until the end of {endpoint['sunset']} (UTC).")])
    yield Grid(["Field", "What to send", "Example"], [_field(view) for view in endpoint["contract"]["features"]])
    yield from _answer(endpoint["contract"]["output"])
    yield Paragraph(["A body, here of one row. To call it, put the address above and this row into a program further up."])
    yield Program("json", json_text({"instances": [endpoint["row"]]}))


def _field(view: Facts) -> list[list[Line]]:
    said: list[Line] = [[traits({**view, "allowed": None})]]
    if view.get("allowed"):
        said.append(["one of ", *_listed([json_text(value) for value in view["allowed"]])])
    described: list[Line] = [[view["description"]]] if view.get("description") else []
    return [[[Code(view["name"])], *described], said, [[Code(json_text(view["example"]))]]]


def _answer(output: Facts) -> Iterator[Block]:
    if "targets" in output:
        yield Paragraph(["Each row is answered by several targets, by name:"])
        yield Listing([[Code(target["name"]), ": ", *_returned(target)] for target in output["targets"]])
        return
    yield Paragraph(["Each row is answered by ", *_returned(output), "."])


def _returned(output: Facts) -> list[Span]:
    """`label`, `confidence` (labels: `no`, `yes`; 4 decimals)."""
    more: list[Span] = []
    if output.get("labels"):
        more += ["labels: ", *_listed(output["labels"]), "; "]
    if output.get("unit"):
        more += [f"{output['unit']}; "]
    decimals = output["decimals"]
    return [*names(output["returns"]), " (", *more, f"{decimals} decimal{'' if decimals == 1 else 's'})"]


def _listed(values: list[str]) -> list[Span]:
    more = len(values) - MOST_VALUES
    return [*names(values[:MOST_VALUES]), *([f" and {more} more, which GET on the model lists"] if more > 0 else [])]


def _endings(facts: Facts) -> Iterator[Block]:
    ending = [each for each in facts["endpoints"] if each["sunset"]]
    if not ending:
        return
    yield Heading(2, ["What ends"])
    yield Paragraph(["After its last day an API version answers 410 and nothing else."])
    rows: list[list[list[Line]]] = [
        [[_name(each)], [[each["sunset"]]], [[Code(each["successor"]["url"])]], _moving(each)] for each in ending
    ]
    yield Grid(["Model", "Last day (UTC)", "Call instead", "How to move"], rows)


def _moving(endpoint: Facts) -> list[Line]:
    reason: list[Line] = [[f"Reason: {endpoint['reason']}"]] if endpoint["reason"] else []
    return [[Link(endpoint["link"])], *reason]


def _limits(facts: Facts) -> Iterator[Block]:
    yield Heading(2, ["Limits"])
    yield Listing(limit_lines(facts["limits"]))
    yield Paragraph([Code(f"GET {facts['address']}/account/limits"), " with your key says what is left of them; asking is free."])


def _errors(facts: Facts) -> Iterator[Block]:
    yield Heading(2, ["When a call is refused"])
    members: list[Span] = ["A refusal is JSON with a ", Code("code"), " that does not change, a ", Code("detail"), " in words, a "]
    yield Paragraph([*members, Code("request_id"), ", and a ", Code("type"), ": a page with cause and remedy. The commonest:"])
    rows: list[list[list[Line]]] = [
        [[[f"{each['status']} ", Code(each["code"])]], [[each["cause"]]], [[each["remedy"]]]] for each in facts["errors"]
    ]
    yield Grid(["Answer", "What it means", "What to do"], rows)


def _again(facts: Facts) -> Iterator[Block]:
    yield Heading(2, ["What to send again, and what not"])
    wait: list[Span] = ["Wait for the seconds in the header ", Code("Retry-After"), ", then send the same call again. "]
    rows: list[list[list[Line]]] = [
        [
            [["no answer: the line broke, or your time-out passed"]],
            [["Send the same call again, with the same ", Code("Idempotency-Key"), "."]],
        ],
        [[names(facts["again"])], [[*wait, "Where there is none, wait 1 second, then 2, then 4. Give up after 5 tries."]]],
        [[["any other 4xx or 5xx"]], [["Not as it is: it would be refused again. The page of its ", Code("type"), " says what to do."]]],
    ]
    yield Grid(["What came", "What to do"], rows)
    header: list[Span] = [
        "So that a repeat is not metered twice: give each new call a header ",
        Code("Idempotency-Key"),
        " with a new UUID, ",
    ]
    yield Paragraph([*header, "and each repeat the same one with the same body. It holds for 24 hours."])


def _asking(facts: Facts) -> Iterator[Block]:
    contact = facts["contact"]
    shown: Span = "whoever gave you this page"
    if contact:
        shown = Link(contact) if "://" in contact else Code(contact)
    yield Heading(2, ["Whom to ask"])
    yield Paragraph(["Ask ", shown, ", and name the ", Code("request_id"), " of the answer. Never send your key."])
    if facts["reference"]:
        yield Paragraph(["Every call and field is at ", Link(facts["reference"]), ": press Authorize and paste your key, then Try it out."])


def _name(endpoint: Facts) -> list[Span]:
    return [Code(endpoint["model"]), f" {endpoint['api_version']}"]
