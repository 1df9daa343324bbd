"""The Python of a guide: converts rows and asks the newer version, with the standard library alone."""

from collections.abc import Sequence
from typing import Any

from gatehouse.migration.guide_conversion import Facts, conversions, tables
from gatehouse.migration.guide_literals import python_text

SCRIPT = """\
# Python 3.9 or later; your API key is in the environment variable KEY
import json
import os
{imports}import urllib.error
import urllib.request

URL = {url}
{conversion}

rows = [
{rows}]
request = urllib.request.Request(
    URL,
    data=json.dumps({{"instances": [to_{to}(row) for row in rows]}}).encode(),
    headers={{"Authorization": "Bearer " + os.environ["KEY"], "Content-Type": "application/json"}},
)
try:
    with urllib.request.urlopen(request) as answer:
        print(json.dumps(json.load(answer)["predictions"]))
except urllib.error.HTTPError as error:
    raise SystemExit(error.read().decode())
"""
PART = """

def part(text, separator, parts, place):
    found = text.split(separator)
    if len(found) != parts:
        raise ValueError(f"a text must have {parts} parts")
    return found[place]
"""
NUMBER = """

def number(text):
    if not re.fullmatch(r"-?(?:0|[1-9][0-9]*)(?:\\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", text) or abs(float(text)) == float("inf"):
        raise ValueError("a part must be a number")
    return float(text) if set(text) & set(".eE") else int(text)
"""


def python_script(facts: Facts, url: str, rows: Sequence[Any]) -> str:
    """A program that runs as it stands."""
    conversion = python_conversion(facts["fields"], facts["to"])
    imports = "import re\n" if "re.fullmatch" in conversion else ""
    listed = "".join(f"    {python_text(row)},\n" for row in rows)
    return SCRIPT.format(imports=imports, url=python_text(url), conversion=conversion, rows=listed, to=facts["to"])


def python_conversion(fields: Sequence[Facts], to: str) -> str:
    """The function `to_v2` and what it needs; raises KeyError or ValueError for a row that has no new one (`number` needs `re`)."""
    lines = "".join(f"        {python_text(name)}: {made},\n" for name, made in conversions(fields, Python()))
    function = f"\n\ndef to_{to}(row):\n    return {{\n{lines}    }}\n"
    return _tables(fields) + (NUMBER if "number(" in function else "") + (PART if "part(" in function else "") + function


def _tables(fields: Sequence[Facts]) -> str:
    of_target = tables(fields)
    if not of_target:
        return ""
    lines = "".join(
        f"    {python_text(name)}: {{{', '.join(f'{python_text(old)}: {python_text(new)}' for old, new in pairs)}}},\n"
        for name, pairs in of_target.items()
    )
    return f"VALUES = {{\n{lines}}}\n"


class Python:
    """How Python writes what rules do."""

    def read(self, old: Facts) -> str:
        name = python_text(old["name"])
        if old["required"]:
            return f"row[{name}]"
        return f"row.get({name})" if old.get("default") is None else f"row.get({name}, {python_text(old['default'])})"

    def unless_null(self, reads: Sequence[str], instead: Any, made: str) -> str:
        null = f"{reads[0]} is None" if len(reads) == 1 else f"None in ({', '.join(reads)})"
        return f"{python_text(instead)} if {null} else {made}"

    def literal(self, value: Any) -> str:
        return python_text(value)

    def scaled(self, read: str, times: str, plus: str, *, rounds: bool) -> str:
        return f"{f'float({read})' if rounds else read}{times}{plus}"

    def scaled_whole(self, read: str, factor: int, offset: int, *, fits: bool) -> str:
        plus = "" if not offset else f" {'+' if offset > 0 else '-'} {abs(offset)}"
        return f"int({read})" + (f" * {factor}" if factor != 1 else "") + plus

    def mapped(self, read: str, target: str) -> str:
        return f"VALUES[{python_text(target)}][{read}]"

    def part(self, read: str, field: Facts) -> str:
        part = f"part({read}, {python_text(field['separator'])}, {field['parts']}, {field['part']})"
        return f"number({part})" if field["new"]["type"] in ("number", "integer") else part

    def joined(self, reads: Sequence[str], old: Sequence[Facts], separator: str) -> str:
        texts = (f"str(int({read}))" if each["type"] == "integer" else read for read, each in zip(reads, old, strict=True))
        return f"{python_text(separator)}.join([{', '.join(texts)}])"
