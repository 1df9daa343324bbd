"""The JavaScript of a guide: converts rows and asks the newer version, with what Node.js 18 brings along."""

from collections.abc import Sequence
from typing import Any

from gatehouse.migration.guide_conversion import Facts, conversions, tables
from gatehouse.migration.guide_literals import javascript_name, javascript_text

SCRIPT = """\
// Node.js 18 or later, saved as move.mjs; your API key is in the environment variable KEY
const URL_OF_{to} = {url};
{conversion}
const rows = [
{rows}];
const answer = await fetch(URL_OF_{to}, {{
  method: "POST",
  headers: {{ Authorization: `Bearer ${{process.env.KEY}}`, "Content-Type": "application/json" }},
  body: JSON.stringify({{ instances: rows.map(to{to}) }}),
}});
if (!answer.ok) throw new Error(await answer.text());
console.log(JSON.stringify((await answer.json()).predictions));
"""
FIELD = """
function field(row, name, otherwise) {
  return Object.hasOwn(row, name) ? row[name] : otherwise;
}
"""
MAPPED = """
function mapped(target, value) {
  const values = VALUES.get(target);
  if (!values.has(value)) throw new Error(`no value of ${target} comes from this one`);
  return values.get(value);
}
"""
PART = """
function part(text, separator, parts, place) {
  const found = text.split(separator);
  if (found.length !== parts) throw new Error(`a text must have ${parts} parts`);
  return found[place];
}
"""
NUMBER = """
function number(text) {
  if (!/^-?(?:0|[1-9][0-9]*)(?:\\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/.test(text) || !Number.isFinite(Number(text))) {
    throw new Error("a part must be a number");
  }
  return Number(text);
}
"""


def javascript_script(facts: Facts, url: str, rows: Sequence[Any]) -> str:
    """A program that runs as it stands."""
    listed = "".join(f"  {javascript_text(row)},\n" for row in rows)
    conversion = javascript_conversion(facts["fields"], facts["to"])
    return SCRIPT.format(to=facts["to"].upper(), url=javascript_text(url), conversion=conversion, rows=listed)


def javascript_conversion(fields: Sequence[Facts], to: str) -> str:
    """The function `toV2` and what it needs; throws for a row that has no new one."""
    lines = "".join(f"    {javascript_name(name)}: {made},\n" for name, made in conversions(fields, JavaScript()))
    function = f"\nfunction to{to.upper()}(row) {{\n  return {{\n{lines}  }};\n}}\n"
    helpers = {"field(": FIELD, "mapped(": MAPPED, "part(": PART, "number(": NUMBER}
    return _tables(fields) + "".join(text for call, text in helpers.items() if call in function) + function


def _tables(fields: Sequence[Facts]) -> str:
    of_target = tables(fields)
    if not of_target:
        return ""
    lines = "".join(f"  [{javascript_text(name)}, new Map({javascript_text(pairs)})],\n" for name, pairs in of_target.items())
    return f"const VALUES = new Map([\n{lines}]);\n"


class JavaScript:
    """How JavaScript writes what rules do."""

    def read(self, old: Facts) -> str:
        name = javascript_text(old["name"])
        return f"row[{name}]" if old["required"] else f"field(row, {name}, {javascript_text(old.get('default'))})"

    def unless_null(self, reads: Sequence[str], instead: Any, made: str) -> str:
        null = " || ".join(f"{read} === null" for read in reads)
        return f"{null} ? {javascript_text(instead)} : {made}"

    def literal(self, value: Any) -> str:
        return javascript_text(value)

    def scaled(self, read: str, times: str, plus: str, *, rounds: bool) -> str:
        return f"{read}{times}{plus}"  # every number is a double here

    def scaled_whole(self, read: str, factor: int, offset: int, *, fits: bool) -> str:
        end = "" if fits else "n"
        plus = "" if not offset else f" {'+' if offset > 0 else '-'} {abs(offset)}{end}"
        times = f" * {factor}{end}" if factor != 1 else ""
        return f"{read}{times}{plus}" if fits else f"Number(BigInt({read}){times}{plus})"

    def mapped(self, read: str, target: str) -> str:
        return f"mapped({javascript_text(target)}, {read})"

    def part(self, read: str, field: Facts) -> str:
        part = f"part({read}, {javascript_text(field['separator'])}, {field['parts']}, {field['part']})"
        return f"number({part})" if field["new"]["type"] in ("number", "integer") else part

    def joined(self, reads: Sequence[str], old: Sequence[Facts], separator: str) -> str:
        texts = (f"String({read})" if each["type"] == "integer" else read for read, each in zip(reads, old, strict=True))
        return f"[{', '.join(texts)}].join({javascript_text(separator)})"
