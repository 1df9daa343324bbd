"""`POST /oauth/revoke` speaks RFC 7009: what stops, what does not, and what each kind of bad request gets."""

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx2
import jwt
import pytest
from outage import database_away
from stage import Live, Stage, key_id, problem, token_of, wait_until

PATH = "/oauth/revoke"
FORM = "application/x-www-form-urlencoded"
NEVER = "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"


@pytest.fixture(scope="module")
def key(live: Live) -> str:
    return live.stage.tenant("acme", "iris")


def works(live: Live, token: str) -> bool:
    return live.get("/account", token).status_code == 200


def revoke(live: Live, key: str, token: str, **more: str) -> httpx2.Response:
    return live.client.post(PATH, data={"client_id": key_id(key), "client_secret": key, "token": token} | more)


def basic(key: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{key_id(key)}:{key}".encode()).decode()}


def assert_done(answer: httpx2.Response) -> None:
    assert (answer.status_code, answer.content) == (200, b""), answer.text
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")


def refused(answer: httpx2.Response, status: int, error: str) -> dict[str, Any]:
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["error"]) == (status, error), answer.text
    assert set(document) == {"error", "error_description"}
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert answer.headers.get("www-authenticate") == ('Basic realm="gatehouse"' if status == 401 else None)
    return document


def test_row_35_and_36_a_revoked_token_stops_within_a_second_and_others_of_its_key_go_on(live: Live, key: str) -> None:
    token, other = token_of(live, key), token_of(live, key)
    assert works(live, token)
    assert_done(revoke(live, key, token))
    assert wait_until(lambda: not works(live, token)) < 1.0
    problem(live.get("/account", token), 401, "credential_invalid")
    assert works(live, other)
    assert_done(revoke(live, key, token))


def test_row_35_a_token_that_nobody_used_yet_can_be_revoked(live: Live, key: str) -> None:
    token = token_of(live, key)
    assert_done(revoke(live, key, token))
    problem(live.get("/account", token), 401, "credential_invalid")


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "pear", "é"])
def test_row_35_a_wrong_hint_still_revokes(live: Live, key: str, hint: str) -> None:
    token = token_of(live, key)
    assert_done(revoke(live, key, token, token_type_hint=hint))
    problem(live.get("/account", token), 401, "credential_invalid")


def test_row_34_http_basic_works_as_well_as_the_form_and_not_both(live: Live, key: str) -> None:
    token = token_of(live, key)
    refused(live.client.post(PATH, data={"token": token, "client_id": key_id(key)}, headers=basic(key)), 400, "invalid_request")
    assert works(live, token)
    assert_done(live.client.post(PATH, data={"token": token}, headers=basic(key)))
    assert wait_until(lambda: not works(live, token)) < 1.0


@pytest.mark.parametrize(
    "token",
    [NEVER, "x", "..", ".", "é", "\U0001f511", "a" * 15_000, "0.0.0", "\x00", "gate", "' OR 1=1 --"],
    ids=lambda token: repr(token[:20]),
)
def test_row_35_an_unknown_token_is_200(live: Live, key: str, token: str) -> None:
    assert_done(revoke(live, key, token))


SPOILT: dict[str, Callable[[str], str]] = {
    "another signature": lambda token: token[:-8] + "AAAAAAAA",
    "a blank behind": lambda token: token + " ",
    "padded": lambda token: token + "==",
    "without signature": lambda token: token.rpartition(".")[0] + ".",
}


@pytest.mark.parametrize("name", SPOILT)
def test_row_35_a_token_that_is_not_whole_is_200_and_the_whole_one_goes_on(live: Live, key: str, name: str) -> None:
    token = token_of(live, key)
    assert_done(revoke(live, key, SPOILT[name](token)))
    revoked = token_of(live, key)
    assert_done(revoke(live, key, revoked))
    assert wait_until(lambda: not works(live, revoked)) < 1.0, "and this one is taken in after the one before"
    assert works(live, token)


def test_row_35_only_tokens_of_the_same_key_are_revoked(live: Live, key: str) -> None:
    """A key of another tenant has no say, nor has another key of this one; neither learns anything."""
    neighbour, stranger = live.stage.key("acme"), live.stage.tenant("rival", "iris")
    token = token_of(live, key)
    assert works(live, token)
    answers = [revoke(live, other, token) for other in (neighbour, stranger)] + [revoke(live, stranger, NEVER)]
    for answer in answers:
        assert_done(answer)
    assert_done(revoke(live, stranger, own := token_of(live, stranger)))
    assert wait_until(lambda: not works(live, own)) < 1.0, "and this one is taken in after those before"
    assert works(live, token)


def test_row_35_whoever_asks_must_prove_to_hold_the_key(live: Live, key: str) -> None:
    token = token_of(live, key)
    last = "a" if key[-1] != "a" else "b"
    cases = [
        {"client_id": key_id(key), "client_secret": key[:-1] + last},
        {"client_id": key_id(live.stage.key("acme")), "client_secret": key},
        {"client_id": "0" * 16, "client_secret": key},
    ]
    answers = [live.client.post(PATH, data=case | {"token": token}) for case in cases]
    for answer in answers:
        refused(answer, 401, "invalid_client")
    assert len({answer.content for answer in answers}) == 1
    for case in ({}, {"client_id": key_id(key)}, {"client_secret": key}, {"client_id": key_id(key), "client_secret": token}):
        refused(live.client.post(PATH, data=case | {"token": token}), 401, "invalid_client")
    bearer = live.client.post(PATH, data={"token": token}, headers={"authorization": f"Bearer {token}"})
    refused(bearer, 401, "invalid_client")
    revoked = live.stage.key("acme")
    live.stage.revoke(revoked)
    refused(revoke(live, revoked, token), 401, "invalid_client")
    assert works(live, token)


def test_row_35_an_api_key_is_not_revoked_here_and_the_answer_says_so(live: Live, key: str) -> None:
    for sent in (key, live.stage.key("acme"), "gate_anything"):
        document = refused(revoke(live, key, sent), 400, "unsupported_token_type")
        assert "/account/keys" in document["error_description"]
        assert sent not in json.dumps(document)
    assert works(live, key)


def test_a_missing_token_is_an_invalid_request(live: Live, key: str) -> None:
    refused(live.client.post(PATH, data={"client_id": key_id(key), "client_secret": key}), 400, "invalid_request")
    refused(revoke(live, key, ""), 400, "invalid_request")
    refused(live.client.post(PATH, headers=basic(key) | {"content-type": FORM}, content=b""), 400, "invalid_request")


@pytest.mark.parametrize("name", ["token", "token_type_hint", "client_id", "client_secret", "unknown"])
def test_row_33_a_repeated_parameter_is_refused(live: Live, key: str, name: str) -> None:
    fields = {"token": NEVER, "client_id": key_id(key), "client_secret": key, "token_type_hint": "x", "unknown": "1"}
    body = "&".join(f"{field}={value}" for field, value in fields.items())
    headers = {"content-type": FORM}
    refused(live.client.post(PATH, content=f"{body}&{name}={fields[name]}", headers=headers), 400, "invalid_request")
    assert_done(live.client.post(PATH, content=body, headers=headers))


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""])
def test_row_33_only_a_form_is_read(live: Live, key: str, content_type: str) -> None:
    token = token_of(live, key)
    fields = {"token": token, "client_id": key_id(key), "client_secret": key}
    for body in (json.dumps(fields), "&".join(f"{name}={value}" for name, value in fields.items())):
        refused(live.client.post(PATH, content=body, headers={"content-type": content_type}), 400, "invalid_request")
    assert works(live, token)


def test_row_34_nothing_is_taken_from_the_query(live: Live, key: str) -> None:
    token = token_of(live, key)
    for query in (f"token={token}", f"client_secret={key}", "x=1"):
        answer = live.client.post(f"{PATH}?{query}", data={"client_id": key_id(key), "client_secret": key, "token": token})
        refused(answer, 401, "invalid_client")
    assert works(live, token)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_row_33_other_methods_are_405_with_and_without_a_credential(live: Live, key: str, method: str) -> None:
    for headers in ({}, {"authorization": f"Bearer {key}"}):
        answer = live.client.request(method, f"{PATH}?token={NEVER}" if method == "GET" else PATH, headers=headers)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_row_55_revocation_is_throttled_by_address(stage: Stage) -> None:
    with stage.serving(token_requests_per_minute="2") as live:
        key = live.stage.tenant("acme", "iris")
        for _ in range(2):
            assert_done(revoke(live, key, NEVER))
        answer = revoke(live, key, NEVER)
        problem(answer, 429, "rate_limited")
        assert 1 <= int(answer.headers["retry-after"]) <= 60


def test_row_36_a_revoked_token_stays_revoked_after_a_restart(stage: Stage) -> None:
    key = stage.tenant("acme", "iris")
    issuer = {"public_url": "http://gatehouse.test"}
    with stage.serving(**issuer) as first:
        token, other = token_of(first, key), token_of(first, key)
        assert_done(revoke(first, key, token))
    with stage.serving(**issuer) as second:
        problem(second.get("/account", token), 401, "credential_invalid")
        assert works(second, other)


def test_row_100_without_the_database_nothing_is_said_to_be_revoked(stage_on_each_database: Stage) -> None:
    stage = stage_on_each_database
    key = stage.tenant("acme", "iris")
    with stage.serving() as live:
        token, unseen = token_of(live, key), token_of(live, key)
        assert works(live, token)
        with database_away(live.app.database, stage.values["GATEHOUSE_DATABASE_URL"]):
            answer = revoke(live, key, token)
            assert (answer.status_code, "retry-after" in answer.headers) == (503, True), answer.text
            assert live.get("/account", unseen).status_code == 503, "whether it was revoked cannot be known"
        wait_until(lambda: revoke(live, key, token).status_code == 200)
        assert wait_until(lambda: not works(live, token)) < 1.0


def test_row_98_a_revocation_leaves_no_token_in_the_database(live: Live, key: str) -> None:
    token = token_of(live, key)
    assert_done(revoke(live, key, token))
    files = live.stage.state_dir.glob("gatehouse.db*")
    held = b"".join(file.read_bytes() for file in files)
    assert jwt.decode(token, options={"verify_signature": False})["jti"].encode() in held
    assert not [part for part in (token, *token.split(".")[1:]) if part.encode() in held]
