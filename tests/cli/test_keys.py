"""`gatehouse keys` and `scripts/manage_keys.py`: a key is shown once, with a first call, and can be revoked."""

import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from audit_keys import AUDIT_KEYS
from sqlalchemy import update

from gatehouse.cli.json_input import with_json_input
from gatehouse.db.session import open_database
from gatehouse.db.tables import EndpointTable
from gatehouse.errors import Refused
from gatehouse.identity.api_keys import checksum, key_id_of, mint_key

SCRIPT = Path(__file__).parents[2] / "scripts" / "manage_keys.py"
KEY = re.compile(r"gate_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}")


@pytest.fixture
def acme(published: Any) -> Any:
    published("tenants", "create", "acme", "--models", "pair")
    return published


def test_a_key_is_shown_once_with_a_call_of_the_contracts_example(acme: Any) -> None:
    out = acme("keys", "create", "--tenant", "acme").out
    [key] = KEY.findall(out)
    assert "shown once" in out
    body = '{"instances": [{"width": 0.5, "height": -1.5}]}'
    assert (
        f"""curl -s http://127.0.0.1:8000/v1/models/pair/predict -H "Authorization: Bearer $KEY" \
-H 'Content-Type: application/json' -d '{body}'"""
        in out
    )
    assert not KEY.findall(acme("keys", "list").out + acme("keys", "list", "--json").out)
    assert key_id_of(key) in acme("keys", "list").out


def test_the_first_call_goes_to_the_public_address(acme: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE_PUBLIC_URL", "https://models.example.org/")
    assert "curl -s https://models.example.org/v1/models/pair/predict" in acme("keys", "create", "--tenant", "acme").out


def test_a_key_without_a_contract_to_read_still_gets_its_call(acme: Any, state_dir: Path) -> None:
    (state_dir / "models" / "pair" / "1.0.0" / "contract.toml").write_text("changed")
    out = acme("keys", "create", "--tenant", "acme").out
    assert out.rstrip().endswith('/v1/models/pair/predict -H "Authorization: Bearer $KEY"')


@pytest.mark.parametrize("state", ["preview", "retired"])
def test_a_grant_that_covers_nothing_yet_is_not_shown_a_call_that_would_fail(acme: Any, state_dir: Path, state: str) -> None:
    database = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}", AUDIT_KEYS)
    with database.write() as session:
        session.execute(update(EndpointTable).values(state=state))
    database.close()
    out = acme("keys", "create", "--tenant", "acme").out
    assert out.rstrip().endswith('curl -s http://127.0.0.1:8000/v1/models -H "Authorization: Bearer $KEY"')


def test_json_of_a_new_key_is_one_object_with_id_and_key(acme: Any) -> None:
    made = acme("keys", "create", "--tenant", "acme", "--name", "nightly", "--expires", "90d", "--json").json
    assert key_id_of(made["key"]) == made["id"]
    assert (made["tenant"], made["name"], made["state"]) == ("acme", "nightly", "active")
    away = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89, hours=23) < away <= timedelta(days=90)
    shown = {name: made[name] for name in made if name != "key"}
    assert acme("keys", "list", "--tenant", "acme", "--json").json == [shown]
    assert acme("keys", "show", made["id"], "--json").json == shown


def test_a_key_takes_scopes_and_limits_of_its_own(acme: Any) -> None:
    wish = ("--scopes", "models:read,predictions:create", "--requests", "60/min", "--requests-burst", "3", "--rows", "100/s")
    made = acme("keys", "create", "--tenant", "acme", *wish, "--json").json
    assert made["scopes"] == ["models:read", "predictions:create"]
    assert made["requests"] == {"count": 60, "period_s": 60, "burst": 3}
    assert made["rows"] == {"count": 100, "period_s": 1, "burst": 100}
    assert "60/min, burst 3 calls; 100/s, burst 100 rows" in acme("keys", "list").out


def test_a_key_can_be_allowed_nothing(acme: Any) -> None:
    made = acme("keys", "create", "--tenant", "acme", "--requests", "0/s", "--json").json
    assert made["requests"] == {"count": 0, "period_s": 1, "burst": 0}
    assert acme("keys", "edit", made["id"], "--requests", "none", "--json").json["requests"] is None


def test_revoking_by_id_holds_and_can_be_said_twice(acme: Any) -> None:
    made = acme("keys", "create", "--tenant", "acme", "--json").json
    assert f"key {made['id']} (default) of acme is revoked since" in acme("keys", "revoke", made["id"]).out
    again = acme("keys", "revoke", made["id"], "--json").json
    assert (again["state"], "key" in again) == ("revoked", False)
    assert acme("keys", "list", "--json").json[0]["revoked_at"] == again["revoked_at"]


def test_row_10_a_whole_key_is_not_repeated_when_it_is_given_as_an_id(acme: Any) -> None:
    made = acme("keys", "create", "--tenant", "acme", "--json").json
    remedy = "name the key by its id, never by the whole key: gatehouse keys list; a leaked one: gatehouse keys revoke - < FILE"
    for command in (("revoke",), ("show",), ("edit", "--name", "other"), ("rotate",)):
        for text in (made["key"], made["key"][5:], made["key"][22:], made["key"] + "x"):
            answer = acme("keys", *command, text, code=1)
            assert (answer.error, answer.out) == (f"gatehouse: {remedy}\n", "")


def test_keys_of_the_deployment_itself(acme: Any) -> None:
    out = acme("keys", "create", "--tenant", "_operator", "--scopes", "admin:read,admin:write").out
    assert "_operator calls no model" in out
    assert "admin:write" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--tenant", "acmee"), "no tenant 'acmee'; known tenants: acme; did you mean acme?"),
        (("--tenant", "acme", "--requests", "50/s"), "plan trial lets in 5 requests in 1 s, burst 20"),
        (("--tenant", "acme", "--scopes", "admin:read"), "a key of acme cannot have admin:read"),
        (("--tenant", "acme", "--expires", "2001-01-01"), "the key would have expired at 2001-01-01 00:00 UTC"),
        (("--tenant", "acme", "--expires", "9000-01-01"), "the key would expire in 9000 or later: leave the end out"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused_in_one_line(acme: Any, arguments: tuple[str, ...], said: str) -> None:
    answer = acme("keys", "create", *arguments, code=1)
    assert said in answer.error
    assert (answer.out, answer.error.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--scopes", "everything"), "no scope 'everything'; the scopes are predictions:create"),
        (("--expires", "soon"), "write a moment as 90d, 12h, 2027-01-31"),
        (("--expires", "9999-12-31T23:59:59-14:00"), "write a moment as 90d, 12h, 2027-01-31"),
        (("--expires", "0001-01-01T00:00:00+14:00"), "write a moment as 90d, 12h, 2027-01-31"),
        (("--requests", "fast"), "write a rate as 5/s"),
        (("--requests-burst", "5"), "--requests-burst needs --requests"),
        (("--requests", "none", "--requests-burst", "5"), "--requests-burst needs a rate"),
        (("--networks", "10.0.0.1/8"), "a network has bits set behind its prefix length: write 10.0.0.0/8"),
        (("--networks", ","), "write networks as 10.0.0.0/8,2001:db8::/32"),
        (("--networks", "office"), "write a network as 10.0.0.0/8"),
    ],
)
def test_what_cannot_be_read_is_a_usage_error(acme: Any, arguments: tuple[str, ...], said: str) -> None:
    assert said in acme("keys", "create", "--tenant", "acme", *arguments, code=2).error
    made = acme("keys", "create", "--tenant", "acme", "--json").json
    assert said in acme("keys", "edit", made["id"], *arguments, code=2).error


def test_an_edit_names_what_it_changes(acme: Any) -> None:
    assert "say what to change: --name" in acme("keys", "edit", "3kTMd91QbLx07GzW", code=2).error


@pytest.mark.parametrize("grace", ["soon", "-1h", "24", "1.5h"])
def test_a_grace_that_cannot_be_read_is_a_usage_error(acme: Any, grace: str) -> None:
    assert "write a span as 24h, 7d, 30min or 0" in acme("keys", "rotate", "3kTMd91QbLx07GzW", f"--grace={grace}", code=2).error


def test_an_edit_changes_what_it_names_and_takes_away_by_never_and_none(acme: Any) -> None:
    wish = ("--expires", "9d", "--networks", "192.0.2.0/24,2001:db8::/32", "--requests", "2/s", "--requests-burst", "7", "--rows", "5/s")
    made = acme("keys", "create", "--tenant", "acme", *wish, "--json").json
    assert made["networks"] == ["192.0.2.0/24", "2001:db8::/32"]
    edited = acme("keys", "edit", made["id"], "--name", "weekly", "--scopes", "models:read", "--requests-burst", "9", "--json").json
    changed = {"name": "weekly", "scopes": ["models:read"], "requests": {"count": 2, "period_s": 1, "burst": 9}}
    assert edited == {name: made[name] for name in made if name != "key"} | changed
    assert "a key's name has 1 to 63" in acme("keys", "edit", made["id"], "--name", "", code=1).error
    out = acme("keys", "edit", made["id"], "--expires", "never", "--networks", "none", "--requests", "none", "--rows", "none").out
    assert "from:       anywhere" in out
    assert "expires never" in out
    assert "limits:     those of the plan" in out


def test_a_rotated_key_keeps_its_id_and_says_until_when_the_secret_before_works(acme: Any) -> None:
    made = acme("keys", "create", "--tenant", "acme", "--json").json
    rotated = acme("keys", "rotate", made["id"], "--json").json
    assert key_id_of(rotated["key"]) == rotated["id"] == made["id"]
    assert rotated["key"] != made["key"]
    away = datetime.fromisoformat(rotated["grace_ends_at"]) - datetime.fromisoformat(rotated["rotated_at"])
    assert away == timedelta(hours=24)
    out = acme("keys", "rotate", made["id"], "--grace", "0").out
    assert "has a new secret; the one before works no more" in out
    assert len(KEY.findall(out)) == 1
    assert "; the one before works until" in acme("keys", "rotate", made["id"], "--grace", "30min").out
    assert "the grace is 0 to 30 days" in acme("keys", "rotate", made["id"], "--grace", "31d", code=1).error


@pytest.mark.parametrize("command", [("edit", "--name", "other"), ("rotate",)])
def test_a_revoked_key_stays_as_it_is(acme: Any, command: tuple[str, ...]) -> None:
    made = acme("keys", "create", "--tenant", "acme", "--json").json
    acme("keys", "revoke", made["id"])
    assert "the key is revoked since" in acme("keys", *command, made["id"], code=1).error
    assert f"key {made['id']} (default) of acme is revoked" in acme("keys", "show", made["id"]).out


def test_a_found_key_is_identified_with_what_its_secret_is_worth(acme: Any) -> None:
    made = acme("keys", "create", "--tenant", "acme", "--name", "nightly", "--json").json
    first, other = made["key"], acme("keys", "create", "--tenant", "acme", "--json").json["key"]

    def identified(text: str) -> tuple[str, ...]:
        found = acme("keys", "identify", "--json", given=text).json
        return found["id"], found["tenant"], found["name"], found["state"], found["secret"]

    own = (made["id"], "acme", "nightly", "active")
    assert identified(f"  {first}\n") == (*own, "current")
    body = first[:22] + other[22:-6]
    assert identified(body + checksum(body)) == (*own, "wrong")
    second = acme("keys", "rotate", made["id"], "--json").json["key"]
    assert [identified(key)[-1] for key in (first, second)] == ["previous", "current"]
    acme("keys", "rotate", made["id"], "--grace", "0")
    assert [identified(key)[-1] for key in (first, second)] == ["wrong", "wrong"], "of neither anything is kept"
    out = acme("keys", "identify", given=other).out
    assert out.startswith("the secret is right: it opens this key\nkey ")
    assert "last used never" in out
    assert other not in out


def test_a_leaked_key_is_revoked_only_if_it_opens_something(acme: Any) -> None:
    made = acme("keys", "create", "--tenant", "acme", "--json").json
    body = made["key"][:22] + acme("keys", "create", "--tenant", "acme", "--json").json["key"][22:-6]
    refused = acme("keys", "revoke", "-", given=body + checksum(body), code=1)
    assert refused.error == (
        f"gatehouse: the secret is not this key's, nothing was revoked; to revoke key {made['id']} all the same: "
        f"gatehouse keys revoke {made['id']}\n"
    )
    assert acme("keys", "show", made["id"], "--json").json["state"] == "active"
    acme("keys", "rotate", made["id"], "--grace", "1h")
    assert acme("keys", "revoke", "-", "--json", given=made["key"]).json["state"] == "revoked"


@pytest.mark.parametrize("command", [("identify",), ("revoke", "-")])
def test_what_is_no_whole_key_is_refused_and_not_repeated(acme: Any, command: tuple[str, ...]) -> None:
    assert "give the whole key on standard input" in acme("keys", *command, given=" \n", code=1).error
    answer = acme("keys", *command, given="gate_3kTMd91QbLx07GzW_short", code=1)
    assert answer.error == "gatehouse: that is no whole key: its shape or checksum is wrong; give it from 'gate_' to its last character\n"
    unknown = mint_key(b"any").text
    assert (
        acme("keys", *command, given=unknown, code=1).error
        == f"gatehouse: no key {key_id_of(unknown)!r}: gatehouse keys list shows the ids\n"
    )


def test_keys_that_still_need_an_older_pepper_are_listed(acme: Any, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = acme("keys", "create", "--tenant", "acme", "--json").json
    gone = acme("keys", "create", "--tenant", "acme", "--json").json
    acme("keys", "revoke", gone["id"])
    monkeypatch.setenv("GATEHOUSE_OTHER_KEY_PEPPERS", f"1:{os.environ['GATEHOUSE_KEY_PEPPER']}")
    monkeypatch.setenv("GATEHOUSE_KEY_PEPPER", "hM2xQ7vBn4Zt9Kc1Wy6Rj3Lp8Ds5Gf0A")
    monkeypatch.setenv("GATEHOUSE_KEY_PEPPER_VERSION", "2")
    new = acme("keys", "create", "--tenant", "acme", "--json").json
    assert (old["pepper"], new["pepper"]) == (1, 2)
    assert [key["id"] for key in acme("keys", "list", "--pepper", "1", "--json").json] == [old["id"]]
    assert [key["id"] for key in acme("keys", "list", "--pepper", "2", "--json").json] == [new["id"]]
    assert "each moves to the current pepper when it is used" in acme("keys", "list", "--pepper", "1").out
    assert acme("keys", "identify", "--json", given=old["key"]).json["secret"] == "current"
    acme("keys", "rotate", old["id"])
    assert [key["id"] for key in acme("keys", "list", "--pepper", "1", "--json").json] == [old["id"]], "its grace needs it"
    with sqlite3.connect(state_dir / "gatehouse.db") as database:  # the grace ends
        database.execute("UPDATE api_key SET grace_ends_at = '2001-01-01 00:00:00.000000'")
    database.close()
    assert acme("keys", "list", "--pepper", "1").lines == ["no key needs version 1 of the pepper: it can leave the settings"]
    monkeypatch.delenv("GATEHOUSE_OTHER_KEY_PEPPERS")
    left = acme("keys", "create", "--tenant", "acme", "--json").json
    monkeypatch.setenv("GATEHOUSE_KEY_PEPPER", "Pz6wN1mKx8Tq3Vb5Hc9Yd2Jf7Rg4Ls0E")
    monkeypatch.setenv("GATEHOUSE_KEY_PEPPER_VERSION", "3")
    assert acme("keys", "identify", "--json", given=left["key"]).json["secret"] == "unknown_pepper"


def test_an_empty_deployment_has_no_keys(gatehouse: Any) -> None:
    assert gatehouse("keys", "list").lines == ["there are no keys yet: gatehouse keys create --tenant TENANT"]
    for command in (("revoke",), ("show",), ("edit", "--name", "other"), ("rotate",)):
        assert gatehouse("keys", *command, "nope", code=1).error == "gatehouse: no key 'nope': gatehouse keys list shows the ids\n"


def test_the_script_does_a_keys_whole_life_in_json(acme: Any) -> None:
    def script(*arguments: str, given: str = "", code: int = 0) -> Any:
        done = subprocess.run(
            [sys.executable, SCRIPT, *arguments], input=given, capture_output=True, text=True, check=False, env=dict(os.environ)
        )
        assert done.returncode == code, done.stderr
        assert code == 0 or (done.stdout == "" and done.stderr.startswith("gatehouse: ") and done.stderr.count("\n") == 1), done.stderr
        return json.loads(done.stdout) if code == 0 else done.stderr

    wish = {"tenant": "acme", "name": "cron", "scopes": ["models:read", "account:read"], "requests": "2/s", "requests_burst": 4}
    made = script("create", "--json-in", given=json.dumps(wish | {"networks": ["192.0.2.0/24"], "expires": "90d"}))
    assert key_id_of(made["key"]) == made["id"]
    assert (made["name"], made["requests"]["burst"], made["networks"]) == ("cron", 4, ["192.0.2.0/24"])
    edited = script("edit", "--json-in", given=json.dumps({"id": made["id"], "networks": None, "expires": None}))
    assert (edited["networks"], edited["expires_at"]) == ([], None)
    rotated = script("rotate", made["id"], "--grace", "1h")
    assert script("identify", given=made["key"])["secret"] == "previous"
    assert [key["name"] for key in script("list", "--tenant", "acme")] == ["cron"]
    assert script("revoke", "-", given=rotated["key"])["state"] == "revoked"
    assert script("show", made["id"])["state"] == "revoked"
    assert "no key 'nope'" in script("revoke", "nope", code=1)
    assert "reads one JSON object" in script("create", "--json-in", given="[1]", code=1)


def arguments(text: str, *given: str) -> list[str]:
    return with_json_input([*given, "--json-in"], io.StringIO(text))


def test_members_of_json_become_options_and_none_of_them_a_command() -> None:
    assert arguments('{"id": "--help", "name": "--tenant", "rows_burst": 5, "wait": true, "json": false}', "edit") == [
        "edit",
        "--name=--tenant",
        "--rows-burst=5",
        "--wait",
        "--",
        "--help",
    ]
    assert arguments('{"scopes": ["a", "b"], "expires": null, "networks": null}') == ["--scopes=a,b", "--expires=never", "--networks=none"]
    assert with_json_input(["create"], io.StringIO("{}")) == ["create"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"name": "a", "name": "b"}', '{"name": 1.5}', '{"name": {}}', '{"name": [true]}', "[" * 20_000, '"' + "x" * 20_000],
)
def test_json_that_is_not_an_object_of_options_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="--json-in"):
        arguments(text)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("keys", "show", "3kTMd91QbLx07GzW", "{}"), 2),
        (("keys", "{}"), 2),
        (("{}",), 2),
        (("keys", "create", "--tenant", "{}"), 1),
        (("keys", "create", "--tenant", "acme", "--name", "{}"), 1),
        (("keys", "create", "--tenant", "acme", "--scopes", "{}"), 2),
        (("keys", "list", "--tenant", "{}"), 1),
        (("keys", "list", "--{}"), 2),
        (("keys", "list", "--json={}"), 2),
        (("tenants", "suspend", "{}"), 1),
        (("grants", "add", "{}", "pair"), 1),
        (("token-keys", "retire", "{}"), 1),
    ],
    ids=str,
)
def test_row_10_a_credential_at_the_wrong_place_is_not_repeated(acme: Any, arguments: tuple[str, ...], code: int) -> None:
    token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
    for credential in (mint_key(b"any").text, token, "gatetest_3kTMd91QbLx07GzW_abc"):
        answer = acme(*(argument.format(credential) for argument in arguments), code=code)
        assert credential[22:] not in answer.out + answer.error
        assert "[credential]" in answer.error or "does not take a value" in answer.error


def run_script(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a shell script does with `$keys`."""
    given = dict(os.environ) | {"keys": f"{sys.executable} {SCRIPT}"} | environment
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, env=given)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("$keys identify <&-", "give the whole key on standard input"),
        ("$keys revoke - <&-", "give the whole key on standard input"),
        (r"printf '\377' | $keys identify", "give the whole key on standard input"),
        ("$keys create --json-in <&-", "--json-in reads one JSON object from standard input"),
        (r"printf '{\"tenant\": \"\377\"}' | $keys create --json-in", "--json-in reads one JSON object from standard input"),
        ("""echo '{"tenant": "acme", "help": true}' | $keys create --json-in""", "'help' is no member of a wish"),
        ("""echo '{"tenant": "acme", "json": true}' | $keys create --json-in""", "'json' is no member of a wish"),
        ("""echo '{"tenant": "acme", "": true}' | $keys create --json-in""", "'' is no member of a wish"),
        ("$keys create --tenant acme >&-", "standard output is closed: a key is shown there, once, so nothing was done"),
    ],
)
def test_input_and_output_that_are_not_there_are_refused_in_one_line(acme: Any, command: str, said: str) -> None:
    done = run_script(command, PYTHONIOENCODING="utf-8:strict")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert done.stderr.startswith("gatehouse: ")
    assert said in done.stderr
    assert acme("keys", "list", "--json").json == []


def test_a_secret_that_could_not_be_written_is_told(acme: Any) -> None:
    done = run_script("$keys create --tenant acme > /dev/full", PYTHONUNBUFFERED="")
    [made] = acme("keys", "list", "--json").json
    lost = f"key {made['id']} was made and nobody knows it: gatehouse keys revoke {made['id']}"
    assert (done.returncode, done.stderr) == (1, f"gatehouse: the output cannot be written (No space left on device); {lost}\n")
    done = run_script(f"$keys rotate {made['id']} > /dev/full", PYTHONUNBUFFERED="")
    assert done.returncode == 1
    assert f"key {made['id']} has a new secret that nobody knows; the one before works until" in done.stderr
    assert done.stderr.endswith("for another key: gatehouse keys create\n")


def test_a_rotation_without_output_changes_nothing(acme: Any) -> None:
    made = acme("keys", "create", "--tenant", "acme", "--json").json
    closed = run_script(f"$keys rotate {made['id']} >&-")
    assert (closed.returncode, closed.stderr.count("\n")) == (1, 1)
    assert acme("keys", "show", made["id"], "--json").json["rotated_at"] is None
