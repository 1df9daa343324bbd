"""`POST /oauth/token` speaks RFC 6749: what it gives, and what each kind of bad request gets."""

import base64
import json
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import jwt
import pytest
from stage import Live, Stage, key_id, problem, wait_until
from wire import head, wire

from gatehouse.principal import DEFAULT_KEY_SCOPES, TENANT_SCOPES, Scope

PATH = "/oauth/token"
FORM = "application/x-www-form-urlencoded"
GRANT = "grant_type=client_credentials"


@pytest.fixture(scope="module")
def key(live: Live) -> str:
    return live.stage.tenant("acme", "iris")


def form_of(key: str, **more: str) -> dict[str, str]:
    return {"grant_type": "client_credentials", "client_id": key_id(key), "client_secret": key} | more


def ask(live: Live, body: str | bytes, *, path: str = PATH, **headers: str) -> httpx2.Response:
    given = {"content-type": FORM} | {name.replace("_", "-"): value for name, value in headers.items()}
    return live.client.post(path, content=body, headers=given)


def encoded(client_id: str, secret: str) -> str:
    return base64.b64encode(f"{client_id}:{secret}".encode("latin-1")).decode()


def refused(answer: httpx2.Response, status: int, error: str) -> dict[str, Any]:
    """The error document of RFC 6749 5.2, which nobody may store."""
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["error"]) == (status, error), answer.text
    assert set(document) == {"error", "error_description"}
    assert answer.headers["content-type"] == "application/json"
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    # RFC 9110 11.6.1: every 401 names a way to authenticate
    assert answer.headers.get("www-authenticate") == ('Basic realm="gatehouse"' if status == 401 else None)
    return document


def test_row_33_a_key_gets_a_token_that_nobody_may_store(live: Live, key: str) -> None:
    answer = live.client.post(PATH, data=form_of(key))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    document = answer.json()
    assert set(document) == {"access_token", "token_type", "expires_in", "scope"}
    assert (document["token_type"], document["expires_in"]) == ("Bearer", 900)
    assert set(document["scope"].split(" ")) == DEFAULT_KEY_SCOPES
    assert live.get("/account", document["access_token"]).status_code == 200


def test_a_token_holds_what_rfc_9068_asks_for_and_each_has_its_own_id(live: Live, key: str) -> None:
    first, second = (live.client.post(PATH, data=form_of(key)).json()["access_token"] for _ in range(2))
    assert first != second
    claims = jwt.decode(first, options={"verify_signature": False})
    assert set(claims) == {"iss", "aud", "sub", "client_id", "tenant", "scope", "jti", "iat", "nbf", "exp"}
    assert claims["jti"] != jwt.decode(second, options={"verify_signature": False})["jti"]
    assert jwt.get_unverified_header(first) | {"kid": ""} == {"alg": "ES256", "typ": "at+jwt", "kid": ""}
    assert abs(claims["iat"] - time.time()) < 5
    assert key not in first


def test_row_34_http_basic_works_as_well_as_the_form(live: Live, key: str) -> None:
    basic = encoded(key_id(key), key)
    for scheme in ("Basic", "basic", "BASIC"):
        assert ask(live, GRANT, authorization=f"{scheme} {basic}").status_code == 200
    percent = "".join(f"%{ord(character):02X}" for character in key)
    assert ask(live, GRANT, authorization=f"Basic {encoded(key_id(key), percent)}").status_code == 200, "form-encoded first (2.3.1)"
    assert ask(live, GRANT, content_type=f"{FORM}; charset=UTF-8", authorization=f"Basic {basic}").status_code == 200


def test_row_34_both_ways_at_once_are_refused_even_when_they_agree(live: Live, key: str) -> None:
    basic = f"Basic {encoded(key_id(key), key)}"
    for more in (f"client_id={key_id(key)}&client_secret={key}", f"client_secret={key}", f"client_id={key_id(key)}"):
        refused(ask(live, f"{GRANT}&{more}", authorization=basic), 400, "invalid_request")


@pytest.mark.parametrize("query", ["client_secret={key}", "access_token={key}", GRANT + "&client_id={id}&client_secret={key}", "x=1"])
def test_row_34_nothing_is_taken_from_the_query(live: Live, key: str, query: str) -> None:
    path = f"{PATH}?{query.format(key=key, id=key_id(key))}"
    for body in ("", GRANT, f"{GRANT}&client_id={key_id(key)}&client_secret={key}"):
        answer = ask(live, body, path=path)
        refused(answer, 401, "invalid_client")
        assert key not in answer.text


def test_row_32_fewer_scopes_can_be_asked_for(live: Live, key: str) -> None:
    answer = live.client.post(PATH, data=form_of(key, scope="models:read account:read")).json()
    assert set(answer["scope"].split()) == {"models:read", "account:read"}
    assert live.get("/v1/models", answer["access_token"]).status_code == 200
    problem(live.get("/account/usage", answer["access_token"]), 403, "scope_missing")
    blank = live.client.post(PATH, data=form_of(key, scope="")).json()
    assert set(blank["scope"].split()) == DEFAULT_KEY_SCOPES, "a parameter without a value counts as absent"


@pytest.mark.parametrize(
    "scope",
    [
        *sorted(set(Scope) - DEFAULT_KEY_SCOPES),
        "account:read admin:read",
        "unknown",
        "MODELS:READ",
        "models:read,usage:read",
        " ",
        "*",
        "é",
    ],
)
def test_row_32_wider_or_unknown_scopes_cannot(live: Live, key: str, scope: str) -> None:
    refused(live.client.post(PATH, data=form_of(key, scope=scope)), 400, "invalid_scope")


def test_row_32_a_token_lives_15_minutes_and_never_longer_than_its_key(live: Live) -> None:
    ending = live.stage.key("acme", expires_at=datetime.now(UTC) + timedelta(seconds=60))
    answer = live.client.post(PATH, data=form_of(ending)).json()
    assert 50 <= answer["expires_in"] <= 60
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == answer["expires_in"]


def test_a_token_cannot_be_exchanged_for_another_one(live: Live, key: str) -> None:
    token = live.client.post(PATH, data=form_of(key)).json()["access_token"]
    assert live.get("/account", token).status_code == 200
    refused(live.client.post(PATH, data=form_of(key, client_secret=token)), 401, "invalid_client")
    refused(ask(live, GRANT, authorization=f"Basic {encoded(key_id(key), token)}"), 401, "invalid_client")
    refused(ask(live, GRANT, authorization=f"Bearer {token}"), 401, "invalid_client")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_row_33_other_methods_are_405_with_and_without_a_credential(live: Live, key: str, method: str) -> None:
    for headers in ({}, {"authorization": f"Bearer {key}"}):
        answer = live.client.request(method, PATH, headers=headers)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert method == "HEAD" or answer.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize("name", ["grant_type", "client_id", "client_secret", "scope", "unknown"])
def test_row_33_a_repeated_parameter_is_refused(live: Live, key: str, name: str) -> None:
    fields = form_of(key, scope="models:read", unknown="1")
    body = "&".join(f"{field}={value}" for field, value in fields.items())
    for again in (fields[name], "other", ""):
        refused(ask(live, f"{body}&{name}={again}"), 400, "invalid_request")
        refused(ask(live, f"{name}={again}&{body}"), 400, "invalid_request")
    assert ask(live, body).status_code == 200, "an unknown parameter is ignored (RFC 6749 3.2)"


@pytest.mark.parametrize(
    "grant", ["password", "implicit", "authorization_code", "refresh_token", "CLIENT_CREDENTIALS", "client_credentials ", "x", "é"]
)
def test_row_40_other_grants_are_refused(live: Live, key: str, grant: str) -> None:
    refused(live.client.post(PATH, data=form_of(key, grant_type=grant)), 400, "unsupported_grant_type")


@pytest.mark.parametrize(
    "body", ["", "grant_type=", "client_id={id}&client_secret={key}", "grant_type=&client_id={id}&client_secret={key}"]
)
def test_a_missing_grant_type_is_an_invalid_request(live: Live, key: str, body: str) -> None:
    refused(ask(live, body.format(id=key_id(key), key=key)), 400, "invalid_request")


@pytest.mark.parametrize(
    "body",
    ["{", "grant_type", "a=%ff", "a=é", "&&&", "=&=", "a=b=c&d", b"\xff\xfe", b"\x00", '{"grant_type": "client_credentials"}', "a&" * 40],
)
def test_a_body_that_is_no_form_is_an_invalid_request(live: Live, body: str | bytes) -> None:
    refused(ask(live, body), 400, "invalid_request")


def test_more_parameters_than_anybody_needs_are_an_invalid_request(live: Live, key: str) -> None:
    many = "".join(f"&p{n}={n}" for n in range(20))
    refused(ask(live, f"{GRANT}&client_id={key_id(key)}&client_secret={key}{many}"), 400, "invalid_request")


@pytest.mark.parametrize(
    "content_type", ["application/json", "multipart/form-data; boundary=x", "text/plain", "", "application/x-www-form"]
)
def test_row_33_only_a_form_is_read(live: Live, key: str, content_type: str) -> None:
    fields = form_of(key)
    for body in (json.dumps(fields), "&".join(f"{name}={value}" for name, value in fields.items())):
        refused(ask(live, body, content_type=content_type), 400, "invalid_request")


def test_no_part_of_a_wrong_key_is_told_from_another(live: Live, key: str) -> None:
    """Wrong secret, unknown id, revoked, expired, suspended, another key's id, wrong checksum: the same bytes."""
    live.stage.tenant("gone", "iris")
    suspended, revoked = live.stage.key("gone"), live.stage.key("acme")
    ending = live.stage.key("acme", expires_at=datetime.now(UTC) + timedelta(seconds=1))
    live.stage.suspend("gone")
    live.stage.revoke(revoked)
    wait_until(lambda: live.client.post(PATH, data=form_of(ending)).status_code == 401)
    last = "a" if key[-1] != "a" else "b"
    cases = [
        form_of(suspended),
        form_of(revoked),
        form_of(ending),
        form_of(key, client_secret=live.stage.key("acme")),
        form_of(key, client_id="0" * 16),
        form_of(key, client_id=key_id(key).swapcase()),
        form_of(key, client_id=f"{key_id(key)} "),
        form_of(key, client_secret=key[:-1] + last),
        form_of(key, client_secret=f"{key} "),
        form_of(key, client_secret=key + "\x00"),
        form_of(key, client_secret="gate_é\u2028\r\n"),
        form_of(key, client_secret="gate_" + "\U0001f511" * 70),
        form_of(key, client_id="é\r\nX: y"),
        form_of(key, client_id="' OR 1=1 --"),
    ]
    answers = [live.client.post(PATH, data=case) for case in cases]
    for answer in answers:
        refused(answer, 401, "invalid_client")
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize(
    "fields",
    [{}, {"client_id": "x"}, {"client_secret": "x"}, {"client_id": "", "client_secret": ""}, {"client_id": "x", "client_secret": "y"}],
)
def test_a_missing_or_foreign_client_is_an_invalid_client(live: Live, fields: dict[str, str]) -> None:
    refused(live.client.post(PATH, data={"grant_type": "client_credentials"} | fields), 401, "invalid_client")


@pytest.mark.parametrize(
    "value",
    [
        b"Basic",
        b"Basic ",
        b"Basic !!!!",
        b"Basic YWJj",
        b"Basic YWJjOg",
        b"Basic " + base64.b64encode(b":"),
        b"Basic " + base64.b64encode(b"a:"),
        b"Basic " + base64.b64encode(b":b"),
        b"Basic " + base64.b64encode(b"a:b"),
        b"Basic " + base64.b64encode(b"\xff:\xff"),
        b"Basic " + base64.b64encode(b"a\x00:b\r\n"),
        b"Basic " + base64.b64encode(b"a:gate_%C3%A9%00%ff%"),
        b"Basic " + base64.b64encode("é:é".encode()),
        b"Basic \xe9\xff",
        b"Basic YTpi, Basic YTpi",
        b"Digest username=x",
        b"Bearer x",
        b"",
        b"x",
        b"Basic " + b"QUFB" * 2000,
    ],
    ids=repr,
)
def test_an_odd_authorization_header_is_an_invalid_client(live: Live, value: bytes) -> None:
    with wire(live.port) as connection:
        fields = (f"Authorization: {value.decode('latin-1')}", f"Content-Type: {FORM}", f"Content-Length: {len(GRANT)}")
        answer = connection.send(head(f"POST {PATH}", *fields), GRANT.encode()).answer()
    assert (answer.status, answer.json()["error"], answer.header("www-authenticate")) == (401, "invalid_client", 'Basic realm="gatehouse"')


def test_two_authorization_headers_are_an_invalid_client(live: Live, key: str) -> None:
    good = f"Authorization: Basic {encoded(key_id(key), key)}"
    with wire(live.port) as connection:
        connection.send(head(f"POST {PATH}", good, good, f"Content-Type: {FORM}", f"Content-Length: {len(GRANT)}"), GRANT.encode())
        answer = connection.answer()
    assert (answer.status, answer.json()["error"]) == (401, "invalid_client")


def test_a_control_character_in_a_header_is_400(live: Live) -> None:
    with wire(live.port) as connection:
        connection.send(
            head(f"POST {PATH}", "Authorization: Basic a\x01b", f"Content-Type: {FORM}", f"Content-Length: {len(GRANT)}"), GRANT.encode()
        )
        assert connection.answer().status == 400


@pytest.mark.parametrize("host", ["[..]", "[::::]", "[1.2.3.4]", "[::1]:99999", "gatehouse.test:0"])
@pytest.mark.parametrize("path", [PATH, f"{PATH}?a=b"])
def test_an_odd_host_is_never_500(live: Live, host: str, path: str) -> None:
    with wire(live.port) as connection:
        lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Type: {FORM}", f"Content-Length: {len(GRANT)}", "", GRANT]
        connection.send("\r\n".join(lines).encode())
        assert connection.answer().status in (400, 401)


def test_a_body_over_16_kib_is_413_though_the_key_is_right(live: Live, key: str) -> None:
    body = "&".join(f"{name}={value}" for name, value in form_of(key).items())
    problem(ask(live, f"{body}&pad={'x' * 16 * 1024}"), 413, "body_too_large")
    assert ask(live, f"{body}&pad={'x' * 15 * 1024}").status_code == 200


def test_row_39_a_token_has_no_scope_that_its_key_lost_or_its_tenant_cannot_have(live: Live) -> None:
    wide = live.stage.key("acme", scopes=TENANT_SCOPES)
    answer = live.client.post(PATH, data=form_of(wide)).json()
    assert set(answer["scope"].split()) == TENANT_SCOPES
    with sqlite3.connect(live.stage.state_dir / "gatehouse.db") as database:  # as somebody with the database might try
        database.execute("UPDATE api_key SET scopes = 'admin:read admin:write models:read' WHERE id = ?", (key_id(wide),))
    database.close()
    again = live.client.post(PATH, data=form_of(wide)).json()
    assert set(again["scope"].split()) == {"models:read"}


def test_failed_requests_count_as_failed_credentials(stage: Stage) -> None:
    with stage.serving(failed_credentials_per_minute="3") as live:
        good = live.stage.tenant("acme", "iris")
        wrong = form_of(live.stage.key("acme"), client_secret=good[:-1] + ("a" if good[-1] != "a" else "b"))
        for _ in range(3):
            refused(live.client.post(PATH, data=wrong), 401, "invalid_client")
        answer = live.client.post(PATH, data=form_of(good))
        problem(answer, 429, "too_many_failures")
        assert 1 <= int(answer.headers["retry-after"]) <= 20
