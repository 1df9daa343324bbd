"""Values as they stand in the code of a guide. Names and categories are texts of operators: none can end a literal or hide in it."""

import json
import shlex
from typing import Any


def json_text(value: Any) -> str:
    """JSON in one line, its texts readable, but for what no screen shows as itself (controls, blanks, marks of direction)."""
    return "".join(map(_as_json, json.dumps(value, ensure_ascii=False, allow_nan=False)))


def python_text(value: Any) -> str:
    """A Python literal."""
    if isinstance(value, str):
        return "".join(map(_as_python, json.dumps(value, ensure_ascii=False)))
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(python_text, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{python_text(name)}: {python_text(each)}" for name, each in value.items()) + "}"
    return repr(value)


def javascript_text(value: Any) -> str:
    """A JavaScript literal, in which `__proto__` is a name like any other."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(javascript_text, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{javascript_name(name)}: {javascript_text(each)}" for name, each in value.items()) + "}"
    return json_text(value)


def javascript_name(name: str) -> str:
    """A member's name in an object literal."""
    return f"[{json_text(name)}]" if name == "__proto__" else json_text(name)


def shell_text(text: str) -> str:
    """One word of a POSIX shell."""
    return shlex.quote(text)


def _as_json(character: str) -> str:
    if character.isprintable():
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _as_python(character: str) -> str:
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
