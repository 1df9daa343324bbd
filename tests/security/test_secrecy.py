"""No secret is said again: the search of the whole suite finds what it must, and nothing that is read from outside holds one."""

import json
import logging
from typing import Any

import httpx2
import pytest
import secrecy
from logged_in import invited
from sqlalchemy import text
from stage import IRIS_ROW, Live, Stage, instances, key_id, token_of

from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.audit_chain import chain_pending
from gatehouse.middleware.request_log import configure_logging
from gatehouse.principal import TENANT_SCOPES, Role, Scope

PASSWORD = "a walk along the canal 41"
CANARY = "Canary5c1e9d77f0"
"""No name of a key, or it would rightly be kept."""


@pytest.fixture
def key(stage: Stage) -> str:
    return stage.tenant("acme", "iris", "fragile")


@pytest.mark.parametrize("logger", ["gatehouse.calls", "gatehouse.keys", "uvicorn.error", "sqlalchemy.engine"])
def test_row_98_the_search_of_the_whole_suite_finds_a_secret_in_a_log_line(stage: Stage, key: str, logger: str) -> None:
    with stage.serving() as live:
        token = token_of(live, key)
    assert secrecy.found() == []
    for said in (key, f"the secret {key[22:-6]} alone", f"x{key[22:]}y", token, token.rpartition(".")[0]):
        logging.getLogger(logger).warning("a call: %s", said)
        assert len(secrecy.found()) >= 1, said
    logging.getLogger(logger).warning("key %s of a manifest %s", key_id(key), "0123456789abcdef" * 4)
    assert secrecy.found() == []


def test_row_98_the_search_of_the_whole_suite_finds_a_secret_in_an_error_and_in_an_audit_row(stage: Stage, key: str) -> None:
    request = httpx2.Request("GET", "http://gatehouse.test/")
    for answer in (
        httpx2.Response(422, text=f"not {key[22:-6]}", request=request),
        httpx2.Response(401, headers={"x": key}, request=request),
    ):
        secrecy.watch_answer(answer)
        assert secrecy.found() != []
    secrecy.watch_answer(httpx2.Response(201, text=key, request=request))
    with stage.database.read() as session:  # what it writes is rolled back
        secrecy.watch_audit(session)
        assert secrecy.found() == []
        record_audit(session, Actor("key:x", "127.0.0.1"), "key.create", "x", {"name": key[22:]})
        chain_pending(session, stage.database.audit_keys)
        secrecy.watch_audit(session)
        assert secrecy.found() != []


def test_row_98_what_people_log_in_by_is_collected_and_found(stage: Stage) -> None:
    invitation = invited(stage, "ann", Role.AUDITOR)
    sent = {"code": invitation.code, "password": PASSWORD}
    with stage.serving() as live:
        assert live.client.post("/login/accept", json={**sent, "password": f"gatehouse {PASSWORD}"[:7]}).status_code == 422
        assert live.client.post("/login/accept", json=sent).status_code == 204
        assert live.client.post("/login", json={"name": "ann", "password": PASSWORD[::-1]}).status_code == 401
        token = live.client.post("/login", json={"name": "ann", "password": PASSWORD}).json()["access_token"]
        assert live.get("/admin/plans", token).status_code == 200
    assert secrecy.found() == []
    for said in (PASSWORD, PASSWORD[::-1], invitation.code, token):
        logging.getLogger("gatehouse.calls").warning("%s was sent", said)
        assert len(secrecy.found()) >= 1, said
    kept = rows(stage)
    for said in (PASSWORD, PASSWORD[::-1], invitation.code, token, *token.split(".")[1:]):
        assert not [name for name, content in kept if said in content], said


def test_row_98_no_error_metric_audit_or_usage_row_repeats_what_was_sent(stage: Stage, key: str) -> None:
    lead, scraper = stage.key("acme", scopes=TENANT_SCOPES), stage.key("_operator", scopes={Scope.METRICS_READ})
    with stage.serving() as live:
        credentials = [lead, token_of(live, lead), key]
        said = [answer for credential in credentials for answer in answers(live, credential, key_id(key))]
        said += [*logins(live, key), live.get("/metrics", scraper)]
    assert len({answer.status_code for answer in said}) > 6
    kept = rows(stage)
    secret = [part for credential in (*credentials, scraper) for part in (credential, credential[22:-6])]
    for value in (CANARY, *secret):
        assert not [kind for kind, content in kept if value in content], value
        for answer in said:
            assert value not in answer.text + str(answer.headers), (value, answer.request.url, answer.status_code)


def answers(live: Live, credential: str, other: str) -> list[httpx2.Response]:
    """All kinds of calls, with the credential and a canary at every place that is not theirs."""
    own = {"authorization": f"Bearer {credential}"}
    odd = own | {"user-agent": CANARY, "referer": credential, "cookie": f"key={credential}", "x-api-version": CANARY, "origin": CANARY}
    found: list[httpx2.Response] = []

    def send(method: str, path: str, headers: dict[str, str], **body: Any) -> None:
        found.append(live.client.request(method, path, headers=headers, **body))

    for method, path in (
        ("GET", "/account"),
        ("GET", "/account/usage"),
        ("GET", "/account/migration"),
        ("GET", "/account/keys"),
        ("GET", f"/account/keys/{other}"),
        ("GET", f"/account/keys/{credential}"),
        ("GET", f"/account/{CANARY}"),
        ("GET", f"/v1/models/{CANARY}"),
        ("GET", "/v1/models"),
        ("PUT", "/account/keys"),
        ("GET", "/oauth/token"),
        ("GET", "/health/ready"),
    ):
        send(method, f"{path}?key={credential}&since={CANARY}", odd)
        send(method, path, {"x-api-key": CANARY})
        send(method, path, {"authorization": f"Basic {credential}", "x-request-id": f"{CANARY} {credential}"})
    bodies: list[dict[str, Any]] = [{credential: CANARY}]
    for member in ("name", "scopes", "networks", "expires_at", "requests", "grace_s", "model", "key_id", "minutes"):
        bodies += [{member: value} for value in (CANARY, [CANARY], [credential], {credential: 1})]
    for body in bodies:
        for method, path in (("POST", "/account/keys"), ("PATCH", f"/account/keys/{other}"), ("POST", f"/account/keys/{other}/rotate")):
            send(method, path, odd, json=body)
        send("POST", "/account/rehearse-brownout", odd, json=body)
    for field in IRIS_ROW:
        for value in (CANARY, [CANARY], {credential: CANARY}, credential):
            send("POST", "/v1/models/iris/predict", odd, json=instances({**IRIS_ROW, field: value}))
    send("POST", "/v1/models/iris/predict", odd | {"idempotency-key": credential}, content=f"{CANARY} {credential}".encode())
    for form in (
        {"client_id": CANARY, "client_secret": credential},
        {"client_id": credential, "client_secret": CANARY},
        {CANARY: credential},
    ):
        send("POST", "/oauth/token", {}, data={"grant_type": CANARY, "scope": credential} | form)
        send("POST", "/oauth/token", {}, data={"grant_type": "client_credentials", "scope": CANARY} | form)
        send("POST", "/oauth/revoke", {}, data={"token": credential, "token_type_hint": CANARY} | form)
    return found


def logins(live: Live, credential: str) -> list[httpx2.Response]:
    """People's logins, with the credential and a canary in every member."""
    whole = {"/login": {"name": "nobody", "password": PASSWORD}, "/login/accept": {"code": "once_" + "0" * 32, "password": PASSWORD}}
    found = [live.client.post(f"{path}?password={CANARY}", json=body | {"password": credential}) for path, body in whole.items()]
    for path, body in whole.items():
        for member in (*body, credential):
            found += [live.client.post(path, json=body | {member: value}) for value in (credential, CANARY, [CANARY], {credential: CANARY})]
    return found


def rows(stage: Stage) -> list[tuple[str, str]]:
    """Every table of the database, as text, but for the digests of keys and the sealed halves of token keys."""
    with stage.database.read() as session:
        connection = session.connection()
        tables = [name for (name,) in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'"))]
        return [(name, json.dumps([list(map(str, row)) for row in connection.execute(text(f'SELECT * FROM "{name}"'))])) for name in tables]


def test_row_98_the_log_is_searched_also_after_a_command_that_sets_up_a_servers_logging() -> None:
    root = logging.getLogger()
    kept = root.handlers
    try:
        configure_logging("json")
        assert not any(isinstance(handler, secrecy.WatchedLog) for handler in root.handlers)
        secrecy.keep_watching()
        secrecy.keep_watching()
        assert sum(isinstance(handler, secrecy.WatchedLog) for handler in root.handlers) == 1
    finally:
        root.handlers = kept
