"""What bad input gets: every command, option and state of the machine that can be wrong gets one line, no stack trace, and never 0."""

import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gatehouse.cli import COMMANDS, load_command

GATEHOUSE = str(Path(sys.executable).with_name("gatehouse"))
NAMED = "nosuchthing"
NONSENSE = "non:sense"
NO_SPACE = "No space left on device; make room on that disk, then run the command again"
FREE_TEXT = {
    *((f"audit {verb}", option) for verb in ("list", "export") for option in ("--actor", "--action", "--subject", "--request")),
    *((f"{noun} export", "--output") for noun in ("audit", "usage")),
    ("publishing-keys create", "--file"),
    ("serve", "--host"),
}
"""Options that take any text: a filter that fits no row, and the name of a file to be written. No host is looked up here."""


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """The words of each command, and the command."""
    for noun in COMMANDS:
        command = load_command(noun)
        verbs = getattr(command, "commands", None)
        yield from (((noun, verb), each) for verb, each in verbs.items()) if verbs else [((noun,), command)]


ALL = [pytest.param(*each, id=" ".join(each[0])) for each in commands()]


def of(command: Any, kind: str) -> list[Any]:
    return [each for each in command.params if each.param_type_name == kind]


def one_line(error: str) -> str:
    """It is one line that begins with the program's name."""
    assert error.startswith("gatehouse: "), error
    assert error.count("\n") == 1, error
    return error.removeprefix("gatehouse: ").strip()


@pytest.mark.parametrize(("words", "command"), ALL)
def test_an_unknown_option_leads_to_the_help_of_its_command(gatehouse: Any, words: tuple[str, ...], command: Any) -> None:
    said = one_line(gatehouse(*words, "--nonsense", code=2).error)
    assert said.startswith("No such option: --nonsense")
    assert said.endswith(f"See: gatehouse {' '.join(words)} --help")


@pytest.mark.parametrize(("words", "command"), [each for each in ALL if any(part.required for part in each.values[1].params)])
def test_a_missing_argument_or_option_is_named(gatehouse: Any, words: tuple[str, ...], command: Any) -> None:
    first = next(part for part in command.params if part.required)
    said = one_line(gatehouse(*words, code=2).error)
    assert said == f"Missing {first.param_type_name} {first.get_error_hint()}. See: gatehouse {' '.join(words)} --help"


@pytest.mark.parametrize(("words", "command"), ALL)
def test_nonsense_in_any_option_is_refused(
    gatehouse: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], command: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    required = [word for part in of(command, "option") if part.required for word in (part.opts[0], NAMED)]
    given = [*words, *(NAMED for _ in of(command, "argument")), *required]
    for part in of(command, "option"):
        if not part.is_flag and (" ".join(words), part.opts[0]) not in FREE_TEXT:
            answer = refused(gatehouse, *given, part.opts[0], NONSENSE)
            assert one_line(answer.error), part.opts


def refused(gatehouse: Any, *arguments: str) -> Any:
    """By 1 or 2, with nothing printed."""
    try:
        answer = gatehouse(*arguments, code=1)
    except AssertionError:
        answer = gatehouse(*arguments, code=2)
    assert answer.out == ""
    return answer


MISSPELT = [
    (["tenent", "list"], 2, "No such command 'tenent'. Did you mean 'tenants'? See: gatehouse --help"),
    (["tenants", "lst"], 2, "No such command 'lst'. Did you mean 'list'? See: gatehouse tenants --help"),
    (["models", "publish", "x", "--mode", "x"], 2, "No such option: --mode. Did you mean --model, --code? See: gatehouse"),
    (["tenants", "list", "--jsn"], 2, "No such option: --jsn. Did you mean --json? See: gatehouse tenants list --help"),
    (["tenants", "show", "acm"], 1, "no tenant 'acm'; known tenants: acme; did you mean acme?"),
    (["grants", "add", "acme", "irs"], 1, "no model 'irs'; known models: iris; did you mean iris?"),
    (["plans", "show", "trail"], 1, "no plan 'trail'; known plans: standard, trial; did you mean trial?"),
    (["keys", "create", "--tenant", "acm"], 1, "no tenant 'acm'; known tenants: acme; did you mean acme?"),
    (["keys", "revoke", "0"], 1, "no key '0': gatehouse keys list shows the ids"),
    (["endpoints", "show", "iris", "v3"], 1, "no endpoint 'iris/v3'; known endpoints: iris/v1, iris/v2; did you mean iris/v"),
    (["secrets", "promote", "AUDIT"], 1, "no secret 'AUDIT'; known secrets: GATEHOUSE_AUDIT_KEY, GATEHOUSE_KEY_PEPPER, GATEHOUSE_"),
    (["audit", "show", "77"], 1, "there is no row 77: gatehouse audit list"),
    (["notices", "show", "77"], 1, "no notice '77': gatehouse notices list"),
    (["tenants", "edit", "acme"], 2, "say what to change: --plan, --default-model or both. See: gatehouse tenants edit --help"),
    (["models", "publish", "none.joblib"], 1, "none.joblib cannot be read: No such file or directory"),
    (["tenants", "import", "none.csv"], 1, "none.csv cannot be read: No such file or directory"),
    (["publishing-keys", "trust", "none.pub"], 1, "none.pub: No such file or directory; check the path"),
    (["contracts", "show", "."], 1, ". cannot be read: Is a directory"),
    (["backup", "create", "no/backup"], 1, "no/backup cannot be written: No such file or directory; check the path"),
    (["usage", "export", "--out", "no/out"], 1, "no/out cannot be written: No such file or directory; check the path"),
    (["usage", "export", "--out", "."], 1, ". cannot be written: it is no file"),
    (["audit", "export", "--out", "/dev/full"], 1, "/dev/full cannot be written: it is no file"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), MISSPELT, ids=[" ".join(row[0]) for row in MISSPELT])
def test_what_is_misspelt_or_missing_is_said_with_what_there_is(
    two_versions: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = two_versions(*arguments, code=code)
    assert one_line(answer.error).startswith(said)
    assert answer.out == ""


def test_a_page_for_which_there_is_no_room_is_refused_by_its_name(published: Any) -> None:
    published("tenants", "create", "acme", "--models", "pair")
    said = one_line(published("tenants", "welcome", "acme", "--output", "/dev/full", code=1).error)
    assert said == f"/dev/full cannot be written: {NO_SPACE}"


SETTINGS = [
    ("GATEHOUSE_DOC=open", "GATEHOUSE_DOC is not a setting; did you mean GATEHOUSE_DOCS?"),
    ("GATEHOUSE_OLD_NAME=1", "GATEHOUSE_OLD_NAME is not a setting; remove it; .env.example lists all settings"),
    ("GATEHOUSE_DOCS=maybe", "GATEHOUSE_DOCS must be 'open', 'key' or 'off'"),
    ("GATEHOUSE_DOCS open", "settings.env: line 2 is not of the form GATEHOUSE_NAME=value"),
    ("DOCS=open", "settings.env: 'DOCS' is not a line of the form GATEHOUSE_NAME=value"),
    ("\x00\xff", "the settings cannot be read: "),
]


@pytest.mark.parametrize(("line", "said"), SETTINGS, ids=["misspelt", "dropped", "choice", "no equals", "foreign", "bytes"])
def test_settings_of_another_version_are_said_by_name(gatehouse: Any, state_dir: Path, line: str, said: str) -> None:
    (state_dir / "settings.env").write_bytes(b"# settings\n" + line.encode("latin-1") + b"\n")
    answer = gatehouse("tenants", "list", code=1)
    assert one_line(answer.error).startswith(said)
    assert answer.out == ""


@pytest.mark.parametrize("words", ["tenants list", "serve", "doctor", "status", "models list", "usage show", "backup create b"])
def test_a_wrong_folder_is_said_with_the_way_to_a_deployment(
    gatehouse: Any, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    folder = tmp_path_factory.mktemp("elsewhere")  # a deployment is looked for in the folders above too
    for name in ("STATE_DIR", "SECRET_KEY", "KEY_PEPPER", "AUDIT_KEY"):
        monkeypatch.delenv(f"GATEHOUSE_{name}")
    monkeypatch.chdir(folder)
    said = one_line(gatehouse(*words.split(), code=1).error)
    assert f"{folder}/.gatehouse/settings.env does not exist: gatehouse dev makes a local deployment" in said
    assert "GATEHOUSE_STATE_DIR names another" in said
    assert [*folder.iterdir()] == []


WITHOUT_RIGHTS = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
for capability in (1, 2, 3):  # what lets root pass by permissions; for others there is nothing to take away
    libc.prctl(24, capability, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def process(*arguments: str, output: str = os.devnull, largest: int | None = None, code: int = 1) -> str:
    """The one line of a `gatehouse` process that is refused, and that may pass by no file's permissions."""

    def limit() -> None:
        if largest is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    with Path(output).open("wb") as target:
        ended = subprocess.run(
            [sys.executable, "-S", "-c", WITHOUT_RIGHTS, GATEHOUSE, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=target,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limit,
            timeout=60,
            check=False,
        )
    assert ended.returncode == code, ended.stderr
    return one_line(ended.stderr)


def closed(file: str, mode: int) -> Callable[[Path], None]:
    return lambda state_dir: (state_dir / file).chmod(mode)


def an_unreadable_table(state_dir: Path) -> None:
    (state_dir / "tenants.csv").touch(mode=0)


DENIED = "Permission denied; run the command as the user whose it is"
NO_RIGHTS = [
    ("settings", closed("settings.env", 0), 1, "tenants list", f"the settings cannot be read: {{0}}/settings.env: {DENIED}"),
    ("database", closed("gatehouse.db", 0o400), 1, "tenants create acme", "the database failed, nothing was changed: attempt to write a"),
    (
        "table",
        an_unreadable_table,
        2,
        "tenants import {0}/tenants.csv",
        "Invalid value for 'FILE': path '{0}/tenants.csv' is not readable.",
    ),
    ("folder", closed("out", 0o500), 1, "usage export --out {0}/out/x", f"{{0}}/out/x cannot be written: {DENIED}"),
]


@pytest.mark.parametrize(("close", "code", "words", "said"), [row[1:] for row in NO_RIGHTS], ids=[row[0] for row in NO_RIGHTS])
def test_missing_rights_are_said_with_the_file(state_dir: Path, close: Callable[[Path], None], code: int, words: str, said: str) -> None:
    (state_dir / "settings.env").write_text("# settings\n")
    (state_dir / "out").mkdir()
    close(state_dir)
    assert process(*words.format(state_dir).split(), code=code).startswith(said.format(state_dir))


def test_a_taken_port_is_said_with_the_way_to_another(state_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert process("serve", "--port", port).startswith(f"port {port} is taken; stop what uses it or choose another one (--port")


@pytest.mark.parametrize(("words", "said"), [("--help", NO_SPACE), ("tenants list", NO_SPACE)])
def test_an_output_for_which_there_is_no_room_is_said(state_dir: Path, words: str, said: str) -> None:
    assert process(*words.split(), output="/dev/full") == said


def test_a_database_that_cannot_grow_is_said_with_the_remedy(state_dir: Path) -> None:
    said = process("tenants", "create", "acme", largest=8192)
    assert "disk I/O error; make room on its disk" in said
