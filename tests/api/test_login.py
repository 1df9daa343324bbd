"""`POST /login`, `POST /login/accept` and `POST /account/logout`: what they give, and what each kind of bad request gets."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx2
import jwt
import pytest
from logged_in import invited, logged_in
from sqlalchemy import text
from stage import ACTOR, Live, Stage, key_id, problem, wait_until

from gatehouse.identity.passwords import WAITING, Passwords
from gatehouse.identity.people import suspend_person
from gatehouse.limits.failed_logins import FEW
from gatehouse.principal import ROLE_SCOPES, TENANT_SCOPES, Role

GOOD, OTHER = "correct horse battery", "donkey paper clip stapler"
PLACES = [0]

pytestmark = pytest.mark.endpoints("iris v1")


@pytest.fixture(scope="module")
def live(module_stage: Stage) -> Iterator[Live]:
    """Behind a proxy, so that each test can call from a network of its own."""
    with module_stage.serving(trusted_proxies="127.0.0.1") as running:
        for name in ("lead", "second"):
            if name == "lead":
                running.stage.tenant("acme", "iris")
            code = invited(running.stage, name, Role.TENANT_ADMIN, "acme").code
            assert accept(running, code).status_code == 204
        yield running


def send(live: Live, path: str, body: Any, address: str = "", **headers: str) -> httpx2.Response:
    """From a network of its own, or from `address`."""
    PLACES[0] += 1
    given = {"content-type": "application/json", "x-forwarded-for": address or f"10.0.{PLACES[0] // 250}.{PLACES[0] % 250}"}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return live.client.post(path, content=content, headers=given | {name.replace("_", "-"): value for name, value in headers.items()})


def accept(live: Live, code: str, password: str = GOOD, address: str = "") -> httpx2.Response:
    return send(live, "/login/accept", {"code": code, "password": password}, address)


def log_in(live: Live, name: str = "lead@acme", password: str = GOOD, address: str = "") -> httpx2.Response:
    return send(live, "/login", {"name": name, "password": password}, address)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_a_password_gets_a_token_of_15_minutes_that_nobody_may_store(live: Live) -> None:
    answer = log_in(live)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    given = answer.json()
    assert set(given) == {"access_token", "token_type", "expires_in", "role", "scope"}
    assert (given["token_type"], given["expires_in"], given["role"]) == ("Bearer", 900, "tenant_admin")
    assert set(given["scope"].split()) == TENANT_SCOPES
    claims = jwt.decode(given["access_token"], options={"verify_signature": False})
    assert set(claims) == {"iss", "aud", "sub", "tenant", "role", "jti", "iat", "nbf", "exp"}
    assert (claims["aud"], claims["role"], claims["exp"] - claims["iat"]) == ("people", "tenant_admin", 900)
    account = live.get("/account", given["access_token"]).json()
    assert account["person"]["id"] == claims["sub"]
    assert set(account["person"]["scopes"]) == TENANT_SCOPES
    assert "key" not in account
    assert live.get("/account/limits", given["access_token"]).json()["key"] is None
    assert {each["scope"] for each in live.get("/account/limits", given["access_token"]).json()["limits"]} == {"tenant"}


def test_each_role_has_its_scopes(live: Live) -> None:
    for name, role in (("ann", Role.AUDITOR), ("olaf", Role.OPERATOR)):
        assert accept(live, invited(live.stage, name, role).code).status_code == 204
        given = log_in(live, name).json()
        assert given["role"] == role
        assert set(given["scope"].split()) == ROLE_SCOPES[role]
        assert live.get("/admin/tenants", given["access_token"]).status_code == 200
        keys = live.get("/account/keys", given["access_token"])
        assert keys.status_code == (403 if role is Role.AUDITOR else 200)


def test_a_persons_token_is_worth_nothing_elsewhere(live: Live) -> None:
    token = log_in(live).json()["access_token"]
    for path in (
        "/v1/models",
        "/v1/models/iris",
        "/metrics",
        "/health/ready",
        "/openapi.json",
        "/accounts",
        "/administration",
        "/v1/predict",
    ):
        answer = live.get(path, token)
        problem(answer, 401, "credential_invalid")
        assert answer.headers["www-authenticate"] == 'Bearer realm="gatehouse", error="invalid_token"'
    assert live.predict(token, {"instances": []}).status_code == 401
    form = {"grant_type": "client_credentials", "client_id": "x", "client_secret": token}
    assert live.client.post("/oauth/token", data=form).status_code == 401


BAD_BODIES: list[tuple[bytes, int, str]] = [
    (b"", 400, "invalid_json"),
    (b"{", 400, "invalid_json"),
    (b'{"name": "a", "name": "b", "password": "x"}', 400, "invalid_json"),
    (b'{"name": "lead@acme", "password": "x", "password": "y"}', 400, "invalid_json"),
    (b'{"name": "lead@acme", "password": NaN}', 400, "invalid_json"),
    (b'{"name": "lead@acme", "password": "\\ud800 is no character"}', 400, "invalid_json"),
    ('{"name": "lead@acme", "password": "é"}'.encode("latin-1"), 400, "invalid_json"),
    (b"[]", 422, "invalid_input"),
    (b"{}", 422, "invalid_input"),
    (b'{"name": "lead@acme"}', 422, "invalid_input"),
    (b'{"name": null, "password": "x"}', 422, "invalid_input"),
    (b'{"name": 5, "password": "x"}', 422, "invalid_input"),
    (b'{"name": ["lead@acme"], "password": "x"}', 422, "invalid_input"),
    (b'{"name": "lead@acme", "password": 12345678}', 422, "invalid_input"),
    (b'{"name": "lead@acme", "password": true}', 422, "invalid_input"),
    (b'{"name": "lead@acme\\u0000", "password": "x"}', 422, "invalid_input"),
    (b'{"name": "Lead@acme", "password": "x"}', 422, "invalid_input"),
    (b'{"name": "%", "password": "x"}', 422, "invalid_input"),
    (b'{"name": "lead@acme", "password": "x", "role": "operator"}', 422, "invalid_input"),
    (b'{"name": "lead@acme", "password": "x", "tenant": "beta"}', 422, "invalid_input"),
    (b'{"name": "' + b"x" * 10_000 + b'", "password": "x"}', 422, "invalid_input"),
    (b'{"name": "lead@acme", "password": "' + b"x" * 20_000 + b'"}', 413, "body_too_large"),
]


@pytest.mark.parametrize(("body", "status", "code"), BAD_BODIES, ids=lambda value: str(value)[:50])
def test_row_65_a_body_is_read_strictly_and_never_said_again(live: Live, body: bytes, status: int, code: str) -> None:
    before = live.app.identity.logins.passwords.computed
    answer = send(live, "/login", body)
    problem(answer, status, code)
    assert "lead@acme" not in answer.text
    assert live.app.identity.logins.passwords.computed == before, "no hash is computed for it"


def test_row_15_a_password_of_1_mb_costs_nothing(live: Live) -> None:
    before = live.app.identity.logins.passwords.computed
    huge = json.dumps({"name": "lead@acme", "password": "x" * 1_000_000}).encode()
    problem(send(live, "/login", huge), 413, "body_too_large")
    problem(log_in(live, password="x" * 16_000), 401, "credential_invalid")
    assert live.app.identity.logins.passwords.computed == before


def test_other_methods_are_405_and_other_types_415(live: Live) -> None:
    for path in ("/login", "/login/accept"):
        for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS"):
            answer = live.client.request(method, path)
            problem(answer, 405, "method_not_allowed")
            assert answer.headers["allow"] == "POST"
        assert live.client.head(path).status_code == 405
        form = live.client.post(path, data={"name": "lead@acme", "password": GOOD})
        problem(form, 415, "unsupported_media_type")


def test_row_5_nothing_is_taken_from_the_query(live: Live) -> None:
    for path, body in (("/login", {"name": "lead@acme", "password": GOOD}), ("/login/accept", {"code": "once_x", "password": GOOD})):
        entries = problem(send(live, f"{path}?password=x", body), 422, "invalid_input")["errors"]
        assert "query" in entries[0]["detail"]


def test_row_16_what_a_refused_login_is_told_are_the_same_bytes_whoever_it_is(live: Live) -> None:
    invited(live.stage, "late", Role.TENANT_ADMIN, "acme")
    code = invited(live.stage, "gone", Role.TENANT_ADMIN, "acme").code
    accept(live, code)
    suspend_person(live.stage.database, ACTOR, "gone@acme")
    told = set()
    for name, password in (
        ("nobody@acme", GOOD),
        ("nobody@nowhere", GOOD),
        ("nobody", GOOD),
        ("lead@acme", OTHER),
        ("lead@acme", "x" * 200),
        ("lead@acme", "short"),
        ("gone@acme", GOOD),
        ("late@acme", GOOD),
    ):
        answer = log_in(live, name, password)
        document = problem(answer, 401, "credential_invalid")
        headers = {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id", "content-length")}
        assert headers["www-authenticate"] == 'Bearer realm="gatehouse", error="invalid_token"'
        told.add((answer.text.replace(document["request_id"], ""), tuple(sorted(headers.items()))))
    assert len(told) == 1


def test_a_code_sets_a_password_that_logs_in_and_is_spent(live: Live) -> None:
    code = invited(live.stage, "newcomer", Role.TENANT_ADMIN, "acme").code
    for password, why in (
        ("short", "8 to 128"),
        ("password1234", "guessed first"),
        ("newcomer", "little more"),
        ("acme-gatehouse", "little more"),
    ):
        entries = problem(accept(live, code, password), 422, "invalid_input")["errors"]
        assert entries[0]["pointer"] == "/password"
        assert why in entries[0]["detail"]
    done = accept(live, code)
    assert (done.status_code, done.content, done.headers["cache-control"]) == (204, b"", "no-store")
    assert log_in(live, "newcomer@acme").status_code == 200
    told = {json.dumps(problem(accept(live, each), 422, "invalid_input")["errors"]) for each in (code, "once_" + "x" * 32, "x")}
    assert len(told) == 1
    assert "/code" in told.pop()


@pytest.mark.parametrize(
    "body", [{"code": "once_x"}, {"password": GOOD}, {"code": 5, "password": GOOD}, {"code": "x" * 65, "password": GOOD}], ids=str
)
def test_an_acceptance_that_is_none_is_refused(live: Live, body: dict[str, Any]) -> None:
    problem(send(live, "/login/accept", body), 422, "invalid_input")
    problem(send(live, "/login/accept", {"code": "x", "password": GOOD, "name": "lead@acme"}), 422, "invalid_input")


def test_row_36_logging_out_ends_the_token_within_a_second_and_no_other(live: Live) -> None:
    first, second = (log_in(live).json()["access_token"] for _ in range(2))
    assert live.client.post("/account/logout", headers=bearer(first)).status_code == 204
    assert wait_until(lambda: live.get("/account", first).status_code == 401) < 1.0
    assert live.get("/account", second).status_code == 200
    problem(live.client.post("/account/logout", headers=bearer(first)), 401, "credential_invalid")
    problem(live.client.get("/account/logout", headers=bearer(second)), 405, "method_not_allowed")


def test_row_35_whoever_holds_a_persons_token_ends_it_without_a_client_and_a_client_does_not(live: Live) -> None:
    key, token = live.stage.key("acme"), log_in(live).json()["access_token"]
    by_client = {"token": token, "client_id": key_id(key), "client_secret": key}
    assert live.client.post("/oauth/revoke", data=by_client).status_code == 200
    assert live.get("/account", token).status_code == 200, "it is none of this client's"
    assert live.client.post("/oauth/revoke", data={"token": token[:-4] + "AAAA"}).status_code == 401
    assert live.client.post("/oauth/revoke", data={"token": token}).status_code == 200
    assert wait_until(lambda: live.get("/account", token).status_code == 401) < 1.0
    form = {"grant_type": "client_credentials", "client_id": key_id(key), "client_secret": key}
    of_key = live.client.post("/oauth/token", data=form).json()["access_token"]
    assert live.client.post("/oauth/revoke", data={"token": of_key}).status_code == 401, "a key's token needs its client"


def test_a_key_has_no_login_to_leave(live: Live) -> None:
    key = live.stage.key("acme")
    problem(live.client.post("/account/logout", headers=bearer(key)), 403, "login_needed")


def test_row_58_a_name_under_guesses_is_429_before_any_hash_and_another_network_goes_on(live: Live) -> None:
    before = live.app.identity.logins.passwords.computed
    answers = [log_in(live, "second@acme", OTHER, "203.0.113.5") for _ in range(FEW + 2)]
    assert [answer.status_code for answer in answers] == [*[401] * FEW, 429, 429]
    assert live.app.identity.logins.passwords.computed == before + FEW
    problem(answers[-1], 429, "too_many_failures")
    assert 50 < int(answers[-1].headers["retry-after"]) <= 60
    assert log_in(live, "second@acme", GOOD, "203.0.113.5").status_code == 429, "the right password too: nothing is learnt by guessing on"
    assert log_in(live, "second@acme", GOOD, "203.0.113.6").status_code == 200
    unknown = [log_in(live, "nobody@acme", OTHER, "203.0.113.7").status_code for _ in range(FEW + 1)]
    assert unknown == [*[401] * FEW, 429], "whether there is somebody so called or not"


def test_row_58_a_failure_that_cannot_be_audited_counts_all_the_same(live: Live) -> None:
    database, refuse = live.stage.database, "CREATE TRIGGER refuses_all BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END"
    with database.write() as session:
        session.execute(text(refuse))
    try:
        tried = [log_in(live, "guessed@acme", OTHER, "203.0.113.58").status_code for _ in range(FEW + 1)]
        right = [log_in(live, "second@acme", GOOD, "203.0.113.59").status_code for _ in range(FEW + 1)]
    finally:
        with database.write() as session:
            session.execute(text("DROP TRIGGER refuses_all"))
    assert tried == [*[503] * FEW, 429]
    assert right == [503] * (FEW + 1), "whoever is right has not failed"


def test_wrong_codes_are_slowed_by_network(live: Live) -> None:
    statuses = [accept(live, "once_" + "x" * 32, GOOD, "203.0.113.9").status_code for _ in range(32)]
    assert statuses == [*[422] * 30, 429, 429]
    assert accept(live, "once_" + "x" * 32, GOOD, "203.0.113.10").status_code == 422


def test_row_62_beyond_the_hashes_that_wait_is_503_and_other_calls_go_on(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    key, passwords, go = live.stage.key("acme"), live.app.identity.logins.passwords, threading.Event()
    context = passwords._context

    class Held:
        def verify(self, password: bytes, stored: str) -> bool:
            assert go.wait(30)
            return bool(context.verify(password, stored))

        def needs_update(self, stored: str) -> bool:
            return False

    monkeypatch.setattr(passwords, "_context", Held())
    got: list[int] = []
    callers = [threading.Thread(target=lambda n=n: got.append(direct(live, n))) for n in range(WAITING + 2)]
    for caller in callers:
        caller.start()
    try:
        wait_until(lambda: passwords._places._value == 0)
        refused = log_in(live)
        problem(refused, 503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        assert live.get("/account", key).status_code == 200
    finally:
        go.set()
        for caller in callers:
            caller.join(30)
    assert got == [200] * (WAITING + 2)
    assert log_in(live).status_code == 200
    assert isinstance(passwords, Passwords)


def direct(live: Live, caller: int) -> int:
    """A login by a client and from a network of its own."""
    with httpx2.Client(base_url=live.base_url, timeout=30, verify=False) as client:
        answer = client.post("/login", json={"name": "lead@acme", "password": GOOD}, headers={"x-forwarded-for": f"10.9.9.{caller}"})
        return answer.status_code


def test_row_98_the_log_names_the_person_and_neither_password_nor_code(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    from gatehouse.middleware.request_log import facts

    def said() -> list[dict[str, object]]:
        """A line follows its answer, so the line of a login may come after the first call that it allows."""
        every = [facts(record.call) for record in caplog.records if hasattr(record, "call")]
        return [each for each in every if str(each["path"]).startswith("/account")]

    token = log_in(live).json()["access_token"]
    person = live.get("/account", token).json()["person"]["id"]
    code = invited(live.stage, "leaky", Role.TENANT_ADMIN, "acme").code
    live.get(f"/account/{code}", token)
    wait_until(lambda: len(said()) == 2)
    assert {each.get("person") for each in said()} == {person}
    assert all("key" not in each for each in said())
    assert code not in repr(caplog.records) + repr([facts(record.call) for record in caplog.records if hasattr(record, "call")])


def test_someone_who_is_logged_in_by_the_tests_own_way_is_as_good(live: Live) -> None:
    token = logged_in(live.stage, "quick", Role.TENANT_ADMIN, "acme").token(live)
    assert live.get("/account", token).status_code == 200
