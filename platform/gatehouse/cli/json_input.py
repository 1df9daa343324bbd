"""Options of a command from a JSON object on standard input, for programs: `{"tenant": "acme", "name": "nightly"}`."""

import json
from collections.abc import Sequence
from typing import Any, TextIO

from gatehouse.errors import Refused

FLAG = "--json-in"
MOST_CHARACTERS = 16_384
WITHOUT_VALUE = {"expires": "never"}
"""What null means for a member; `none` for all others."""
NOT_HERE = ("", "help", "json")
"""Options that no wish is made of."""


def with_json_input(arguments: Sequence[str], source: TextIO | None) -> list[str]:
    """The arguments, with FLAG replaced by what the object in `source` holds. Raises Refused.

    Its members are the command's long options (`requests_burst` is `--requests-burst`), and `id` the key id. A list stands for
    a text with commas, null for `none` or `never`, true for an option without a value.
    """
    if FLAG not in arguments:
        return list(arguments)
    given = [argument for argument in arguments if argument != FLAG]
    return [*given, *_arguments_of(_object(read_text(source, MOST_CHARACTERS + 1)))]


def read_text(source: TextIO | None, most: int) -> str:
    """What is given on standard input; nothing where it is closed or no text."""
    try:
        return "" if source is None else source.read(most)
    except UnicodeDecodeError:
        return ""


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, object_pairs_hook=_distinct) if len(text) <= MOST_CHARACTERS else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Refused(f'{FLAG} reads one JSON object from standard input, such as {{"tenant": "acme", "name": "nightly"}}')
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def _arguments_of(members: dict[str, Any]) -> list[str]:
    arguments = [_option(name, value) for name, value in members.items() if name != "id" and value is not False]
    # behind --, so that nothing in it is an option
    return arguments + (["--", _text("id", members["id"])] if "id" in members else [])


def _option(name: str, value: Any) -> str:
    if name in NOT_HERE:
        raise Refused(f"{FLAG}: {name!r} is no member of a wish")
    option = "--" + name.replace("_", "-")
    return option if value is True else f"{option}={_text(name, value)}"


def _text(name: str, value: Any) -> str:
    if value is None:
        return WITHOUT_VALUE.get(name, "none")
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str | int) and not isinstance(each, bool) for each in values):
        raise Refused(f"{FLAG}: the member {name[:40]!r} must be a text, a whole number, true, null or a list of texts")
    return ",".join(map(str, values))
