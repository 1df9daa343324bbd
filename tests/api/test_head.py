"""HEAD answers what GET answers, but for the body: RFC 9110 9.1 wants both of every server."""

import pytest
from stage import Live, Stage, key_id

from gatehouse.principal import Scope


@pytest.fixture(scope="module")
def paths(live: Live, module_stage: Stage) -> list[str]:
    """Of all documented GET routes."""
    key = module_stage.tenant("reader", "iris")
    values = {"api_version": "v1", "model": "iris", "older": "v1", "key_id": key_id(key), "code": "unknown", "name": "unknown"}
    documented = live.get("/openapi.json", key).json()["paths"]
    return [path.format(**values) for path, methods in documented.items() if "get" in methods]


def test_every_route_that_answers_get_answers_head_alike_and_without_a_body(live: Live, module_stage: Stage, paths: list[str]) -> None:
    module_stage.tenant("prober", "iris")
    keys = [module_stage.key("prober", scopes={scope}) for scope in (Scope.ACCOUNT_READ, Scope.MODELS_READ, Scope.USAGE_READ)]
    keys += [module_stage.key("prober", scopes={Scope.KEYS_MANAGE}), module_stage.key("_operator", scopes={Scope.METRICS_READ})]
    found = {path: {status_of(live, path, key) for key in keys} for path in paths}
    assert {"/account", "/account/usage", "/account/keys", "/v1/models", "/v1/models/iris", "/metrics", "/health"} <= set(found)
    assert all(statuses & {200, 404} for statuses in found.values())
    assert found["/metrics"] == found["/account"] == {200, 403}, "for the same scope"


def status_of(live: Live, path: str, key: str) -> int:
    """Of GET, which must be that of HEAD."""
    headers = {"authorization": f"Bearer {key}"}
    got, head = live.client.get(path, headers=headers), live.client.head(path, headers=headers)
    assert (head.status_code, head.content) == (got.status_code, b""), path
    assert set(head.headers) == set(got.headers), path
    assert head.headers["content-type"] == got.headers["content-type"]
    return got.status_code
