"""`/admin/published-models` and `/admin/tenants/{tenant}/limits`: what `gatehouse models list` and `limits show` say, over HTTP."""

import pytest
from admin_calls import Admin
from stage import IRIS_ROW, Live, Stage, instances, key_id, wait_until

from gatehouse.principal import Rate, Scope

pytestmark = pytest.mark.endpoints("iris v1", "iris v2")


@pytest.fixture(scope="module")
def admin(live: Live) -> Admin:
    return Admin(live, live.stage.key("_operator", scopes=frozenset({Scope.ADMIN_READ})))


def test_models_are_listed_with_their_versions_and_endpoints(admin: Admin) -> None:
    found = {each["model"]: each for each in admin.all("/published-models", limit=1)}
    assert list(found) == sorted(found)
    assert found["iris"] == {
        "model": "iris",
        "versions": ["1.0.0", "2.0.0"],
        "endpoints": [
            {"api_version": "v1", "state": "active", "stable_version": "1.0.0", "bridged_to": None},
            {"api_version": "v2", "state": "active", "stable_version": "2.0.0", "bridged_to": None},
        ],
    }
    assert found["line"]["endpoints"] == []
    admin.refused("GET", "/published-models?cursor=AAAA", 422, "invalid_input")


def test_limits_are_those_of_the_plan_with_what_the_month_has_taken(admin: Admin) -> None:
    live, stage = admin.live, admin.live.stage
    key = stage.tenant("limited", "iris")
    stage.edit(key, requests=Rate(5, 1, 7))
    assert live.predict(key, instances(*[IRIS_ROW] * 3)).status_code == 200

    def metered() -> int:
        rows: int = admin.get("/tenants/limited/limits")["quota"]["rows_metered"]
        return rows

    wait_until(lambda: metered() == 3)
    limits = admin.get(f"/tenants/{admin.get('/tenants/limited')['id']}/limits")
    assert limits["plan"] == admin.get("/plans/wide")
    assert limits["quota"]["rows_left"] == limits["plan"]["rows_per_month"] - 3
    assert limits["keys"] == [{"id": key_id(key), "requests": {"count": 5, "period_s": 1, "burst": 7}, "rows": None}]
    admin.refused("GET", "/tenants/nobody/limits", 404, "not_found")


@pytest.mark.endpoints("iris v1")
def test_a_folder_of_keys_that_cannot_be_used_is_said_without_its_path(stage: Stage) -> None:
    with stage.serving(load_models="lazy") as live:
        admin = Admin(live, stage.key("_operator", scopes=frozenset({Scope.ADMIN_READ})))
        (stage.state_dir / "trusted-keys" / "wrong.pem").write_text("no key")
        detail = admin.refused("GET", "/published-models", 409, "conflict")["detail"]
    assert detail == "The folder of trusted publishing keys cannot be used, so nothing can be verified."
