"""A guide in the order in which a partner reads it: until when, what of my calls, which fields, which answers, code that runs."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gatehouse.migration.guide_document import (
    Block,
    Code,
    Document,
    Grid,
    Heading,
    Line,
    Link,
    Listing,
    Paragraph,
    Program,
    Strong,
    disarmed,
)
from gatehouse.migration.guide_words import calls_sentence, life_sentence, names, shown, traits, value_sentence

Facts = Mapping[str, Any]
NONE = "—"
LONGEST_CHANGE = 400
"""Characters; a map may have thousands of values."""
LANGUAGES = {
    "curl": ("sh", "The server turns the old body into the new one, which is then scored. Only the second call is metered."),
    "python": ("python", "Your program converts its rows itself, with the standard library alone."),
    "javascript": ("javascript", "The same for Node.js, with nothing installed."),
}
TITLES = {"curl": "curl", "python": "Python", "javascript": "JavaScript"}


def guide_document(guide: Facts) -> Document:
    """The whole guide."""
    parts = (_top, _calls, _steps, _fields, _gaps, _answers, _bodies, _code)
    return [block for part in parts for block in part(guide)]


def title_of(guide: Facts) -> str:
    """`Move from iris v1 to v2`."""
    return f"Move from {guide['model']} {guide['from']} to {guide['to']}"


def _top(guide: Facts) -> Iterator[Block]:
    yield Heading(1, [title_of(guide)])
    yield Paragraph([Strong(str(part)) for part in life_sentence(guide)])
    life = guide["life"] or {}
    if life.get("reason"):
        yield Paragraph([f"Reason: {life['reason']}"])
    if life.get("link"):
        yield Paragraph(["Those who run this service say more at ", Link(life["link"]), "."])


def _calls(guide: Facts) -> Iterator[Block]:
    calls = guide["calls"]
    if calls is None:
        return
    yield Heading(2, ["Your calls"])
    yield Listing([calls_sentence("This key", calls["key"], guide), calls_sentence("Your organisation", calls["tenant"], guide)])
    if not calls["failing"]:
        return
    yield Paragraph([f"Rows of your calls that could not be made rows of {guide['to']} in the last {calls['days']} days:"])
    rows = [
        [[[Code(each["field"])]], [[guide["codes"].get(each["code"], each["code"])]], [[f"{each['rows']:,}"]]] for each in calls["failing"]
    ]
    yield Grid([f"Field of {guide['from']}", "Why", "Rows"], rows)


def _steps(guide: Facts) -> Iterator[Block]:
    old, new, addresses = guide["from"], guide["to"], guide["addresses"]
    changed = any(field["operation"] not in ("keep", "default") for field in guide["fields"]) or bool(guide["dropped"])
    yield Heading(2, ["In short"])
    yield Listing(
        [
            ["Send calls to ", Code(addresses["new"]), " instead of ", Code(addresses["old"]), ". Your key stays the same."],
            [f"Send the fields of {new}, as below." if changed else f"Send the same fields: {new} takes what {old} takes."],
            [f"Read the answers of {new}, as below."],
            ["Not ready to change your program? ", Code(f"POST {addresses['translate']}"), f" makes a body of {new} from a body of {old}."],
        ],
        ordered=True,
    )


def _fields(guide: Facts) -> Iterator[Block]:
    yield Heading(2, ["Fields"])
    rows = [
        [[line for old in field["old"] for line in _field(old)] or [[NONE]], _field(field["new"]), _change(field), [_example(field)]]
        for field in guide["fields"]
    ]
    rows += [[_field(field["old"]), [[NONE]], _change(field), [[NONE]]] for field in guide["dropped"]]
    yield Grid([guide["from"], guide["to"], "What changes", "For example"], rows)


def _field(view: Facts) -> list[Line]:
    return [[Code(view["name"])], [traits(view)]]


def _change(field: Facts) -> list[Line]:
    says = field["says"]
    if len(says) > LONGEST_CHANGE:
        says = says[:LONGEST_CHANGE] + "… (the code below has all of it)"
    return [[says], *([[f"Note: {field['note']}"]] if field["note"] else [])]


def _example(field: Facts) -> Line:
    if field["operation"] == "default" or not field["after"]:
        return [NONE]
    before = ", ".join(shown(value) for value in field["before"].values())
    after = shown(next(iter(field["after"].values())))
    return [Code(before), " → ", Code(after)] if before else [Code(after)]


def _gaps(guide: Facts) -> Iterator[Block]:
    yield Heading(2, [f"Rows that {guide['to']} refuses"])
    if not guide["gaps"]:
        yield Paragraph([f"None: every row that {guide['from']} takes becomes a row that {guide['to']} takes."])
        return
    yield Listing([[*names(gap["sources"]), f" {gap['values']}: {gap['detail']}"] for gap in guide["gaps"]])


def _answers(guide: Facts) -> Iterator[Block]:
    old, new = guide["output"]["old"], guide["output"]["new"]
    yield Heading(2, ["Answers"])
    if guide["answers"] is None:
        yield Paragraph([f"Answers of {guide['to']} mean something else than those of {guide['from']}, and cannot be made into them."])
    yield Grid(["", guide["from"], guide["to"]], list(_returned(old, new)))
    for part in guide["answers"] or ():
        yield from _answer(part, guide)


def _returned(old: Facts, new: Facts) -> Iterator[list[list[Line]]]:
    if old["task"] != new["task"]:
        yield [[["task"]], [[old["task"]]], [[new["task"]]]]
    yield [[["results"]], [names(old["returns"])], [names(new["returns"])]]
    if "decimals" in old or "decimals" in new:
        yield [[["decimals"]], [[str(old.get("decimals", NONE))]], [[str(new.get("decimals", NONE))]]]


def _answer(part: Facts, guide: Facts) -> Iterator[Block]:
    if part["old"] is not None or part["new"] is not None:
        came = part["new"] or part["old"]
        yield Heading(3, [*(["Target ", Code(part["old"])] if part["old"] else ["Answer"]), ", from ", Code(came)])
    if part["task"] == "regression":
        yield Paragraph(value_sentence(part, guide))
    else:
        yield from _labels(part, guide)
    if part["note"]:
        yield Paragraph([f"Note: {part['note']}"])


def _labels(part: Facts, guide: Facts) -> Iterator[Block]:
    if all(pair["old"] == pair["new"] for pair in part["labels"]):
        yield Paragraph(["Labels keep their names."])
    else:
        rows = [[[[Code(pair["old"])]], [[Code(pair["new"])]]] for pair in part["labels"]]
        yield Grid([f"Label of {guide['from']}", f"Label of {guide['to']}"], rows)
    if part["never"]:
        yield Paragraph([f"No label of {guide['to']} stands for ", *names(part["never"]), "."])


def _bodies(guide: Facts) -> Iterator[Block]:
    if guide["examples"] is None:
        return
    yield Heading(2, ["A body before and after"])
    for version, body in (("from", "old"), ("to", "new")):
        yield Paragraph([f"{guide[version]}:"])
        yield Program("json", disarmed(json.dumps(guide["examples"][body], indent=2, ensure_ascii=False)))


def _code(guide: Facts) -> Iterator[Block]:
    if guide["code"] is None:
        return
    yield Heading(2, ["Code that runs"])
    yield Paragraph(["Put your API key into the environment variable ", Code("KEY"), ", never into the code."])
    for name, text in guide["code"].items():
        language, words = LANGUAGES[name]
        yield Heading(3, [TITLES[name]])
        yield Paragraph([words])
        yield Program(language, text)
