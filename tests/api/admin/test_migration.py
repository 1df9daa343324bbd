"""`/admin/migration/{model}/{old}/{new}`: the migration report over HTTP, once on SQLite and once on PostgreSQL."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from admin_calls import Admin
from past_calls import call, insert_calls
from stage import ACTOR, Stage, key_id, problem

from gatehouse.identity.store import find_tenant
from gatehouse.migration.report_facts import COLUMNS
from gatehouse.migration.transitions import Announcement
from gatehouse.operating import life
from gatehouse.operating.desk import Desk
from gatehouse.principal import Scope

REPORT = "/migration/iris/v1/v2"


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory, published: Path, module_database_url: str) -> Iterator[Admin]:
    """acme calls v1 and v2, other only v1, and v1 is deprecated."""
    stage = Stage(tmp_path_factory.mktemp("migration"), published, module_database_url, ("iris v1", "iris v2"))
    now = datetime.now(UTC)
    keys = {name: key_id(stage.tenant(name, "iris")) for name in ("acme", "other")}
    with stage.database.read() as session:
        ids = {name: tenant.id for name in keys if (tenant := find_tenant(session, name))}
    insert_calls(
        stage.database,
        *(call(now, ids[name], timedelta(hours=2), key_id=keys[name]) for name in keys),
        *(call(now, ids["acme"], timedelta(hours=1), key_id=keys["acme"], api_version="v2") for _ in range(3)),
    )
    desk = Desk(settings=stage.settings, database=stage.database, actor=ACTOR)
    life.deprecate(desk, "iris", "v1", Announcement(now.date() + timedelta(days=60), "v2"))
    with stage.serving(load_models="lazy") as live:
        yield Admin(live, stage.key("_operator", scopes=frozenset({Scope.ADMIN_READ})))
    stage.close()


def test_the_report_says_who_calls_what_and_why_not_to_switch_off(admin: Admin) -> None:
    report = admin.get(REPORT)
    assert (report["old"]["state"], report["new"]["state"], report["upgrade_rules"]) == ("deprecated", "active", True)
    tenants = {row["tenant"]: row for row in report["tenants"]}
    assert (tenants["acme"]["old_calls"], tenants["acme"]["new_calls"], tenants["acme"]["share_on_new"]) == (1, 3, 0.75)
    assert [key["old_calls"] for key in tenants["other"]["keys"]] == [1]
    assert sum(report["verdicts"].values()) == 2
    assert report["if_switched_off"]["tenants"] == 2


def test_of_one_tenant_alone_by_name_or_id(admin: Admin) -> None:
    (row,) = admin.get(f"{REPORT}?tenant=acme")["tenants"]
    assert row["tenant"] == "acme"


@pytest.mark.parametrize(
    ("query", "headers"), [("?format=csv", {}), ("", {"accept": "text/csv"}), ("?format=csv", {"accept": "application/json"})]
)
def test_as_csv_by_the_query_or_by_accept(admin: Admin, query: str, headers: dict[str, str]) -> None:
    answer = admin.send("GET", f"{REPORT}{query}", **headers)
    assert (answer.status_code, answer.headers["content-type"], answer.headers["vary"]) == (200, "text/csv; charset=utf-8", "Accept")
    header, *rows = csv.reader(io.StringIO(answer.text))
    assert (tuple(header), [row[3] for row in rows]) == (COLUMNS, ["acme", "other"])


@pytest.mark.parametrize("path", ["iris/v1/v9", "iris/v9/v2", "wine/v1/v2", "iris/1/2", "iris%00/v1/v2", f"{'i' * 64}/v1/v2"])
def test_no_report_of_what_is_not_there(admin: Admin, path: str) -> None:
    admin.refused("GET", f"/migration/{path}", 404, "not_found")


@pytest.mark.parametrize(
    ("path", "parameter"),
    [("iris/v2/v1", "new"), ("iris/v1/v1", "new"), ("iris/v1/v2?tenant=nobody", "tenant"), ("iris/v1/v2?format=xml", "format")],
)
def test_a_report_that_cannot_be_is_refused_by_its_parameter(admin: Admin, path: str, parameter: str) -> None:
    answer = admin.refused("GET", f"/migration/{path}", 422, "invalid_input")
    errors: list[Any] = answer["errors"]
    assert [error["parameter"] for error in errors] == [parameter]


def test_no_other_format_is_promised(admin: Admin) -> None:
    problem(admin.send("GET", REPORT, accept="application/xml"), 406, "not_acceptable")


GUIDE = f"{REPORT}/guide"


def test_the_guide_is_that_of_the_command_line_in_each_of_its_formats(admin: Admin) -> None:
    guide = admin.get(GUIDE)
    assert (guide["model"], guide["from"], guide["to"], guide["calls"]) == ("iris", "v1", "v2", None)
    assert guide["life"]["state"] == "deprecated"
    forms = {"text/markdown": ("markdown", "# Move from iris v1 to v2\n"), "text/html": ("html", "<!DOCTYPE html>")}
    for media_type, (name, start) in forms.items():
        by_accept, by_query = admin.send("GET", GUIDE, accept=media_type), admin.send("GET", f"{GUIDE}?format={name}")
        assert by_accept.headers["content-type"] == f"{media_type}; charset=utf-8"
        assert (by_accept.headers["vary"], by_accept.text) == ("Accept", by_query.text)
        assert by_query.text.startswith(start)
    admin.refused("GET", GUIDE, 406, "not_acceptable", accept="text/csv")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("iris/v1/v9/guide", 404, "not_found"),
        ("wine/v1/v2/guide", 404, "not_found"),
        ("iris/1/2/guide", 404, "not_found"),
        ("iris/v2/v1/guide", 422, "invalid_input"),
        ("iris/v1/v2/guide?format=pdf", 422, "invalid_input"),
        ("iris/v1/v2/guide?tenant=acme", 422, "invalid_input"),
    ],
)
def test_a_guide_that_cannot_be_is_refused(admin: Admin, path: str, status: int, code: str) -> None:
    admin.refused("GET", f"/migration/{path}", status, code)


def test_a_contract_that_cannot_be_verified_is_said_without_its_path(admin: Admin) -> None:
    contract = admin.live.stage.state_dir / "models" / "iris" / "2.0.0" / "contract.toml"
    kept = contract.read_bytes()
    contract.chmod(0o600)
    contract.write_bytes(kept + b"\n")
    try:
        detail = admin.refused("GET", f"{GUIDE}", 409, "conflict")["detail"]
    finally:
        contract.write_bytes(kept)
    assert detail == "Iris 2.0.0 cannot be verified here, so no server would load it."
