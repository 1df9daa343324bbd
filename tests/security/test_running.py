"""Running it: settings that stop the start, headers and docs, refused methods, outgoing calls, logs, failures, broken connections."""

import base64
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import httpx2
import outgoing
import pytest
from access_table import access_table
from estimators import RELEASE, SLOW_SIZE
from outage import database_away
from serving_process import refusal_of, serving_process
from sqlalchemy import text
from stage import IRIS_ROW, MIXED_ROW, Live, Stage, instances, key_id, problem, wait_until
from wire import Wire, head, post, wire

from gatehouse.identity.api_keys import checksum
from gatehouse.principal import Plan, Rate, Scope
from gatehouse.usage.figures_store import usage_figures

IRIS, SLOW = "/v1/models/iris/predict", "/v1/models/slow/predict"
GOOD = json.dumps(instances(IRIS_ROW)).encode()


@pytest.fixture(scope="module")
def live(module_stage: Stage) -> Iterator[Live]:
    with module_stage.serving() as running:
        yield running


@pytest.fixture(scope="module")
def key(live: Live) -> str:
    return live.stage.tenant("acme", "iris", "mixed", "line", "slow", "fragile")


@pytest.fixture(scope="module")
def operator(live: Live) -> str:
    return live.stage.key("_operator", scopes=frozenset(Scope))


# ------------------------------------------------------------------ 92: settings

STRONG = {
    "GATEHOUSE_SECRET_KEY": "kP9vX2mQ7tR4wZ8nB3cF6hJ1sL5dG0yA",
    "GATEHOUSE_KEY_PEPPER": "uE4iO8aS2dF6gH0jK1lZ5xC9vB3nM7qW",
    "GATEHOUSE_AUDIT_KEY": "rT7yB2nW5mX9cV4kL1jH8gF3dS6aQ0pZ",
}
SHOWN = (Path(__file__).parents[2] / ".env.example").read_text()
EXAMPLE = dict(re.findall(r"^#? ?(GATEHOUSE_(?:SECRET_KEY|KEY_PEPPER|AUDIT_KEY))=(.*)$", SHOWN, re.MULTILINE))
REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "nothing": ({}, "GATEHOUSE_SECRET_KEY is not set"),
    "no pepper": ({"GATEHOUSE_SECRET_KEY": STRONG["GATEHOUSE_SECRET_KEY"]}, "GATEHOUSE_KEY_PEPPER is not set"),
    "no audit key": ({**STRONG, "GATEHOUSE_AUDIT_KEY": ""}, "GATEHOUSE_AUDIT_KEY is not set"),
    "weak audit key": ({**STRONG, "GATEHOUSE_AUDIT_KEY": "rT7yB2nW5mX9cV4"}, "GATEHOUSE_AUDIT_KEY is too weak"),
    "the pepper as audit key": (
        {**STRONG, "GATEHOUSE_AUDIT_KEY": STRONG["GATEHOUSE_KEY_PEPPER"]},
        "GATEHOUSE_KEY_PEPPER and GATEHOUSE_AUDIT_KEY must differ",
    ),
    "empty secret": ({**STRONG, "GATEHOUSE_SECRET_KEY": ""}, "GATEHOUSE_SECRET_KEY is not set"),
    "short secret": ({**STRONG, "GATEHOUSE_SECRET_KEY": "kP9vX2mQ7tR4wZ8"}, "GATEHOUSE_SECRET_KEY is too weak"),
    "monotonous pepper": ({**STRONG, "GATEHOUSE_KEY_PEPPER": "ab" * 30}, "GATEHOUSE_KEY_PEPPER is too weak"),
    "example secret": (
        {**STRONG, "GATEHOUSE_SECRET_KEY": "change-me-" + "kP9vX2mQ7tR4wZ8nB3cF6hJ1sL5"},
        "GATEHOUSE_SECRET_KEY is an example",
    ),
    "the example file": (EXAMPLE, "GATEHOUSE_"),
    "equal secrets": ({**STRONG, "GATEHOUSE_KEY_PEPPER": STRONG["GATEHOUSE_SECRET_KEY"]}, "must differ"),
    "unknown variable": (
        {**STRONG, "GATEHOUSE_KEY_PEPER": "x"},
        "GATEHOUSE_KEY_PEPER is not a setting; did you mean GATEHOUSE_KEY_PEPPER?",
    ),
    "far off variable": ({**STRONG, "GATEHOUSE_DEBUG": "1"}, "GATEHOUSE_DEBUG is not a setting"),
    "bad choice": ({**STRONG, "GATEHOUSE_DOCS": "public"}, "GATEHOUSE_DOCS"),
    "bad number": ({**STRONG, "GATEHOUSE_MAX_BODY_BYTES": "many"}, "GATEHOUSE_MAX_BODY_BYTES"),
    "bad database": ({**STRONG, "GATEHOUSE_DATABASE_URL": "mysql://u:hunter2-canary@h/db"}, "GATEHOUSE_DATABASE_URL: 'mysql' is not"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_row_92_and_18_a_setting_that_is_missing_weak_or_unknown_stops_the_start(tmp_path: Path, name: str) -> None:
    values, words = REFUSED[name]
    code, output = refusal_of({"GATEHOUSE_STATE_DIR": str(tmp_path), **values}, tmp_path)
    assert (code, len(output.strip().splitlines())) == (1, 1), output
    assert words in output
    assert "hunter2-canary" not in output
    for value in values.values():
        assert len(value) < 20 or value not in output


def test_row_92_what_kubernetes_injects_is_ignored_and_debug_is_off(stage: Stage) -> None:
    stage.values |= {
        "GATEHOUSE_SERVICE_HOST": "10.0.0.1",
        "GATEHOUSE_PORT": "tcp://10.0.0.1:8000",
        "GATEHOUSE_PORT_8000_TCP_ADDR": "10.0.0.1",
    }
    with stage.serving() as live:
        assert live.get("/health").status_code == 200
        assert live.app._rest().debug is False


# ------------------------------------------------------------- 93 to 96: answers

ROUTES = [
    ("GET", "/"),
    ("GET", "/health"),
    ("HEAD", "/health"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/docs"),
    ("GET", "/docs/assets/docs.js"),
    ("GET", "/docs/assets/swagger-ui-bundle.js"),
    ("GET", "/openapi.json"),
    ("GET", "/errors/not_found"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/iris"),
    ("GET", "/v1/models/unknown"),
    ("GET", "/v2/models/iris/migrate-from/v1"),
    ("GET", "/v2/models/iris/migrate-from/v1?format=html"),
    ("POST", "/v2/models/iris/translate"),
    ("GET", "/account"),
    ("GET", "/account/usage"),
    ("GET", "/account/migration"),
    ("GET", "/nothing"),
    ("POST", IRIS),
    ("POST", "/v1/models/unknown/predict"),
    ("GET", IRIS),
    ("OPTIONS", IRIS),
    ("POST", "/oauth/token"),
    ("GET", "/oauth/token"),
    ("POST", "/oauth/revoke"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/.well-known/oauth-authorization-server"),
]


PARAMETERS = {"api_version": "v2", "older": "v1", "model": "iris", "code": "not_found", "name": "docs.js"}


def at(path: str) -> str:
    """A route's path with something in place of each parameter; an id that nothing has."""
    return re.sub(r"\{(\w+)\}", lambda found: PARAMETERS.get(found[1], "unknown0000000000"), path)


EVERY = sorted({*ROUTES, *((access.method, at(access.path)) for access in access_table())})


@pytest.mark.parametrize(("method", "path"), EVERY)
def test_row_93_every_answer_carries_the_security_headers(live: Live, key: str, operator: str, method: str, path: str) -> None:
    headers = {"content-type": "application/json", "origin": "https://evil.invalid"}
    body = GOOD if method == "POST" else b""
    for credential in (None, key, operator):
        own = {"authorization": f"Bearer {credential}"} if credential and not path.startswith("/oauth") else {}
        has_security_headers(live.client.request(method, path, headers=headers | own, content=body), path)


def has_security_headers(answer: httpx2.Response, path: str) -> None:
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    assert answer.headers.get_list("x-frame-options") == ["DENY"]
    assert answer.headers.get_list("referrer-policy") == ["no-referrer"]
    assert len(answer.headers.get_list("content-security-policy")) == 1
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "unsafe-eval" not in answer.headers["content-security-policy"]
    kept_s = {"/docs/assets": 3600, "/.well-known/jwks": 5, "/.well-known/oauth": 3600}
    cached = [f"public, max-age={seconds}" for start, seconds in kept_s.items() if path.startswith(start)]
    assert answer.headers.get_list("cache-control") == (cached or ["no-store"])
    assert not {"server", "x-powered-by", "access-control-allow-origin", "set-cookie", "via"} & set(answer.headers)
    assert answer.headers.get("location", "/")[:2] not in ("//", "ht"), "what was made is named by its path"
    assert not re.search(r"uvicorn|starlette|fastapi|python/|gatehouse/\d", repr(answer.headers).lower())


MODELS = re.compile(r"iris|sepal|petal|setosa|mixed|fragile|colour")


@pytest.mark.parametrize("docs", ["key", "off"])
def test_row_94_without_a_credential_no_answer_names_a_model(stage: Stage, docs: str) -> None:
    with stage.serving(docs=docs) as live:
        key = stage.tenant("acme", "iris")
        live.predict(key, GOOD)
        public = ["/", "/docs", "/openapi.json", "/docs/assets/docs.js", "/health", "/health/ready", "/errors/not_found", "/robots.txt"]
        guarded = ["/v1/models", "/v1/models/iris", "/account", "/account/usage", "/v1/predict", IRIS]
        for path in public + guarded:
            for method in ("GET", "POST", "HEAD", "OPTIONS"):
                for credential in ({}, {"authorization": "Bearer gate_wrong"}, {"authorization": "Basic aXJpczppcmlz"}):
                    answer = live.client.request(method, path, headers=credential, content=b"{}" if method == "POST" else b"")
                    assert not MODELS.search(answer.text + repr(answer.headers)), (method, path)
                    assert path in public or answer.status_code == 401
        if docs == "off":
            for credential in (None, key):
                for path in ("/docs", "/openapi.json"):
                    problem(live.get(path, credential), 404, "not_found")
            assert "/docs" not in live.get("/").text
        else:
            assert live.get("/docs").status_code == 200
            assert not [path for path in live.get("/openapi.json").json()["paths"] if "iris" in path]
            shown = live.get("/openapi.json", key).text
            assert IRIS in shown
            assert "mixed" not in shown
            assert "fragile" not in shown


def test_row_94_open_docs_show_every_contract(stage: Stage) -> None:
    with stage.serving(docs="open") as live:
        assert {IRIS, "/v1/models/mixed/predict", "/v2/models/iris/predict"} <= set(live.get("/openapi.json").json()["paths"])


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/assets/docs.js", "/docs/assets/docs.css", "/errors/rate_limited"])
def test_row_95_pages_load_nothing_from_elsewhere(live: Live, path: str) -> None:
    answer = live.get(path)
    assert answer.status_code == 200
    assert not re.findall(r"""(?:src|href|url|action|import)\s*[=(]\s*["']?\s*(?:https?:)?//""", answer.text)
    for directive in answer.headers["content-security-policy"].split(";"):
        assert not re.search(r"https?:|\*", directive)


@pytest.mark.parametrize("authenticated", [True, False])
@pytest.mark.parametrize(
    "line", ["TRACE /account", "TRACE /", "TRACK /", "CONNECT evil.invalid:443", "CONNECT /account", "PROPFIND /", "PURGE /", "get /health"]
)
def test_row_96_trace_connect_and_odd_methods_are_refused(live: Live, key: str, line: str, authenticated: bool) -> None:
    with wire(live.port, timeout=3) as connection:
        connection.send(head(line, *([f"Authorization: Bearer {key}"] if authenticated else []), "X-Canary: canary-5511"))
        answer = connection.answer(line.split()[0])
        assert answer.status in (400, 405)
        assert b"canary-5511" not in answer.body


@pytest.mark.parametrize("caller", ["nobody", "operator"])
@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
def test_row_96_no_route_answers_trace_or_connect_whoever_asks(live: Live, operator: str, method: str, caller: str) -> None:
    credential = [f"Authorization: Bearer {operator}"] if caller == "operator" else []
    for path in sorted({path for _, path in EVERY}):
        with wire(live.port, timeout=3) as connection:
            answer = connection.send(head(f"{method} {path}", *credential, "X-Canary: canary-5512")).answer(method)
            assert answer.status in (400, 405), path
            assert "www-authenticate" not in dict(answer.headers), f"{path}: before authentication"
            assert b"canary-5512" not in answer.body


UPGRADES = ["websocket", "h2c", "TLS/1.3", "anything"]


@pytest.mark.parametrize("authenticated", [True, False])
@pytest.mark.parametrize("upgrade", UPGRADES)
@pytest.mark.parametrize("request_line", ["GET /account", f"POST {IRIS}", "GET /admin/tenants"])
def test_row_96_an_upgrade_is_refused_before_authentication(
    live: Live, key: str, upgrade: str, request_line: str, authenticated: bool
) -> None:
    fields = ["Connection: Upgrade", f"Upgrade: {upgrade}", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    fields += [f"Authorization: Bearer {key}"] if authenticated else []
    body = GOOD if request_line.startswith("POST") else b""
    fields += ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []
    with wire(live.port, timeout=3) as connection:
        answer = connection.send(head(request_line, *fields), body).answer()
        assert (answer.status, answer.json()["code"]) == (400, "malformed_request")
        assert connection.closed()


# ------------------------------------------------------------- 97: outgoing calls


@pytest.mark.parametrize("host", ["192.0.2.1", "evil.invalid", "::ffff:192.0.2.1", b"evil.invalid", "127.0.0.1.evil.invalid"])
def test_row_97_the_watch_over_the_whole_suite_knows_what_is_elsewhere(host: str | bytes) -> None:
    assert not outgoing.is_here(host)


def test_row_97_serving_connects_to_nobody(live: Live, key: str) -> None:
    """What each test of the suite is watched for, where a caller names other hosts in every way."""
    sys.audit("socket.getaddrinfo", "evil.invalid", 443, 0, 0, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # a datagram socket: nothing is sent
    assert outgoing.found() == ["socket.getaddrinfo 'evil.invalid'", "socket.connect '192.0.2.1'"], "the hook sees both"
    live.predict(key, GOOD, referer="http://evil.invalid/", x_forwarded_host="evil.invalid")
    live.get("/docs")
    live.get("/account", "eyJhbGciOiJFUzI1NiIsImprdSI6Imh0dHA6Ly9ldmlsLmludmFsaWQvIn0.e30.c2ln")
    assert outgoing.found() == []


# --------------------------------------------------- 98, usage, SIGTERM: a process

CANARY_TEXT = "canarytext0d4e77a1"
CANARY_DIGITS = "7.4142857319"


def test_row_98_and_77_no_log_line_holds_a_credential_or_a_feature_value_and_each_is_one_json_object(stage: Stage) -> None:
    key, revoked, suspended = stage.tenant("acme", "iris", "mixed", "fragile"), stage.key("acme"), stage.tenant("gone", "iris")
    stage.revoke(revoked)
    stage.suspend("gone")
    unknown = key[:-20] + "A" * 14
    unknown += checksum(unknown)
    with serving_process(stage) as server:
        everything(server.port, [key, revoked, suspended, unknown])
        form = {"grant_type": "client_credentials", "client_id": key_id(key), "client_secret": key}
        token = httpx2.post(f"{server.base_url}/oauth/token", data=form).json()["access_token"]
        broken = token[:-6] + "AAAAAA"
        everything(server.port, [token, broken])
        for told in (broken, token):
            done = httpx2.post(f"{server.base_url}/oauth/revoke", data=form | {"token": told, "token_type_hint": CANARY_TEXT})
            assert done.status_code == 200
        own = {"authorization": f"Bearer {token}"}
        wait_until(lambda: httpx2.get(f"{server.base_url}/account", headers=own).status_code == 401)
        everything(server.port, [token])
        assert server.terminate() in (0, -15)
        log = server.log.read_text(encoding="utf-8")
    claims = token.split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["jti"] not in log
    for credential in (key, revoked, suspended, unknown, token, broken):
        parts = credential.split("_" if credential.startswith("gate_") else ".")
        assert credential not in log
        assert parts[2] not in log
        assert parts[1] not in log or credential.startswith("gate_")
    for value in (CANARY_TEXT, CANARY_DIGITS, "1e39", *stage.values.values()):
        assert value not in log or (len(value) < 20 and value not in (CANARY_TEXT, CANARY_DIGITS))
    entries = [json.loads(line) for line in log.splitlines()]
    calls = [entry for entry in entries if "request_id" in entry]
    assert len(calls) > 200
    assert {"key_revoked", "token_revoked", "tenant_suspended", "key_secret_wrong", "not_granted", "invalid_input"} <= {
        call.get("reason") for call in calls
    }
    assert all({"at", "level", "method", "path", "status", "address", "ms"} <= set(call) for call in calls)
    assert {call["tenant"] for call in calls if call["status"] == 200 and "tenant" in call} == {"acme"}


def everything(port: int, credentials: list[str]) -> None:
    """All kinds of calls, with canaries in every field, header, query and form."""
    number, text = json.loads(CANARY_DIGITS), CANARY_TEXT
    rows = [
        ("iris", {**IRIS_ROW, field: value}) for field in IRIS_ROW for value in (number, number * 100, text, [text], None, {text: number})
    ]
    rows += [("mixed", {**MIXED_ROW, field: value}) for field in MIXED_ROW for value in (number, text, [text], {text: text})]
    rows += [("fragile", {"size": size}) for size in (number, 13.1313, 14.1414)]
    bodies = [(model, json.dumps(instances(row)).encode()) for model, row in rows]
    bodies += [
        (model, b) for model in ("iris", "slow") for b in (text.encode(), f'{{"{text}": "{text}"'.encode(), f"[{CANARY_DIGITS}]".encode())
    ]
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        for credential in credentials:
            own = {"authorization": f"Bearer {credential}"}
            for model, body in bodies:
                client.post(f"/v1/models/{model}/predict?x={text}", content=body, headers=own | {"content-type": "application/json"})
            for path in (
                "/account",
                "/account/usage",
                "/v1/models",
                "/v1/models/iris",
                "/health/ready",
                "/openapi.json",
                "/oauth/token",
                "/admin/keys",
            ):
                client.get(f"{path}?api_key={credential}&access_token={credential}&v={text}", headers={"x-api-key": credential})
                client.get(
                    path, headers=own | {"x-api-key": credential, "cookie": f"key={credential}", "user-agent": text, "referer": credential}
                )
                client.get(
                    path,
                    headers={"authorization": f"Basic {credential}", "x-request-id": f"{text} {credential}", "traceparent": credential},
                )
            for form in (
                {"client_id": text, "client_secret": credential},
                {"client_id": credential, "client_secret": text},
                {text: credential},
            ):
                client.post("/oauth/token", data={"grant_type": "client_credentials", "scope": text} | form)
                client.post("/oauth/revoke", data={"token": credential, "token_type_hint": text} | form)
            for name in (text, credential, "nobody"):
                client.post("/login", json={"name": name, "password": credential})
                client.post("/login", json={"name": name, "password": f"{text} {credential}"[:128]})
            client.post("/login/accept", json={"code": credential, "password": text})
            with wire(port) as connection:
                connection.send(f"{credential} {text}\r\n\r\n".encode())
                connection.closed()


def test_every_call_of_a_principal_on_a_prediction_path_is_in_usage_once(stage: Stage) -> None:
    key = stage.tenant("acme", "iris", "fragile")
    limited = stage.key("acme", requests=Rate(1, 60, 1))
    with stage.serving(body_deadline_s="0.3") as live:
        for rows in (1, 3, 1):
            assert live.predict(key, instances(*[IRIS_ROW] * rows)).status_code == 200
        sent = [
            (live.predict(key, b"{"), 400),
            (live.predict(key, instances({})), 422),
            (live.predict(key, GOOD, content_type="text/csv"), 415),
            (live.predict(key, GOOD, "/v1/models/unknown/predict"), 404),
            (live.predict(key, GOOD, "/v2/predict"), 422),
            (live.predict(key, instances({"size": 13.1313}), "/v1/models/fragile/predict"), 500),
            (live.client.get(IRIS, headers={"authorization": f"Bearer {key}"}), 405),
            (live.predict(limited, GOOD), 200),
            (live.predict(limited, GOOD), 429),
            (live.predict("gate_wrong", GOOD), 401),
            (live.get("/account", key), 200),
        ]
        assert [answer.status_code for answer, _ in sent] == [status for _, status in sent]
        with wire(live.port) as connection:
            assert connection.send(post(key, GOOD, "X-Late: 1").replace(b"Content-Length: ", b"Content-Length: 9")).answer().status == 408
        live.predict(key, GOOD)  # the last one: when it is there, so is all before it
        expected = {(200, "iris"): (5, 7), (400, "iris"): (1, 0), (415, "iris"): (1, 0), (404, None): (1, 0), (405, None): (1, 0)}
        wait_until(lambda: used(live, key).get((200, "iris")) == (5, 7))
        found = used(live, key)
        assert expected.items() <= found.items()
        assert (found[422, "iris"], found[500, "fragile"]) == ((2, 0), (1, 0))
        assert not {408, 429, 401} & {status for status, _ in found}


def used(live: Live, key: str) -> dict[tuple[int, str | None], tuple[int, int]]:
    """Calls and rows by status and model, over keys and API versions."""
    sums: dict[tuple[int, str | None], tuple[int, int]] = {}
    for line in live.get("/account/usage", key).json()["usage"]:
        at = (line["status"], line["model"])
        calls, rows = sums.get(at, (0, 0))
        sums[at] = (calls + line["calls"], rows + line["rows"])
    return sums


@pytest.mark.endpoints("iris v1")
def test_row_101_sigterm_under_load_finishes_what_is_under_way_and_loses_no_event(stage: Stage) -> None:
    key = stage.tenant("acme", "iris")
    answered: list[int] = []
    cut: list[str] = []
    with serving_process(stage) as server:

        def load() -> None:
            with httpx2.Client(base_url=server.base_url, timeout=20) as client:
                while True:
                    try:
                        answer = client.post(
                            IRIS, content=GOOD, headers={"authorization": f"Bearer {key}", "content-type": "application/json"}
                        )
                    except httpx2.ConnectError:
                        return
                    except httpx2.TransportError as error:
                        cut.append(type(error).__name__)
                        return
                    answered.append(answer.status_code)

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(answered) > 200)
        code = server.terminate()
        for thread in threads:
            thread.join(20)
        assert code in (0, -15)
    assert set(answered) == {200}
    assert not [name for name in cut if name in ("ReadTimeout", "PoolTimeout")]
    with stage.serving() as live:
        usage = live.get("/account/usage", key).json()
    # a connection that is closed while idle may have taken a request that nobody read
    assert len(answered) <= usage["rows"] <= len(answered) + len(cut)


# -------------------------------------------------------- 100: the database is gone


def test_row_100_without_the_database_known_keys_go_on_and_unknown_ones_are_503_never_401(stage: Stage) -> None:
    known, unknown, soft = stage.tenant("acme", "iris"), stage.tenant("late", "iris"), 20
    stage.plan(Plan("hard", Rate(1000, 1, 1000), Rate(1000, 1, 1000), 100, "hard", 100, 4096))
    hard = stage.tenant("hard", "iris", plan="hard")
    with stage.serving() as live:
        assert [live.predict(key, GOOD).status_code for key in (known, hard)] == [200, 200]
        with database_away(live.app.database, stage.values["GATEHOUSE_DATABASE_URL"]):
            assert [live.predict(known, GOOD).status_code for _ in range(soft)] == [200] * soft
            refused = live.predict(unknown, GOOD)
            problem(refused, 503, "identity_unavailable")
            assert int(refused.headers["retry-after"]) > 0
            problem(live.predict(unknown[:-1] + "-", GOOD), 401, "credential_malformed")
            answers = [live.predict(hard, GOOD) for _ in range(110)]
            passed = [answer.status_code for answer in answers].count(200)
            assert passed < 100, "a hard quota is never exceeded"
            problem(answers[-1], 503, "quota_unavailable")
            assert int(answers[-1].headers["retry-after"]) > 0
            for path, status in (("/account", 503), ("/account/usage", 503), ("/v1/models", 200), ("/health", 200), ("/health/ready", 200)):
                assert live.get(path, known).status_code == status, path
            assert problem(live.get("/account/usage", known), 503, "service_unavailable")
            form = {"grant_type": "client_credentials", "client_id": key_id(known), "client_secret": known}
            assert live.client.post("/oauth/token", data=form).status_code == 503
        wait_until(lambda: live.predict(unknown, GOOD).status_code == 200)
        wait_until(lambda: live.get("/account/usage", known).json().get("rows") == soft + 1)
        wait_until(lambda: live.get("/account/usage", hard).json().get("rows") == passed + 1)


def test_row_100_known_keys_end_when_changes_have_not_been_seen_for_too_long(stage: Stage) -> None:
    key = stage.tenant("acme", "iris")
    with stage.serving(stale_identity_s="1") as live:
        assert live.predict(key, GOOD).status_code == 200
        live.caught_up()
        with database_away(live.app.database, stage.values["GATEHOUSE_DATABASE_URL"]):
            wait_until(lambda: live.predict(key, GOOD).status_code == 503)
            problem(live.predict(key, GOOD), 503, "identity_unavailable")
        wait_until(lambda: live.predict(key, GOOD).status_code == 200)


def test_row_100_a_sqlite_file_that_is_locked_by_another_stops_no_prediction(stage: Stage) -> None:
    key = stage.tenant("acme", "iris")
    with stage.serving() as live:
        assert live.predict(key, GOOD).status_code == 200
        with stage.database.write() as session:
            session.execute(text("UPDATE tenant SET name = name"))
            assert [live.predict(key, GOOD).status_code for _ in range(20)] == [200] * 20
        wait_until(lambda: live.get("/account/usage", key).json()["rows"] == 21)


def test_row_100_without_room_for_the_event_nothing_is_scored(stage: Stage) -> None:
    key = stage.tenant("acme", "iris")
    with stage.serving(spool_min_free_bytes=str(2**62)) as live:
        answer = live.predict(key, GOOD)
        problem(answer, 503, "usage_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert live.get("/account", key).json()["rows_left"] == 10**9


# --------------------------------------------------------- 102: broken connections


def half_closed(connection: Wire) -> None:
    connection.socket.shutdown(socket.SHUT_WR)


ENDINGS: dict[str, Callable[[Wire], None]] = {"close": Wire.close, "reset": Wire.reset, "half-close": half_closed}
STAGES = ["in the headers", "after the headers", "in the body", "while predicting", "while answering"]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("at", STAGES)
def test_row_102_a_connection_that_ends_early_leaves_no_call_task_or_connection(live: Live, key: str, at: str, ending: str) -> None:
    RELEASE.clear()
    before = threading.active_count()
    slow = json.dumps(instances({"size": SLOW_SIZE})).encode()
    large = json.dumps({"columns": ["size"], "data": [[n % 100] for n in range(50_000)]}).encode()
    whole = post(key, GOOD)
    requests = {
        "in the headers": whole[: whole.index(b"Content-Type")],
        "after the headers": whole[: -len(GOOD)],
        "in the body": whole[:-5],
        "while predicting": post(key, slow, path=SLOW),
        "while answering": post(key, large, path="/v1/models/line/predict"),
    }
    connections = [Wire(live.port).send(requests[at]) for _ in range(5)]
    if at == "while answering":
        for connection in connections:
            assert connection.socket.recv(10)
    elif at != "in the headers":
        wait_until(lambda: live.app.limits.concurrency.all_inside == 5)
    for connection in connections:
        ENDINGS[ending](connection)
    if at == "while predicting":
        RELEASE.set()
    wait_until(lambda: live.app.limits.concurrency.inside == {})
    for connection in connections:
        connection.close()
    RELEASE.set()
    wait_until(lambda: not live.server.server_state.tasks and len(live.server.server_state.connections) <= 1)
    assert threading.active_count() <= before + 8
    assert live.predict(key, GOOD).status_code == 200


def refuses(port: int) -> bool:
    """Whether nobody listens any more."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:  # refused, or not answered
        return True
    return False


def test_row_101_a_call_under_way_when_the_server_ends_is_answered_and_metered(stage: Stage) -> None:
    RELEASE.clear()
    key = stage.tenant("acme", "slow")
    with stage.serving() as live:
        connection = Wire(live.port).send(post(key, json.dumps(instances({"size": SLOW_SIZE})).encode(), path=SLOW))
        wait_until(lambda: live.app.limits.concurrency.all_inside == 1)
        live.server.should_exit = True
        wait_until(lambda: refuses(live.port))
        time.sleep(0.4)  # the server pauses for 0.1 s by itself; the call takes longer than that
        RELEASE.set()
        answer = connection.answer()
        assert (answer.status, answer.json()["predictions"]) == (200, [{"value": 42.42}])
        assert connection.closed()
        connection.close()
    with stage.database.read() as session:
        assert [each.rows for each in usage_figures(session, tenant_id=None, since=date(2000, 1, 1), until=date(9999, 12, 31), by=[])] == [
            1
        ]
