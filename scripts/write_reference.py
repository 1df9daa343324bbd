"""Writes docs/reference/ from the program: settings, error codes, commands and URLs; a test says when it has to be run."""

import ast
import re
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.core import TyperArgument

from gatehouse.api.openapi_predictions import prediction_paths
from gatehouse.api.openapi_scopes import needed_scopes
from gatehouse.api.paths import OPTIONAL_CREDENTIAL_PATHS, PREDICTION_PATHS, PUBLIC_PATHS
from gatehouse.app import create_app
from gatehouse.cli import COMMANDS, load_command
from gatehouse.errors import CATALOGUE
from gatehouse.principal import Scope
from gatehouse.settings import PREFIX, Settings, settings_from

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
WRITTEN = "This page is written from the program by `.venv/bin/python scripts/write_reference.py`."
ENTRY_CODES = {
    "missing_field": "A field that must be sent is not there.",
    "unknown_field": "The contract knows no such member. The detail names the nearest one that it knows.",
    "wrong_type": 'The value is of another type than the contract\'s. Nothing is converted: `"5"` is a text, not a number.',
    "null_not_allowed": "`null` was sent where the contract wants a value.",
    "not_an_integer": "A whole number is wanted, `5` or `5.0`.",
    "out_of_range": "The number is outside the contract's range, which the entry holds as `minimum` and `maximum`.",
    "not_allowed": "The text is none of those that the contract allows. They are compared byte for byte.",
    "too_long": "The text has more characters than the contract allows.",
    "wrong_shape": "The body, or a row of it, is neither records nor columns. The detail shows the right one.",
    "wrong_length": "A row has more or fewer values than `columns` has names.",
    "duplicate_column": "A name stands twice in `columns`.",
    "empty": "A list must hold at least one entry.",
    "unknown_output": "`outputs` names something that this contract does not answer.",
    "too_many_rows": "The call has more rows than your plan allows in one. Split them over several calls.",
    "wrong_parts": "A text that the next API version takes apart has more or fewer parts than it should.",
}
"""What an entry of `errors` says of a prediction's body; `_entry_codes` finds the same ones in the sources."""


def pages() -> dict[str, str]:
    """The whole text of each page, by its name."""
    return {"settings.md": settings_page(), "errors.md": errors_page(), "commands.md": commands_page(), "http.md": http_page()}


def settings_page() -> str:
    """Names, types and defaults from `settings.py`, meanings from the comments of `.env.example`."""
    meanings = _comments((ROOT / ".env.example").read_text(encoding="utf-8"))
    rows = [
        (f"`{PREFIX}{name.upper()}`", _kind(field), _default(field), meanings[PREFIX + name.upper()])
        for name, field in Settings.model_fields.items()
    ]
    head = f"""# Settings

{WRITTEN} What each does in use: [operations](../operations.md).

A setting is read from the environment, else from `settings.env` in the state folder (`.gatehouse`). One that is missing, weak, malformed or
unknown stops the start with a line that names it. `.env.example` is a settings file with all of them.

"""
    return head + _table(("setting", "takes", "default", "meaning"), rows)


def _comments(text: str) -> dict[str, str]:
    """Name to the comment above its line."""
    return {name: meaning for meaning, name in re.findall(r"^# (.*)\n(?:# )?(GATEHOUSE_\w+)=", text, re.MULTILINE)}


def _kind(field: FieldInfo) -> str:
    kind: Any = field.annotation
    if get_origin(kind) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(kind))
    bounds = [f"{words} {getattr(bound, name):,}" for bound in field.metadata for name, words in _BOUNDS.items() if hasattr(bound, name)]
    return ", ".join([_KINDS[kind], *bounds])


_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most"}
_KINDS = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`", Path: "path", SecretStr: "text, secret"}


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "must be set" if field.annotation is SecretStr else "found"
    value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    return f"`{str(value).lower() if isinstance(value, bool) else value}`" if str(value) else "empty"


def errors_page() -> str:
    """The catalogue, and what an entry of a 422 can say."""
    problems = sorted(CATALOGUE.values(), key=lambda problem: problem.status)
    catalogue = [(str(one.status), f"`{one.code}`", one.cause, one.remedy, "yes" if one.passes else "no") for one in problems]
    if set(ENTRY_CODES) != _entry_codes():
        raise SystemExit(f"ENTRY_CODES and the sources differ in {sorted(set(ENTRY_CODES) ^ _entry_codes())}: give each a line")
    head = f"""# Error codes

{WRITTEN}

Every error is a problem document (RFC 9457, `application/problem+json`): `type`, `title`, `status`, `detail`, `code`, `request_id`.
Programs decide by `code`, which does not change. `type` is a page of the server that says the same as this table. Where the last column
says yes, wait for the seconds in `Retry-After`, or a moment where there is none, and send the same call again.
`POST /oauth/token` and `POST /oauth/revoke` alone answer in the words of RFC 6749 (`error`, `error_description`).

"""
    between = """
## Entries of `invalid_input`

Of a prediction that does not fit its contract, 422 `invalid_input`, `errors` lists what is wrong and where. What a row
of an older API version lacks for the next one is said with `upgrade_` before the code ([upgrade rules](../contracts.md#upgrade-rules)).

"""
    entries = [(f"`{code}`", meaning) for code, meaning in ENTRY_CODES.items()]
    columns = ("status", "code", "cause", "remedy", "the same call again")
    return head + _table(columns, catalogue) + between + _table(("code", "means"), entries)


def _entry_codes() -> set[str]:
    """Each code that is written in `contracts/`, as the first text of a fault or the second of a refusal."""
    place = {"Fault": 0, "refusal": 1, "refuse_later": 1}
    found: set[str] = set()
    for file in (ROOT / "platform" / "gatehouse" / "contracts").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                at = place.get(getattr(node.func, "id", getattr(node.func, "attr", "")))
                if at is not None and len(node.args) > at and isinstance(code := node.args[at], ast.Constant):
                    found.add(str(code.value))
    return found


def commands_page() -> str:
    """Every command as its `--help` has it."""
    head = f"""# Commands

{WRITTEN} `gatehouse COMMAND --help` says the same at the shell.

Exit codes: 0 done, 1 refused with one line that says what to do, 2 not a command. `-h` and `--help` work everywhere.

"""
    nouns = _table(("command", "is for"), [(f"[`{noun}`](#gatehouse-{noun})", line) for noun, (_, line) in COMMANDS.items()])
    return head + nouns + "".join(_command(load_command(noun), f"gatehouse {noun}", "##") for noun in COMMANDS)


def _command(command: Any, name: str, level: str) -> str:
    """One command and, of a group, those in it."""
    context = command.make_context(name, [], resilient_parsing=True)
    verbs = getattr(command, "commands", {})
    said, _, examples = f"{command.help}\n{command.epilog or ''}".partition("Example:")
    text = f"\n{level} {name}\n\n{_flat(said)}\n"
    if not verbs:
        text += f"\n`{' '.join([name, *command.collect_usage_pieces(context)])}`\n"
        shown = [(one, one.get_help_record(context)) for one in command.params]
        rows = [(f"`{record[0]}`", _flat(record[1])) for one, record in shown if record is not None]
        arguments = any(isinstance(one, TyperArgument) for one, _ in shown)
        text += "\n" + _table(("argument or option" if arguments else "option", ""), rows) if rows else ""
        text += "\nFor example " + ", ".join(f"`{example}`" for example in _examples(examples)) + ".\n"
    return text + "".join(_command(inner, f"{name} {verb}", "###") for verb, inner in verbs.items())


def _examples(text: str) -> list[str]:
    """The commands of a help's last lines; a line that ends with a backslash goes on."""
    lines = text.replace("\\\n", " ").splitlines()
    return [_flat(line) for line in lines if line.strip()]


def http_page() -> str:
    """Every URL of an app on an empty folder."""
    head = f"""# URLs

{WRITTEN} What they take and answer is in [HTTP](../http.md), who may call
what in [security](../security.md#who-may-call-what), and each body's schema in the server's own `/docs` and `/openapi.json`.

Whatever answers GET answers HEAD too. `{{api_version}}` is `v1`, `v2`, …; a scope in the second column is what the
credential must have, `any` is any credential, `none` none.

"""
    return head + _table(("URL", "scope", "does"), [(f"`{route}`", scope, does) for route, scope, does in routes()])


def routes() -> Iterator[tuple[str, str, str]]:
    """`METHOD /path`, the scope, and what it does: predictions first, then by path."""
    documented = prediction_paths([])
    for path in PREDICTION_PATHS:
        summary = documented[path.format(api_version="v1", model="{model}")]["post"]["summary"]
        yield f"POST {path}", f"`{Scope.PREDICTIONS_CREATE}`", summary.replace(" v1", " `{api_version}`")
    with tempfile.TemporaryDirectory() as state:
        secret = {PREFIX + name: secrets.token_urlsafe(32) for name in ("SECRET_KEY", "KEY_PEPPER", "AUDIT_KEY")}
        application = create_app(settings_from(secret, Path(state)))
        try:
            yield from sorted(_rest_routes(_fastapi_in(application)), key=lambda route: route[0].split(" ")[::-1])
        finally:
            application.close()


def _fastapi_in(application: Any) -> FastAPI:
    """The app behind the middleware and the dispatcher."""
    road = application._road
    while hasattr(road, "app"):
        road = road.app
    rest: FastAPI = road._rest
    return rest


def _rest_routes(app: FastAPI) -> Iterator[tuple[str, str, str]]:
    needed = needed_scopes(app.routes)
    public = PUBLIC_PATHS | {"/errors/{code}", "/docs", "/docs/assets/{name}", "/openapi.json"}
    for context in iter_route_contexts(app.routes):
        route: Any = context.route
        for method in sorted((context.methods or set()) - {"HEAD"}):
            if not route.summary:
                raise SystemExit(f"{method} {context.path} has no summary")
            named = sorted(f"`{scope}`" for scope in needed[str(context.path), method.lower()])
            keyless = "none, or more with `admin:read`" if context.path in OPTIONAL_CREDENTIAL_PATHS else "none"
            open_to_all = context.path in public | OPTIONAL_CREDENTIAL_PATHS
            yield f"{method} {context.path}", " ".join(named) or (keyless if open_to_all else "any"), route.summary


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *(tuple(_cell(cell) for cell in row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(text: str) -> str:
    text = text.replace("|", "\\|")
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;") for part in re.split(r"(`[^`]*`)", text))


def _flat(text: str) -> str:
    return " ".join(text.replace("\b", " ").split())


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for page, content in pages().items():
        (FOLDER / page).write_text(content, encoding="utf-8")
