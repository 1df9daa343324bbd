"""Who is calling: no way in without a credential, one answer for every bad one, and none that outlives its revocation."""

import re
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from stage import ACTOR, IRIS_ROW, WIDE, Live, Stage, instances, key_id, problem, wait_until
from wire import head, post, wire

from gatehouse.api.docs import ASSET_NAMES, ASSET_PREFIX
from gatehouse.errors import CATALOGUE
from gatehouse.identity.api_keys import KEY_CHARACTERS, checksum, mint_key
from gatehouse.identity.plans import edit_plan

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PUBLIC = {
    "/",
    "/health",
    "/health/live",
    "/health/ready",
    "/oauth/token",
    "/oauth/revoke",
    "/login",
    "/login/accept",
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/docs",
    "/openapi.json",
    *(f"/errors/{code}" for code in CATALOGUE),
    *(ASSET_PREFIX + name for name in ASSET_NAMES),
}
"""Written down once more, so that a path that becomes public is noticed."""
UNKNOWN = [
    "/admin",
    "/admin/",
    "/admin/tenants",
    "/admin/keys/x",
    "/ADMIN/tenants",
    "/%61dmin",
    "/nothing",
    "/v1",
    "/v1/",
    "/v1/models/",
    "/v9/predict",
    "/V1/predict",
    "/v1//predict",
    "/v1/models/../predict",
    "/health/",
    "/health/ready/",
    "/health/live/x",
    "/errors",
    "/errors/",
    "/errors/unknown",
    "/errors/credential_missing/",
    "/login/",
    "/login/accept/",
    "/LOGIN",
    "/login/other",
    "/oauth",
    "/oauth/token/",
    "/oauth/revoke/",
    "/OAUTH/TOKEN",
    "/.well-known",
    "/.well-known/",
    "/.well-known/jwks.json/",
    "/.well-known/JWKS.json",
    "/.well-known/openid-configuration",
    "/docs/",
    "/docs/x",
    "/docs/../account",
    "/redoc",
    "/openapi.json/",
    "/metrics",
    "/favicon.ico",
    "//",
    "/account/",
    "/account;x=1",
    "/account%00",
    "/.env",
]
ROUTES = [("POST", "/v1/models/iris/predict"), ("GET", "/account"), ("GET", "/v1/models")]


@pytest.fixture(scope="module")
def key(live: Live) -> str:
    return live.stage.tenant("acme", "iris")


def without_id(answer: Any) -> tuple[int, bytes, dict[str, str]]:
    """An answer without what differs from call to call."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "date")}
    return answer.status_code, answer.content.replace(answer.headers["x-request-id"].encode(), b"ID"), headers


def challenge_of(answer: Any) -> dict[str, str]:
    """The parameters of the one Bearer challenge (RFC 9110 11.6.1)."""
    scheme, _, rest = answer.headers["www-authenticate"].partition(" ")
    assert scheme == "Bearer"
    assert re.fullmatch(r'[a-z_]+="[^"\\]*"(, [a-z_]+="[^"\\]*")*', rest), rest
    return dict(re.findall(r'([a-z_]+)="([^"]*)"', rest))


def paths_of_the_app(live: Live) -> set[str]:
    """Every path of the route tree, with its parameters filled in."""
    dispatcher: Any = live.app._road
    while hasattr(dispatcher, "app"):
        dispatcher = dispatcher.app
    api = dispatcher._rest
    assert isinstance(api, FastAPI)
    found = {context.path for context in iter_route_contexts(api.routes)}
    assert {"/account", "/{api_version}/models", "/health", "/docs"} <= found, "the walk sees the tree"
    return {filled(path) for path in found if path is not None}


def filled(path: str) -> str:
    """With values that lead somewhere or nowhere: without a credential both are the same."""
    values = {"api_version": "v1", "older": "v1", "model": "iris"}
    return re.sub(r"{(\w+)}", lambda parameter: values.get(parameter[1], "unknown"), path)


def test_row_1_every_path_but_the_public_ones_is_401_without_a_credential(live: Live, key: str) -> None:
    documented = {filled(path) for path in live.get("/openapi.json", key).json()["paths"]}
    assert {"/v1/models/iris/predict", "/v1/predict", "/account"} <= documented
    paths = (paths_of_the_app(live) | documented | {"/v1/predict", "/v2/models/iris/predict", *UNKNOWN}) - PUBLIC
    bodies = set()
    for path in sorted(paths):
        for method in METHODS:
            answer = live.client.request(method, live.base_url + path)
            assert answer.status_code == 401, (method, path, answer.status_code)
            assert challenge_of(answer) == {"realm": "gatehouse"}
            if method != "HEAD":
                problem(answer, 401, "credential_missing")
                bodies.add(without_id(answer)[1])
    assert len(bodies) == 1, "what is there cannot be told from what is not"


def test_row_1_the_public_paths_are_just_these(live: Live) -> None:
    for path in sorted(PUBLIC):
        for method in METHODS:
            answer = live.client.request(method, path)
            assert answer.status_code in (200, 405, 400, 415), (method, path, answer.status_code)


def test_row_1_nothing_is_public_by_another_spelling_on_the_wire(live: Live) -> None:
    for target in (
        "/../health",
        "/health/../account",
        "/docs/%2e%2e/account",
        "/health%2f..%2faccount",
        "/./account",
        "/%2e/account",
        "/health;/account",
        "/%68ealth/../account",
    ):
        with wire(live.port) as connection:
            assert connection.send(head(f"GET {target}")).answer().status == 401, target


@pytest.mark.parametrize(
    "fields", [[], ["Authorization: Bearer gate_x"], ["X-API-Key: " + mint_key(b"other").text], ["Authorization: Bearer a.b.c"]]
)
@pytest.mark.parametrize("framing", ["Content-Length: 50", "Content-Length: 60000000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("path", ["/v1/models/iris/predict", "/account", "/nothing"])
def test_row_2_a_withheld_body_is_not_waited_for(live: Live, fields: list[str], framing: str, path: str) -> None:
    with wire(live.port) as connection:
        begun = time.monotonic()
        connection.send(head(f"POST {path}", *fields, framing, "Expect: 100-continue", "Content-Type: application/json"))
        answer = connection.answer()
        assert answer.status == 401, "and no 100 before it"
        assert time.monotonic() - begun < 1.5


def test_row_2_a_good_key_is_asked_for_its_body(live: Live, key: str) -> None:
    body = b'{"instances": []}'
    with wire(live.port) as connection:
        request = post(key, body, "Expect: 100-continue")
        connection.send(request[: -len(body)])
        assert connection.answer().status == 100
        assert connection.send(body).answer().status == 422


def test_row_3_every_key_that_is_not_valid_gets_the_same_bytes(live: Live, key: str) -> None:
    live.stage.tenant("gone", "iris")
    suspended, revoked = live.stage.key("gone"), live.stage.key("acme")
    ending = live.stage.key("acme", expires_at=datetime.now(UTC) + timedelta(seconds=1))
    live.stage.suspend("gone")
    live.stage.revoke(revoked)
    wait_until(lambda: live.get("/account", ending).status_code == 401)
    body = key[:22] + mint_key(b"other").text[22:-6]
    wrong_secret = body + checksum(body)
    assert key_id(wrong_secret) == key_id(key)
    bad = {"unknown": mint_key(b"other").text, "expired": ending, "revoked": revoked, "suspended": suspended, "wrong secret": wrong_secret}
    tokens = {"token": "a.b.c", "long": "x" * 5000}
    for method, path in ROUTES:
        sent = [{"authorization": f"Bearer {credential}"} for credential in (bad | tokens).values()]
        sent += [{"x-api-key": credential} for credential in bad.values()]
        answers = [live.client.request(method, path, headers=headers) for headers in sent]
        for answer in answers:
            problem(answer, 401, "credential_invalid")
        first, *others = [without_id(answer) for answer in answers]
        assert all(other == first for other in others)


def test_row_3_a_key_whose_shape_or_checksum_is_wrong_is_malformed(live: Live, key: str) -> None:
    other = "0" if key[-1] != "0" else "1"
    swapped = key[:25] + key[26] + key[25] + key[27:] if key[25] != key[26] else key[:25] + other + key[26:]
    bad = [
        key[:-1],
        key + "0",
        key[:-1] + other,
        swapped,
        key.lower() + "A",
        "gate_",
        "gatetest_" + key[5:],
        key[5:],
        "x",
        key.replace("_", "-"),
        f'"{key}"',
        f"{key},{key}",
        "gate_" + "é" * (KEY_CHARACTERS - 5),
    ]
    first = None
    for credential in bad:
        for header in ("authorization", "x-api-key"):
            value = f"Bearer {credential}" if header == "authorization" else credential
            answer = live.client.get("/account", headers={header.encode(): value.encode("latin-1")})
            problem(answer, 401, "credential_malformed")
            first = first or without_id(answer)
            assert without_id(answer) == first


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_row_4_the_challenge_names_an_error_only_where_a_credential_was_sent(live: Live, key: str, method: str, path: str) -> None:
    for missing in (
        {},
        {"authorization": "Bearer"},
        {"authorization": ""},
        {"x-api-key": ""},
        {"authorization": f"Basic {key}"},
        {"authorization": key},
    ):
        answer = live.client.request(method, path, headers=missing)
        problem(answer, 401, "credential_missing")
        assert challenge_of(answer) == {"realm": "gatehouse"}
    for sent in ({"authorization": "Bearer x"}, {"x-api-key": mint_key(b"other").text}, {"authorization": "Bearer a.b.c"}):
        answer = live.client.request(method, path, headers=sent)
        assert answer.status_code == 401
        assert challenge_of(answer) == {"realm": "gatehouse", "error": "invalid_token"}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_row_5_a_credential_in_query_cookie_or_form_is_none(live: Live, key: str, method: str, path: str) -> None:
    for name in ("access_token", "api_key", "apikey", "key", "token", "x-api-key", "authorization"):
        answers = [
            live.client.request(method, f"{path}?{name}={key}"),
            live.client.request(method, path, headers={"cookie": f"{name}={key}"}),
            live.client.request(method, path, content=f"{name}={key}", headers={"content-type": "application/x-www-form-urlencoded"}),
            live.client.request(
                method, path, headers={f"x-{name}": key, "proxy-authorization": f"Bearer {key}"} if name != "x-api-key" else {}
            ),
        ]
        for answer in answers:
            problem(answer, 401, "credential_missing")
            assert key not in answer.text


@pytest.mark.parametrize("path", ["/account", "/v1/models/iris/predict", "/health/ready", "/openapi.json", "/nothing"])
def test_row_6_two_credentials_are_refused_in_both_orders(live: Live, key: str, path: str) -> None:
    wrong = mint_key(b"other").text
    pairs = [(key, wrong), (wrong, key), (key, key)]
    for one, two in pairs:
        for fields in (
            [f"Authorization: Bearer {one}", f"X-API-Key: {two}"],
            [f"X-API-Key: {one}", f"Authorization: Bearer {two}"],
            [f"Authorization: Bearer {one}", f"Authorization: Bearer {two}"],
            [f"X-API-Key: {one}", f"X-API-Key: {two}"],
            [f"authorization: Bearer {one}", f"AUTHORIZATION: Basic {two}"],
            [f"Authorization: Basic {one}", f"X-API-Key: {two}"],
            [f"X-API-Key: {one}", "Authorization:"],
            [f"Authorization: Bearer {one}", "X-API-Key:"],
        ):
            with wire(live.port) as connection:
                answer = connection.send(head(f"GET {path}", *fields)).answer()
            assert (answer.status, answer.json()["code"]) == (401, "credential_invalid"), fields
    for joined in (f"Bearer {key}, Bearer {wrong}", f"Bearer {wrong} {key}", f"Bearer {key},{key}"):
        assert live.client.get("/account", headers={"authorization": joined}).status_code == 401


@pytest.mark.parametrize("value", ["Bearer {}", "bearer {}", "BEARER {}", "bEaReR   {}", "Bearer {}  "])
def test_the_scheme_is_read_in_any_case(live: Live, key: str, value: str) -> None:
    with wire(live.port) as connection:
        assert connection.send(head("GET /account", f"Authorization: {value.format(key)}")).answer().status == 200


@pytest.mark.parametrize("value", ["Bearer\x01{}", "Bearer {}\x00", "Bearer {}\x7f", "\x1bBearer {}"], ids=repr)
def test_a_control_character_beside_a_good_key_is_400(live: Live, key: str, value: str) -> None:
    with wire(live.port) as connection:
        assert connection.send(head("GET /account", f"Authorization: {value.format(key)}")).answer().status == 400


@pytest.mark.parametrize(
    "value", ["Bearer\t{}", "Bearer{}", "Bearer={}", "Bearer: {}", "Token {}", "Bearer \xa0{}", "Bearer {}\xa0"], ids=repr
)
def test_another_spelling_of_the_header_is_401(live: Live, key: str, value: str) -> None:
    with wire(live.port) as connection:
        assert connection.send(head("GET /account", f"Authorization: {value.format(key)}")).answer().status == 401


def test_row_7_and_10_no_dump_answer_or_command_gives_a_secret_back(stage: Stage) -> None:
    keys = [stage.tenant("acme", "iris"), stage.key("acme"), stage.key("_operator")]
    with stage.serving() as live:
        form = {"grant_type": "client_credentials", "client_id": key_id(keys[0]), "client_secret": keys[0]}
        token = live.client.post("/oauth/token", data=form).json()["access_token"]
        assert live.predict(token, instances(IRIS_ROW)).status_code == 200
        said = "".join(live.get(path, keys[1]).text for path in ("/account", "/account/usage", "/v1/models", "/openapi.json", "/nothing"))
    stage.revoke(keys[1])
    with sqlite3.connect(stage.state_dir.parent / "gatehouse.db") as database:
        dump = "\n".join(database.iterdump())
        digests = {bytes(row[0]) for row in database.execute("SELECT digest FROM api_key")}
    database.close()
    raw = b"".join(file.read_bytes() for file in stage.state_dir.parent.glob("gatehouse.db*"))
    assert all(key_id(key) in dump for key in keys), "the dump is of this database"
    for key in keys:
        secret = key[22:-6]
        parts = [secret[n : n + 8] for n in range(len(secret) - 7)]
        for part in parts:
            assert part not in dump
            assert part.encode() not in raw
            assert part not in said
        for text in (key, secret, key[22:], key[:-6], key[5:]):
            assert sha256(text.encode()).digest() not in digests
            assert sha256(text.encode()).hexdigest() not in dump.lower()
    assert token.rpartition(".")[2] not in dump
    for value in (stage.values["GATEHOUSE_KEY_PEPPER"], stage.values["GATEHOUSE_SECRET_KEY"], "BEGIN PRIVATE KEY"):
        assert value not in dump
        assert value.encode() not in raw


def count_look_ups(live: Live, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every key id that is looked up in the database from now on."""
    asked: list[str] = []
    authenticator = live.app.identity.authenticator

    def counted(find: Any) -> Any:
        def count(key: str) -> Any:
            asked.append(key)
            return find(key)

        return count

    prover = authenticator.prover
    counting = replace(prover, find_secrets=counted(prover.find_secrets), find_key=counted(prover.find_key))
    monkeypatch.setattr(authenticator, "prover", counting)
    return asked


def test_row_11_a_wrong_checksum_costs_no_look_up_and_counts_as_a_failure(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    with stage.serving(failed_credentials_per_minute="3") as live:
        good = live.stage.tenant("acme", "iris")
        asked = count_look_ups(live, monkeypatch)
        for _ in range(3):
            problem(live.get("/account", good[:-1] + ("0" if good[-1] != "0" else "1")), 401, "credential_malformed")
        assert asked == []
        problem(live.get("/account", good), 429, "too_many_failures")
        assert asked == []


def test_row_14_guesses_from_one_address_are_slowed_before_any_look_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    known, other = stage.tenant("acme", "iris"), stage.key("acme")
    with stage.serving(failed_credentials_per_minute="30") as live:
        now_us = 1_000_000
        monkeypatch.setattr(live.app.identity.failures._rates, "_clock_us", lambda: now_us)
        assert live.get("/account", known).status_code == 200
        asked = count_look_ups(live, monkeypatch)
        guesses = [mint_key(b"other").text for _ in range(31)]
        for guess in guesses[:30]:
            problem(live.get("/account", guess), 401, "credential_invalid")
            assert live.get("/account", known).status_code == 200, "good calls in between reset nothing"
        looked_up = len(asked)
        for credential in (guesses[30], guesses[0], "gate_x", "a.b.c", other):
            answer = live.get("/account", credential)
            problem(answer, 429, "too_many_failures")
            assert "www-authenticate" not in answer.headers
            assert live.get("/account", known).status_code == 200, "a key that was proven before goes on"
        assert len(asked) == looked_up, "none of them was looked up"
        seconds = int(answer.headers["retry-after"])
        assert seconds == 2
        now_us += seconds * 1_000_000 - 1
        problem(live.get("/account", other), 429, "too_many_failures")
        now_us += 1
        assert live.get("/account", other).status_code == 200, "the wait that was named is enough"


def test_row_14_a_key_that_has_ended_counts_each_time_though_it_is_looked_up_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    good, ended = stage.tenant("acme", "iris"), stage.key("acme")
    stage.revoke(ended)
    with stage.serving(failed_credentials_per_minute="5") as live:
        monkeypatch.setattr(live.app.identity.failures._rates, "_clock_us", lambda: 1_000_000)
        live.caught_up()  # with the token key that the first start makes: a change forgets who had ended
        at = time.monotonic()
        monkeypatch.setattr(live.app.identity.authenticator, "_monotonic", lambda: at)  # nor do changes unread for a second come between
        asked = count_look_ups(live, monkeypatch)
        first, *more = (problem(live.get("/account", ended), 401, "credential_invalid") for _ in range(5))
        assert all(each | {"request_id": ""} == first | {"request_id": ""} for each in more)
        problem(live.get("/account", ended), 429, "too_many_failures")
        assert set(asked) == {key_id(ended)}
        assert len(asked) == 2, "its secrets, then itself"
        assert live.app.identity.failures.counted == 5
        problem(live.get("/account", good), 429, "too_many_failures")


def test_row_14_a_thousand_guesses_at_once_are_not_all_looked_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    with stage.serving(failed_credentials_per_minute="5") as live:
        asked = count_look_ups(live, monkeypatch)
        held = threading.Event()
        find = live.app.identity.authenticator.prover.find_secrets

        def slow(key: str) -> Any:
            held.wait(5)
            return find(key)

        monkeypatch.setattr(live.app.identity.authenticator, "prover", replace(live.app.identity.authenticator.prover, find_secrets=slow))
        with ThreadPoolExecutor(60) as pool:
            calls = [pool.submit(live.get, "/account", mint_key(b"other").text) for _ in range(60)]
            wait_until(lambda: live.app.threads._work_queue.qsize() >= 40)
            held.set()
            statuses = [call.result().status_code for call in calls]
        assert len(asked) <= 5 + 4, "those that were in the hands of a thread may come on top"
        assert statuses.count(429) >= 60 - 9


def test_row_12_and_37_a_change_is_felt_within_a_second_while_calls_go_on(live: Live) -> None:
    stage = live.stage
    stage.tenant("busy", "iris")

    def token_of(key: str) -> str:
        form = {"grant_type": "client_credentials", "client_id": key_id(key), "client_secret": key}
        token: str = live.client.post("/oauth/token", data=form).json()["access_token"]
        return token

    def calls_until(status: int, *credentials: str, path: str = "/v1/models/iris/predict") -> float:
        """Of all of them: which are remembered, and which looked up anew, depends on when their creation was taken in."""
        body = instances(IRIS_ROW) if "iris" in path else instances({"size": 1})
        return wait_until(lambda: all(live.predict(each, body, path).status_code == status for each in credentials))

    revoked = stage.key("busy")
    token = token_of(revoked)
    for credential in (revoked, token):
        assert live.predict(credential, instances(IRIS_ROW)).status_code == 200
    stage.revoke(revoked)
    assert calls_until(401, revoked, token) < 1.0

    granted = stage.key("busy")
    assert live.predict(granted, instances({"size": 1}), "/v1/models/line/predict").status_code == 404
    stage.grant("busy", "line")
    assert calls_until(200, granted, path="/v1/models/line/predict") < 1.0

    token = token_of(granted)
    assert live.predict(token, instances(IRIS_ROW)).status_code == 200
    stage.suspend("busy")
    assert calls_until(401, granted, token) < 1.0
    assert (
        live.client.post(
            "/oauth/token", data={"grant_type": "client_credentials", "client_id": key_id(granted), "client_secret": granted}
        ).status_code
        == 401
    )


def test_row_12_an_edited_plan_is_felt_within_a_second(live: Live) -> None:
    live.stage.plan(replace(WIDE, name="narrow", rows_per_call=1))
    key = live.stage.tenant("edited", "iris", plan="narrow")
    two = instances(IRIS_ROW, IRIS_ROW)
    problem(live.predict(key, two), 422, "invalid_input")
    edit_plan(live.stage.database, ACTOR, "narrow", lambda plan: replace(plan, rows_per_call=2))
    assert wait_until(lambda: live.predict(key, two).status_code == 200) < 1.0


def test_row_13_a_remembered_key_ends_at_its_moment(live: Live, key: str) -> None:
    ends_at = datetime.now(UTC) + timedelta(seconds=1.5)
    ending = live.stage.key("acme", expires_at=ends_at)
    assert live.get("/account", ending).status_code == 200
    wait_until(lambda: live.get("/account", ending).status_code == 401)
    late = (datetime.now(UTC) - ends_at).total_seconds()
    assert 0 <= late < 1.0
