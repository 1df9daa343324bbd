"""Every refused call under `/admin` leaves a row in the audit trail, before it is answered where the caller proved who it is."""

import secrets
from collections.abc import Callable
from typing import Any

import pytest
from admin_calls import Admin
from stage import Live, wait_until

from gatehouse.middleware.refused_admin import under_admin
from gatehouse.principal import Scope
from gatehouse.server.refusal_book import FIRST_OF_NETWORK


@pytest.fixture(scope="module")
def admin(live: Live) -> Admin:
    return Admin(live, live.stage.key("_operator", scopes=frozenset(Scope)))


@pytest.fixture(scope="module")
def partner(live: Live) -> str:
    return live.stage.tenant("refused-partner", "iris")


def row_of(admin: Admin, request_id: str) -> dict[str, Any]:
    [row] = admin.all(f"/audit?action=admin.refused&request_id={request_id}")
    return dict(row)


CALLS: dict[str, tuple[str, str, int, str]] = {
    "another scope": ("GET", "/admin/tenants", 403, "scope_missing"),
    "another case": ("GET", "/ADMIN/tenants", 404, "not_found"),
    "no such route": ("GET", "/admin/nothing", 404, "not_found"),
    "the path alone": ("GET", "/admin", 404, "not_found"),
    "another method": ("PUT", "/admin/tenants", 405, "method_not_allowed"),
}


@pytest.mark.parametrize("name", CALLS)
def test_row_49_a_refusal_says_who_what_from_where_before_it_is_answered(live: Live, admin: Admin, partner: str, name: str) -> None:
    method, path, status, code = CALLS[name]
    request_id = f"refused-{secrets.token_hex(6)}"
    answer = live.client.request(method, path, headers={"authorization": f"Bearer {partner}", "x-request-id": request_id})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    row = row_of(admin, request_id)  # the first call after the answer finds it
    assert (row["actor"], row["source"], row["subject"]) == (f"key:{partner.split('_')[1]}", "127.0.0.1", f"{method} {path}")
    assert (row["detail"]["status"], row["detail"]["code"]) == (status, code)


def test_refusals_of_an_operator_are_written_too(live: Live, admin: Admin) -> None:
    request_id = f"refused-{secrets.token_hex(6)}"
    assert admin.send("PATCH", "/plans/trial", {"rows_per_call": 0}, if_match="*", x_request_id=request_id).status_code == 422
    assert row_of(admin, request_id)["detail"]["code"] == "invalid_input"


def test_a_path_is_cut_made_safe_and_holds_no_credential(live: Live, admin: Admin, partner: str) -> None:
    request_id = f"refused-{secrets.token_hex(6)}"
    path = f"/admin/{partner}/%00%0a%e2%80%ae" + "x" * 400
    live.client.get(path, headers={"authorization": f"Bearer {partner}", "x-request-id": request_id})
    subject = row_of(admin, request_id)["subject"]
    assert partner[:20] not in subject
    assert subject.startswith("GET /admin/[credential]/%00%0A%E2%80%AE")
    assert len(subject) <= 255
    assert subject.isascii()
    assert subject.isprintable()


def test_nobody_leaves_a_few_rows_and_costs_nothing_more(live: Live, admin: Admin) -> None:
    for _ in range(3 * FIRST_OF_NETWORK):
        assert live.client.get("/admin/tenants").status_code == 401
    found: Callable[[], list[Any]] = lambda: admin.all("/audit?actor=nobody&subject=GET%20/admin/tenants")  # noqa: E731
    wait_until(lambda: len(found()) == FIRST_OF_NETWORK)
    assert {row["detail"]["code"] for row in found()} == {"credential_missing"}


def test_other_paths_leave_none(live: Live, admin: Admin, partner: str) -> None:
    request_id = f"refused-{secrets.token_hex(6)}"
    live.client.get("/account/admin", headers={"authorization": f"Bearer {partner}", "x-request-id": request_id})
    assert admin.all(f"/audit?request_id={request_id}") == []


def test_with_the_database_away_a_refusal_stays_one(live: Live, partner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OSError("gone")

    monkeypatch.setattr(live.app.refusals, "_database", type("Away", (), {"write": staticmethod(away)})())
    road: Any = live.app._road
    while type(road).__name__ != "RefusedAdmin":
        road = road.app
    monkeypatch.setattr(road, "wait_s", 0.2)
    answer = live.client.get("/admin/tenants", headers={"authorization": f"Bearer {partner}"})
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert live.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/admin", True),
        ("/admin/", True),
        ("/Admin/keys", True),
        ("//admin", True),
        ("/./admin/keys", True),
        ("/administrator", False),
        ("/v1/admin", False),
        ("/", False),
        ("", False),
    ],
)
def test_what_is_meant_for_operators(path: str, meant: bool) -> None:
    assert under_admin(path) is meant
