"""HEAD answers what GET answers, but for the body: RFC 9110 9.1 wants both of every server."""

import pytest
from logged_in import LoggedIn, logged_in
from stage import Live, Stage, key_id

from gatehouse.principal import Role, Scope


@pytest.fixture(scope="module")
def lead(module_stage: Stage) -> LoggedIn:
    module_stage.tenant("prober", "iris")
    return logged_in(module_stage, "lead", Role.TENANT_ADMIN, "prober")


@pytest.fixture(scope="module")
def paths(live: Live, module_stage: Stage, lead: LoggedIn) -> list[str]:
    """Of all documented GET routes."""
    key = module_stage.tenant("reader", "iris")
    values = {"api_version": "v1", "model": "iris", "older": "v1", "key_id": key_id(key), "code": "unknown", "name": "unknown"}
    values["person"] = lead.id
    documented = live.get("/openapi.json").json()["paths"]
    return [path.format(**values) for path, methods in documented.items() if "get" in methods]


def test_every_route_that_answers_get_answers_head_alike_without_a_body(
    live: Live, module_stage: Stage, paths: list[str], lead: LoggedIn
) -> None:
    keys = [module_stage.key("prober", scopes={scope}) for scope in (Scope.ACCOUNT_READ, Scope.MODELS_READ, Scope.USAGE_READ)]
    keys += [module_stage.key("prober", scopes={Scope.KEYS_MANAGE}), module_stage.key("_operator", scopes={Scope.METRICS_READ})]
    keys.append(lead.token(live))
    found = {path: {status_of(live, path, key) for key in keys} for path in paths}
    assert {"/account", "/account/usage", "/account/keys", "/v1/models", "/v1/models/iris", "/metrics", "/health"} <= set(found)
    assert all(statuses & {200, 404} for statuses in found.values())
    assert found["/account"] == found["/metrics"] - {401} == {200, 403}, "for the same scope; a person's token is none for /metrics"


def status_of(live: Live, path: str, key: str) -> int:
    """Of GET, which must be that of HEAD."""
    headers = {"authorization": f"Bearer {key}"}
    got, head = live.client.get(path, headers=headers), live.client.head(path, headers=headers)
    assert (head.status_code, head.content) == (got.status_code, b""), path
    assert set(head.headers) == set(got.headers), path
    assert head.headers["content-type"] == got.headers["content-type"]
    return got.status_code
