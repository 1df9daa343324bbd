"""`--wait`: a command that ends when every running server has taken its change in."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from stage import IRIS_ROW, Stage, instances, key_id
from typer.testing import CliRunner

from gatehouse.cli import app, waiting
from gatehouse.db.tables import ProcessTable

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Gives a command to the stage's deployment: exit code, output, errors."""
    for name, value in {**stage.values, "GATEHOUSE_STATE_DIR": str(stage.state_dir)}.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, [*arguments], prog_name="gatehouse")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


def add_process(stage: Stage, id: str, seen_ago_s: float = 0) -> None:
    """A server that never takes anything in."""
    at = datetime.now(UTC)
    row = {"id": id, "host": "web2", "pid": 12, "started_at": at, "last_seen_at": at - timedelta(seconds=seen_ago_s), "revision_seen": 0}
    with stage.database.write() as session:
        session.execute(insert(ProcessTable).values(**row))


def test_row_12_when_the_command_ends_no_server_lets_the_key_in(stage: Stage, command: Command) -> None:
    keys = [stage.tenant("acme", "iris"), stage.key("acme")]
    with stage.serving() as first, stage.serving() as second:
        for live in (first, second):
            assert [live.predict(key, instances(IRIS_ROW)).status_code for key in keys] == [200, 200]
        code, out, _ = command("keys", "revoke", key_id(keys[0]), "--wait")
        assert [live.predict(keys[0], instances(IRIS_ROW)).status_code for live in (first, second)] == [401, 401]
        assert code == 0
        for live in (first, second):
            assert re.search(rf"^ *{live.app.process_id} .* \d+ ms *$", out, re.MULTILINE), out
        code, out, _ = command("tenants", "suspend", "acme", "--wait", "--json")
        assert [live.predict(keys[1], instances(IRIS_ROW)).status_code for live in (first, second)] == [401, 401]
        answer = json.loads(out)
    assert (code, answer["name"], answer["servers"]["missing"], answer["servers"]["silent"]) == (0, "acme", [], [])
    confirmed = answer["servers"]["confirmed"]
    assert {each["id"] for each in confirmed} == {first.app.process_id, second.app.process_id}
    assert all(0 <= each["after_ms"] < 1000 and each["pid"] > 0 and each["host"] for each in confirmed)


def test_a_grant_that_is_taken_away_is_waited_for_too(stage: Stage, command: Command) -> None:
    key = stage.tenant("acme", "iris", "line")
    with stage.serving() as live:
        assert live.predict(key, instances(IRIS_ROW)).status_code == 200
        code, out, _ = command("grants", "remove", "acme", "iris", "--wait", "--json")
        assert live.predict(key, instances(IRIS_ROW)).status_code == 404
        answer = json.loads(out)
    assert (code, [grant["model"] for grant in answer["grants"]]) == (0, ["line"])
    assert [each["id"] for each in answer["servers"]["confirmed"]] == [live.app.process_id]


def test_with_no_server_running_it_says_so_and_ends(stage: Stage, command: Command) -> None:
    code, out, error = command("keys", "revoke", key_id(stage.tenant("acme")), "--wait")
    assert (code, error) == (0, "")
    assert out.splitlines()[-1] == "no server is running: there is nothing to wait for"
    empty = {"confirmed": [], "missing": [], "silent": []}
    assert json.loads(command("tenants", "suspend", "acme", "--wait", "--json")[1])["servers"] == empty


@pytest.mark.parametrize("arguments", [("keys", "revoke"), ("tenants", "suspend"), ("grants", "remove")])
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_servers_that_do_not_confirm_are_named_and_the_exit_code_is_1(
    stage: Stage, command: Command, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, str], as_json: Any
) -> None:
    monkeypatch.setattr(waiting, "DEADLINE_S", 0.1)
    key = stage.tenant("acme", "iris")
    subject = {"keys": (key_id(key),), "tenants": ("acme",), "grants": ("acme", "iris")}[arguments[0]]
    add_process(stage, "prc_deaf")
    code, out, error = command(*arguments, *subject, "--wait", *as_json)
    assert code == 1
    assert "by prc_deaf (web2, pid 12): give the command again, or stop them" in error
    assert error.count("\n") == 1
    if as_json:
        assert json.loads(out)["servers"]["missing"] == [{"id": "prc_deaf", "host": "web2", "pid": 12}]
    else:
        assert re.search(r"prc_deaf +web2 +12 +not yet", out)


def test_a_server_that_was_not_seen_lately_is_named_without_being_waited_for(stage: Stage, command: Command) -> None:
    key = stage.tenant("acme")
    add_process(stage, "prc_silent", 60)
    code, out, _ = command("keys", "revoke", key_id(key), "--wait")
    assert code == 0
    assert "prc_silent (web2, pid 12) has not been seen since" in out
    assert "goes on with what it knows for at most 300 s" in out
    [silent] = json.loads(command("keys", "revoke", key_id(key), "--wait", "--json")[1])["servers"]["silent"]
    assert (silent["id"], silent["last_seen_at"][-1]) == ("prc_silent", "Z")


def test_without_the_flag_nothing_is_waited_for(stage: Stage, command: Command) -> None:
    add_process(stage, "prc_deaf")
    code, out, error = command("keys", "revoke", key_id(stage.tenant("acme")), "--json")
    assert (code, error, "servers" in json.loads(out)) == (0, "", False)
