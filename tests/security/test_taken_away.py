"""A call that was let in and then sends its body slowly gains nothing that outlives what was taken away meanwhile."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from stage import ACTOR, IRIS_ROW, Live, Stage, instances, key_id, token_of, wait_until
from wire import Answer, head, wire

from gatehouse.identity import keys
from gatehouse.identity.networks import parse_networks
from gatehouse.identity.tenants import remove_grant
from gatehouse.principal import TENANT_SCOPES, Scope

TakeAway = Callable[[Live, str, str], object]
"""Of a server, a key and the credential that was got by it."""


def revoke_token(live: Live, key: str, token: str) -> None:
    form = {"client_id": key_id(key), "client_secret": key, "token": token}
    assert live.client.post("/oauth/revoke", data=form).status_code == 200


def suspend(stage: Stage, key: str) -> None:
    stage.suspend(keys.show_key(stage.database, key_id(key)).tenant)


WAYS: dict[str, TakeAway] = {
    "key revoked": lambda live, key, _: live.stage.revoke(key),
    "secret rotated away": lambda live, key, _: live.stage.rotate(key, timedelta(0)),
    "tenant suspended": lambda live, key, _: suspend(live.stage, key),
    "network taken": lambda live, key, _: live.stage.edit(key, networks=parse_networks(["192.0.2.0/24"])),
    "scope taken": lambda live, key, _: live.stage.edit(key, scopes=frozenset({Scope.MODELS_READ})),
}
CASES = [(way, False) for way in WAYS] + [(way, True) for way in (*WAYS, "token revoked")]
WAYS["token revoked"] = revoke_token


def change(live: Live, method: str, path: str, credential: str, body: dict[str, Any], meanwhile: Callable[[], object]) -> Answer:
    """A change of keys, see `slowly`."""
    return slowly(live, f"{method} /account/keys{path}", credential, body, meanwhile)


def slowly(live: Live, target: str, credential: str, body: dict[str, Any], meanwhile: Callable[[], object]) -> Answer:
    """A call of which the body is sent once it has been let in and `meanwhile` is done."""
    content = json.dumps(body).encode()
    fields = ("Content-Type: application/json", f"Content-Length: {len(content)}", "Expect: 100-continue")
    method = target.split(" ")[0]
    with wire(live.port) as connection:
        connection.send(head(target, f"Authorization: Bearer {credential}", *fields))
        assert connection.answer(method).status == 100, "it is let in"
        meanwhile()
        return connection.send(content).answer(method)


@pytest.mark.parametrize(("way", "by_token"), CASES, ids=lambda value: str(value))
def test_row_12_36_and_37_a_change_of_keys_under_way_gains_nothing_once_its_credential_is_over(
    live: Live, way: str, by_token: bool
) -> None:
    tenant = f"t{len(keys.list_keys(live.stage.database))}"
    live.stage.tenant(tenant, "iris")
    other = key_id(live.stage.key(tenant, scopes=frozenset({Scope.MODELS_READ})))
    for method, path, body in (
        ("POST", "", {"scopes": ["models:read"]}),
        ("PATCH", f"/{other}", {"name": "mine"}),
        ("POST", f"/{other}/rotate", {"grace_s": 0}),
    ):
        own = live.stage.key(tenant, scopes=TENANT_SCOPES)
        credential = token_of(live, own) if by_token else own
        before = [key.id for key in keys.list_keys(live.stage.database, tenant)], keys.show_key(live.stage.database, other)
        answer = change(live, method, path, credential, body, lambda: WAYS[way](live, own, credential))  # noqa: B023
        expected = (403, "scope_missing") if way == "scope taken" else (401, "credential_invalid")
        assert (answer.status, answer.json()["code"]) == expected
        assert ([key.id for key in keys.list_keys(live.stage.database, tenant)], keys.show_key(live.stage.database, other)) == before
        if way == "tenant suspended":
            return


@pytest.mark.parametrize("by_token", [False, True])
def test_row_13_a_change_of_keys_under_way_goes_on_in_the_grace_of_its_secret(live: Live, by_token: bool) -> None:
    live.stage.tenant(f"steady{by_token}".lower(), "iris")
    own = live.stage.key(f"steady{by_token}".lower(), scopes=TENANT_SCOPES)
    credential = token_of(live, own) if by_token else own
    answer = change(live, "POST", "", credential, {"scopes": ["models:read"]}, lambda: live.stage.rotate(own))
    assert answer.status == 201


@pytest.mark.parametrize(("way", "by_token"), CASES, ids=lambda value: str(value))
def test_row_12_36_and_37_a_prediction_under_way_is_refused_once_its_credential_is_over(live: Live, way: str, by_token: bool) -> None:
    tenant = f"p{len(keys.list_keys(live.stage.database))}"
    live.stage.tenant(tenant, "iris")
    own = live.stage.key(tenant, scopes=TENANT_SCOPES)
    credential = token_of(live, own) if by_token else own
    answer = predicted(live, credential, lambda: WAYS[way](live, own, credential))
    expected = (403, "scope_missing") if way == "scope taken" else (401, "credential_invalid")
    assert (answer.status, answer.json()["code"]) == expected
    assert (answer.header("www-authenticate") is None) == (answer.status == 403)


def test_row_37_a_prediction_under_way_is_refused_once_its_model_is_taken_away(live: Live) -> None:
    key = live.stage.tenant("bereft", "iris")
    answer = predicted(live, key, lambda: remove_grant(live.stage.database, ACTOR, "bereft", "iris"))
    assert (answer.status, answer.json()["code"]) == (404, "not_found")


def test_a_prediction_under_way_goes_on_when_somebody_else_loses_a_key(live: Live) -> None:
    key, other = live.stage.tenant("goes_on", "iris"), live.stage.tenant("another", "iris")
    assert predicted(live, key, lambda: live.stage.revoke(other)).status == 200


def predicted(live: Live, credential: str, meanwhile: Callable[[], object]) -> Answer:
    """A prediction whose body comes after `meanwhile`, when the server has seen that."""

    def seen() -> None:
        before = live.app.identity.authenticator.generation
        meanwhile()
        wait_until(lambda: live.app.identity.authenticator.generation > before)

    return slowly(live, "POST /v1/models/iris/predict", credential, instances(IRIS_ROW), seen)
