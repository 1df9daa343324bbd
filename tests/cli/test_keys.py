"""`gatehouse keys` and `scripts/manage_keys.py`: a key is shown once, with a first call, and can be revoked."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from gatehouse.db.session import open_database
from gatehouse.db.tables import EndpointTable
from gatehouse.identity.api_keys import key_id_of

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
    database = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}")
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
    assert acme("keys", "list", "--tenant", "acme", "--json").json == [{name: made[name] for name in made if name != "key"}]


def test_a_key_takes_scopes_and_limits_of_its_own(acme: Any) -> None:
    wish = ("--scopes", "models:read,predictions:create", "--requests", "60/min", "--requests-burst", "3", "--rows", "100/s")
    made = acme("keys", "create", "--tenant", "acme", *wish, "--json").json
    assert made["scopes"] == ["models:read", "predictions:create"]
    assert made["requests"] == {"count": 60, "period_s": 60, "burst": 3}
    assert made["rows"] == {"count": 100, "period_s": 1, "burst": 100}
    assert "60/min, burst 3 calls; 100/s, burst 100 rows" in acme("keys", "list").out


def test_revoking_by_id_holds_and_can_be_said_twice(acme: Any) -> None:
    made = acme("keys", "create", "--tenant", "acme", "--json").json
    assert f"key {made['id']} (default) of acme is revoked since" in acme("keys", "revoke", made["id"]).out
    again = acme("keys", "revoke", made["id"], "--json").json
    assert (again["state"], "key" in again) == ("revoked", False)
    assert acme("keys", "list", "--json").json[0]["revoked_at"] == again["revoked_at"]


def test_row_10_a_whole_key_is_not_repeated_when_it_is_given_as_an_id(acme: Any) -> None:
    made = acme("keys", "create", "--tenant", "acme", "--json").json
    answer = acme("keys", "revoke", made["key"], code=1)
    assert answer.error == "gatehouse: name the key by its id, never by the whole key: gatehouse keys list\n"


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
        (("--requests", "fast"), "write a rate as 5/s"),
        (("--requests-burst", "5"), "--requests-burst needs --requests"),
    ],
)
def test_what_cannot_be_read_is_a_usage_error(acme: Any, arguments: tuple[str, ...], said: str) -> None:
    assert said in acme("keys", "create", "--tenant", "acme", *arguments, code=2).error


def test_an_empty_deployment_has_no_keys(gatehouse: Any) -> None:
    assert gatehouse("keys", "list").lines == ["there are no keys yet: gatehouse keys create --tenant TENANT"]
    assert gatehouse("keys", "revoke", "nope", code=1).error == "gatehouse: no key 'nope'; there are no keys yet\n"


def test_the_script_for_shells_makes_lists_and_revokes(acme: Any) -> None:
    def script(*arguments: str) -> Any:
        done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=True, env=dict(os.environ))
        return json.loads(done.stdout)

    made = script("create", "--tenant", "acme", "--name", "cron")
    assert key_id_of(made["key"]) == made["id"]
    assert [key["name"] for key in script("list", "--tenant", "acme")] == ["cron"]
    assert script("revoke", made["id"])["state"] == "revoked"
    refused = subprocess.run([sys.executable, SCRIPT, "revoke", "nope"], capture_output=True, text=True, check=False, env=dict(os.environ))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("gatehouse: no key 'nope'")
