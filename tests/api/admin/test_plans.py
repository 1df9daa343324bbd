"""`/admin/plans`: what `gatehouse plans` does, over HTTP."""

from typing import Any

import pytest
from admin_calls import Admin
from stage import Live

from gatehouse.principal import Scope


@pytest.fixture(scope="module")
def admin(live: Live) -> Admin:
    return Admin(live, live.stage.key("_operator", scopes=frozenset(Scope)))


def test_a_plan_is_made_like_trial_but_for_what_is_said(admin: Admin) -> None:
    made = admin.created("/plans", {"name": "gold", "rows_per_month": 5_000_000, "quota": "soft"})
    trial = admin.get("/plans/trial")
    assert made == trial | {"name": "gold", "rows_per_month": 5_000_000, "quota": "soft"}
    assert admin.get("/plans/gold") == made
    assert made in admin.all("/plans")
    assert admin.refused("POST", "/plans", 409, "conflict", {"name": "gold"})["detail"] == "There is a plan of this name already."


def test_an_edit_changes_what_it_names(admin: Admin) -> None:
    before = admin.created("/plans", {"name": "silver"})
    rate: dict[str, Any] = {"count": 7, "period_s": 60, "burst": 9}
    after = admin.edited("/plans/silver", {"requests": rate, "requests_mode": "observe"})
    assert after == before | {"requests": rate, "requests_mode": "observe"}
    assert admin.get("/plans/silver") == after


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"rows": None}, "/rows"),
        ({"rows_per_call": 0}, "/rows_per_call"),
        ({"rows_per_call": 2_000_000}, "/rows_per_call"),
        ({"rows_per_month": 2**63}, "/rows_per_month"),
        ({"requests": {"count": 2_000_000, "period_s": 1, "burst": 1}}, "/requests"),
        ({"quota": "none"}, "/quota"),
        ({"name": "other"}, "/name"),
        ({}, ""),
    ],
)
def test_what_no_plan_can_be_is_named(admin: Admin, body: Any, pointer: str) -> None:
    answer = admin.refused("PATCH", "/plans/trial", 422, "invalid_input", body)
    assert [error["pointer"] for error in answer["errors"]] == [pointer]
