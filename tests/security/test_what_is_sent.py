"""What is sent: strict bodies, no value ever repeated, honest pointers, hostile names and paths, log lines that cannot be forged."""

import json
import logging
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stage import IRIS_ROW, MIXED_ROW, Live, Stage, instances, problem, wait_until
from wire import head, post, wire

from gatehouse.middleware.request_log import JsonLines

IRIS, MIXED, LINE = "/v1/models/iris/predict", "/v1/models/mixed/predict", "/v1/models/line/predict"
GOOD = json.dumps(instances(IRIS_ROW)).encode()
CANARY = "canary-7f3a9c51"
CANARY_NUMBER = 8.76543210123
EXAMPLES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)


@pytest.fixture(scope="module")
def live(module_stage: Stage) -> Iterator[Live]:
    with module_stage.serving(docs="open") as running:
        yield running


@pytest.fixture(scope="module")
def key(live: Live) -> str:
    return live.stage.tenant("acme", "iris", "mixed", "line", "fragile")


# ------------------------------------------------------------- 65: strict JSON

json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*IRIS_ROW, "x", "instances"]), inner, max_size=5),
    max_leaves=12,
)
bodies = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
    json_values.map(lambda value: json.dumps(value).encode()),
    json_values.map(lambda value: json.dumps({"instances": [value]}, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    json_values.map(lambda value: json.dumps({"instances": [IRIS_ROW], "outputs": value}).encode()),
    json_values.map(lambda value: json.dumps({"columns": list(IRIS_ROW), "data": value}).encode()),
    st.tuples(st.integers(0, len(GOOD)), st.binary(max_size=6)).map(lambda cut: GOOD[: cut[0]] + cut[1] + GOOD[cut[0] :]),
    st.tuples(st.integers(0, len(GOOD)), st.integers(1, 9)).map(lambda cut: GOOD[: cut[0]] + GOOD[cut[0] + cut[1] :]),
)


@EXAMPLES
@given(body=bodies)
def test_row_65_any_bytes_are_400_422_or_an_answer_to_good_rows(live: Live, key: str, body: bytes) -> None:
    answer = live.predict(key, body)
    if answer.status_code == 200:
        assert set(json.loads(body)) <= {"instances", "columns", "data", "outputs"}
    else:
        assert answer.status_code in (400, 422), answer.text
        problem(answer, answer.status_code, "invalid_json" if answer.status_code == 400 else "invalid_input")


# ---------------------------------------------------------- 66: no coercion


@pytest.mark.parametrize(
    "sent", ["5.1", "1_0", "٥", "５", " 5 ", "0x1", "1e1", "NaN", "", True, False, [], [5.1], {}, {"value": 5.1}, None]
)
@pytest.mark.parametrize("columns", [False, True], ids=["records", "columns"])
def test_row_66_nothing_but_a_number_becomes_a_number(live: Live, key: str, sent: Any, columns: bool) -> None:
    row = {**IRIS_ROW, "sepal_width": sent}
    body = {"columns": list(row), "data": [list(row.values())]} if columns else instances(row)
    (error,) = problem(live.predict(key, body), 422, "invalid_input")["errors"]
    assert error["pointer"] == ("/data/0/1" if columns else "/instances/0/sepal_width")


@pytest.mark.parametrize(
    ("field", "sent"), [("visits", "3"), ("visits", 3.5), ("visits", True), ("member", 1), ("member", "true"), ("note", 5)]
)
def test_row_66_nor_anything_else_another_type(live: Live, key: str, field: str, sent: Any) -> None:
    (error,) = problem(live.predict(key, instances({**MIXED_ROW, field: sent}), MIXED), 422, "invalid_input")["errors"]
    assert error["pointer"] == f"/instances/0/{field}"


# -------------------------------------------------------- 67: unknown fields


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({**instances(IRIS_ROW), "Instances": []}, "/Instances"),
        ({**instances(IRIS_ROW), "tenant": "other"}, "/tenant"),
        ({**instances(IRIS_ROW), "model_version": "9.0.0"}, "/model_version"),
        (instances({**IRIS_ROW, "sepal_lenght": 5}), "/instances/0/sepal_lenght"),
        (instances({**IRIS_ROW, "a/b~c": 5}), "/instances/0/a~1b~0c"),
        ({"columns": [*IRIS_ROW, "sepal_lenght"], "data": [[1, 1, 1, 1, 1]]}, "/columns/4"),
        ({"columns": [*IRIS_ROW, "sepal_width"], "data": [[1, 1, 1, 1, 1]]}, "/columns/4"),
        ({"columns": list(IRIS_ROW), "data": [[1, 1, 1, 1]], "index": [0]}, "/index"),
    ],
)
def test_row_67_and_44_a_field_that_is_not_the_contracts_is_refused_at_each_level(live: Live, key: str, body: Any, pointer: str) -> None:
    errors = problem(live.predict(key, body), 422, "invalid_input")["errors"]
    assert pointer in [error["pointer"] for error in errors]


# ------------------------------------------------------------- 68: categories


@pytest.mark.parametrize(
    "sent",
    [
        "Red",
        "RED",
        " red",
        "red ",
        "red\n",
        "red\u200b",
        "\u0433ed",
        "r\u0435d",
        "ｒｅｄ",
        unicodedata.normalize("NFD", "réd"),
        "red\u0000",
        "",
    ],
)
def test_row_68_a_category_is_not_folded_trimmed_or_normalised(live: Live, key: str, sent: str) -> None:
    (error,) = problem(live.predict(key, instances({**MIXED_ROW, "colour": sent}), MIXED), 422, "invalid_input")["errors"]
    assert error["allowed"] == ["red", "green", "blue"]


# ------------------------------------------------------------------- 69: types


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7"])
def test_row_69_a_body_in_another_encoding_is_400(live: Live, key: str, encoding: str) -> None:
    text = GOOD.decode().replace("5.2", '"\u00e9"')
    problem(
        live.predict(key, text.encode(encoding)),
        422 if encoding == "utf-7" else 400,
        "invalid_input" if encoding == "utf-7" else "invalid_json",
    )


@pytest.mark.parametrize(
    "content_types", [[], ["text/json"], ["application/json", "application/json"], ["application/json; charset=latin-1"]]
)
def test_row_69_the_content_type_is_one_and_json(live: Live, key: str, content_types: list[str]) -> None:
    fields = [f"Content-Type: {content_type}" for content_type in content_types]
    with wire(live.port) as connection:
        connection.send(head(f"POST {IRIS}", f"Authorization: Bearer {key}", *fields, f"Content-Length: {len(GOOD)}"), GOOD)
        assert connection.answer().status == 415


# --------------------------------------------------------------- 71: no echoes


def canary_cells(live: Live, key: str) -> Iterator[httpx2.Response]:
    """Predictions that hold the canary in one cell."""
    deep: Any = CANARY
    for _ in range(70):
        deep = [deep]
    values: list[Any] = [CANARY, CANARY_NUMBER * 10, [CANARY], {CANARY: CANARY}, deep, CANARY * 1000]
    for path, row in ((IRIS, IRIS_ROW), (MIXED, MIXED_ROW)):
        for field, value in product(row, values):
            if (field, value) != ("note", CANARY):
                changed = {**row, field: value}
                yield live.predict(key, instances(changed), path)
                yield live.predict(key, {"columns": list(row), "data": [list(changed.values())]}, path)


def canary_bodies(live: Live, key: str) -> Iterator[httpx2.Response]:
    """Predictions that hold the canary in the place of something else."""
    for body in (
        CANARY,
        [CANARY],
        {"features": [CANARY]},
        {"instances": CANARY},
        {"instances": [CANARY]},
        {**instances(IRIS_ROW), "outputs": [CANARY]},
        {**instances(IRIS_ROW), "outputs": CANARY},
        {"columns": [CANARY], "data": [[CANARY]]},
        {"columns": CANARY, "data": CANARY},
    ):
        yield live.predict(key, body)
    for text in ('{"instances": [%s]}', '{"instances": "%s', "{%s: 1}", '{"%s": 1, "%s": 2}', '{"instances": [{"%s": 1, "%s": 2}]}', "%s"):
        yield live.predict(key, text.replace("%s", CANARY).encode())


def canary_elsewhere(live: Live, key: str) -> Iterator[httpx2.Response]:
    """Calls that hold the canary in path, query, header, credential or form."""
    for path in (f"/{CANARY}", f"/v1/models/{CANARY}", f"/v1/models/{CANARY}/predict", f"/errors/{CANARY}", f"/docs/assets/{CANARY}"):
        yield live.get(path, key)
        yield live.predict(key, GOOD, path)
    for path in ("/account", "/account/usage", "/v1/models", "/health/ready", "/openapi.json", "/v1/predict"):
        yield live.get(f"{path}?since={CANARY}&until={CANARY}&{CANARY}={CANARY}", key)
    for name in ("content-type", "content-encoding", "accept", "x-request-id", "traceparent", "cookie", "idempotency-key", "user-agent"):
        yield live.predict(key, GOOD, **{name: f"{CANARY}/{CANARY} {CANARY}"})
    for credential in (CANARY, f"gate_{CANARY}", f"{CANARY}.{CANARY}.{CANARY}", f"gate_{CANARY * 4}"):
        yield live.get("/account", credential)
    form = {"grant_type": CANARY, "client_id": CANARY, "client_secret": CANARY, "scope": CANARY}
    for changes in ({}, {"grant_type": "client_credentials"}, {"grant_type": "client_credentials", "client_id": "x"}):
        yield live.client.post("/oauth/token", data=form | changes)


INTERNAL = [
    "Traceback",
    'File "',
    "site-packages",
    "gatehouse.",
    "sklearn",
    "RandomForest",
    "Classifier",
    "onnx",
    "numpy",
    "pydantic",
    ".py",
    "Error(",
]


def test_row_71_no_answer_holds_a_sent_value_a_path_a_class_or_a_stack(live: Live, key: str) -> None:
    refused = 0
    for answer in chain(canary_cells(live, key), canary_bodies(live, key), canary_elsewhere(live, key)):
        assert answer.status_code < 500, answer.text
        if answer.status_code == 200:
            continue
        refused += 1
        text = "\n".join([answer.text, *(f"{name}: {value}" for name, value in answer.headers.items())])
        # the name of an unknown field is in its pointer, which is an address and not a value
        for error in answer.json().get("errors", []):
            if error["code"] == "unknown_field":
                text = text.replace(error["pointer"], "")
        for secret in (CANARY, str(CANARY_NUMBER), "87.654", str(live.stage.state_dir), str(Path.cwd()), key, *INTERNAL):
            assert secret not in text, (secret, answer.request.url, text)
    assert refused > 120


@pytest.mark.parametrize("size", [13.1313, 14.1414])
def test_row_71_a_model_that_fails_tells_nothing(live: Live, key: str, size: float) -> None:
    answer = live.predict(key, instances({"size": size}), "/v1/models/fragile/predict")
    assert answer.status_code == 500
    for secret in ("secret-internal-text", str(size), "Fragile", "estimators", *INTERNAL):
        assert secret not in answer.text


# ---------------------------------------------------------------- 72: pointers


def resolve(document: Any, pointer: str) -> Any:
    """RFC 6901."""
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        document = document[int(name)] if isinstance(document, list) else document[name]
    return document


@EXAMPLES
@given(
    rows=st.lists(st.dictionaries(st.sampled_from([*MIXED_ROW, "a/b", "~", "é", ""]), json_values, max_size=7), min_size=1, max_size=3),
    columns=st.booleans(),
)
def test_row_72_every_pointer_resolves_in_the_body_or_in_its_parent_for_a_missing_field(
    live: Live, key: str, rows: list[dict[str, Any]], columns: bool
) -> None:
    finite = json.loads(json.dumps(rows).replace("NaN", "0").replace("-Infinity", "0").replace("Infinity", "0"))
    body = {"columns": list(finite[0]), "data": [list(row.values()) for row in finite]} if columns else {"instances": finite}
    answer = live.predict(key, json.dumps(body).encode(), MIXED)
    if answer.status_code in (200, 400):
        return
    document = problem(answer, 422, "invalid_input")
    assert {"type", "title", "status", "detail", "code", "request_id", "errors"} <= set(document)
    for error in document["errors"]:
        pointer = error["pointer"]
        resolve(body, pointer.rpartition("/")[0] if error["code"] == "missing_field" else pointer)


# ----------------------------------------------------- 75, 76: SQL, file names

HOSTILE = [
    "..",
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%5c..%5cwindows",
    "iris%00",
    "iris%00.toml",
    "CON",
    "NUL.joblib",
    "~root",
    "%2fetc%2fpasswd",
    "//etc/passwd",
    "file:%2f%2f%2fetc%2fpasswd",
    "iris/1.0.0/model.onnx",
    "iris/1.0.0/manifest.json",
    "' OR '1'='1",
    "iris'; DROP TABLE tenant; --",
    "%25",
    "_%25",
    "%ff%fe",
    "%u0041",
    "a" * 500,
]
OPENED: list[str] = []
WATCHING = [False]


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if WATCHING[0] and event == "open" and isinstance(arguments[0], str | bytes):
        OPENED.append(os.fsdecode(arguments[0]))


sys.addaudithook(_watch)


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """Every file that this process opens meanwhile, seen by an audit hook."""
    OPENED.clear()
    WATCHING[0] = True
    try:
        yield OPENED
    finally:
        WATCHING[0] = False


def test_row_76_the_hook_sees_a_file_that_is_opened(tmp_path: Path) -> None:
    (tmp_path / "seen").touch()
    with opened_files() as opened:
        (tmp_path / "seen").read_bytes()
    assert str(tmp_path / "seen") in opened


def test_rows_75_and_76_hostile_names_are_404_open_no_file_and_widen_nothing(live: Live, key: str) -> None:
    targets = [f"{start}{name}{end}" for name in HOSTILE for start, end in TEMPLATES]
    live.predict(key, GOOD)
    with opened_files() as opened:
        for target in targets:
            with wire(live.port) as connection:
                raw = "".join(each if 32 < ord(each) < 127 else quote(each) for each in target)
                answer = connection.send(post(key, GOOD, path=raw)).answer()
                assert answer.status in (400, 404, 405), (target, answer)
                answer = connection.send(head(f"GET {raw}", f"Authorization: Bearer {key}")).answer("GET")
                assert answer.status in (400, 404, 422), (target, answer)
    spool = str(live.stage.state_dir / "spool")
    assert [name for name in opened if not name.startswith(spool)] == []


TEMPLATES = [
    ("/v1/models/", ""),
    ("/v1/models/", "/predict"),
    ("/", "/models"),
    ("/", "/predict"),
    ("/errors/", ""),
    ("/docs/assets/", ""),
    ("/account/usage?since=", ""),
]


# ------------------------------------------------------------------- 77: logs


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """What the JSON log writes meanwhile, record by record."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Keep()
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("gatehouse")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.mark.parametrize("mark", ["%0d%0a", "%0a", "%1b[31m", "%e2%80%a8", "%e2%80%a9", "%c2%85", "%00", "%7f", "%22,%22tenant%22:%22x"])
def test_row_77_a_path_cannot_forge_a_log_line(live: Live, key: str, log_lines: list[str], mark: str) -> None:
    with wire(live.port) as connection:
        connection.send(head(f"GET /v1/models/iris{mark}forged", f"Authorization: Bearer {key}", "X-Request-Id: req-forged"))
        assert connection.answer("GET").status == 404
    wait_until(lambda: any("req-forged" in line for line in log_lines))  # it is written when the answer has been
    (line,) = [line for line in log_lines if "req-forged" in line]
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["path"].endswith("forged")
    assert json.loads(line)["tenant"] == "acme"


@pytest.mark.parametrize("value", [b"gate_a\x85b", b"gate_\xe2\x80\xa8", b'gate_","tenant":"x"', b"gate_\x1b[31m", b"gate_a\x0bb"])
def test_row_77_a_credential_or_request_id_cannot_forge_a_log_line(live: Live, log_lines: list[str], value: bytes) -> None:
    with wire(live.port) as connection:
        connection.send(head("GET /account", "Authorization: Bearer @", "X-Request-Id: @").replace(b"@", value))
        assert connection.answer("GET").status in (400, 401)
    wait_until(lambda: any('"status":40' in line for line in log_lines))
    for line in log_lines:
        assert line.isascii()
        assert line.isprintable()
        assert "gate_" not in line


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/health", b"", 200),
        ("GET", "/account", b"", 401),
        ("GET", "/nowhere", b"", 401),
        ("POST", IRIS, GOOD, 401),
        ("POST", IRIS, b"{}", 401),
    ],
)
def test_a_log_line_says_how_many_bytes_were_sent(
    live: Live, log_lines: list[str], method: str, path: str, body: bytes, status: int
) -> None:
    _says_what_was_sent(log_lines, live.client.request(method, path, content=body), status)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/account", b"", 200),
        ("GET", "/v1/models/other", b"", 404),
        ("GET", IRIS, b"", 405),
        ("HEAD", "/nowhere", b"", 404),
        ("HEAD", IRIS, b"", 405),
        ("POST", IRIS, GOOD, 200),
        ("POST", IRIS, b"{}", 422),
        ("POST", IRIS, b"{", 400),
        ("POST", "/v1/models/other/predict", GOOD, 404),
    ],
)
def test_a_log_line_says_how_many_bytes_were_sent_to_whom_it_knows(
    live: Live, key: str, log_lines: list[str], method: str, path: str, body: bytes, status: int
) -> None:
    sent = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    _says_what_was_sent(log_lines, live.client.request(method, path, content=body, headers=sent), status)


def _says_what_was_sent(log_lines: list[str], answer: httpx2.Response, status: int) -> None:
    assert answer.status_code == status
    mine = answer.headers["x-request-id"]
    wait_until(lambda: any(mine in line for line in log_lines))
    (line,) = [json.loads(line) for line in log_lines if mine in line]
    assert (line["status"], line["bytes_out"]) == (status, len(answer.content))


# -------------------------------------------------------- 78: ids taken over

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
BAD_IDS = [
    "",
    "short",
    "a" * 65,
    "has space",
    'quote"quote',
    "semi;colon",
    "-leading",
    "new\x0bline",
    "é" * 8,
    "a,b,c,d,e",
    "<script>1",
    "id id id id",
]
BAD_TRACES = [
    "",
    TRACE.upper(),
    TRACE + "0",
    TRACE[:-1],
    "ff" + TRACE[2:],
    "0g" + TRACE[2:],
    TRACE.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
    TRACE.replace("00f067aa0ba902b7", "0" * 16),
    TRACE.replace("-", "_"),
    f"{TRACE}, {TRACE}",
    TRACE + "-extra",
    " ".join(TRACE),
]


@pytest.mark.parametrize("sent", BAD_IDS)
def test_row_78_a_malformed_request_id_is_replaced(live: Live, sent: str) -> None:
    with wire(live.port) as connection:
        answer = connection.send(head("GET /health", f"X-Request-Id: {sent}")).answer("GET")
    assert answer.status in (200, 400)
    if answer.status == 200:
        assert (answer.header("x-request-id") or "").startswith("req_")


@pytest.mark.parametrize("sent", BAD_TRACES)
def test_row_78_a_malformed_traceparent_is_dropped(live: Live, sent: str) -> None:
    with wire(live.port) as connection:
        answer = connection.send(head("GET /health", f"traceparent: {sent}")).answer("GET")
    assert (answer.status, answer.header("traceparent")) == (200, None)


def test_row_78_well_formed_ones_are_taken_over_and_two_of_them_are_not(live: Live, key: str) -> None:
    answer = live.predict(key, GOOD, x_request_id="order-2026.11_21", traceparent=TRACE)
    assert (answer.headers["x-request-id"], answer.headers["traceparent"]) == ("order-2026.11_21", TRACE)
    assert answer.json()["request_id"] == "order-2026.11_21"
    with wire(live.port) as connection:
        twice = [f"X-Request-Id: {'a' * 8}", f"X-Request-Id: {'b' * 8}", f"traceparent: {TRACE}", f"traceparent: {TRACE}"]
        answer_to_two = connection.send(head("GET /health", *twice)).answer("GET")
    assert (answer_to_two.header("x-request-id") or "").startswith("req_")
    assert answer_to_two.header("traceparent") is None


# --------------------------------------------------------------- 82: redirects


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/",
        "/account/",
        "/docs/",
        "/health/",
        "//",
        "//evil.invalid/",
        "/v1/models/iris/predict/",
        "/oauth/token/",
        "/oauth/revoke/",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_row_82_nothing_redirects_and_no_answer_follows_the_host_header(live: Live, key: str, path: str, method: str) -> None:
    request = head(f"{method} {path}", f"Authorization: Bearer {key}", "Content-Length: 0").replace(b"gatehouse.test", b"evil.invalid")
    with wire(live.port) as connection:
        answer = connection.send(request).answer(method)
    assert not 300 <= answer.status < 400
    assert answer.header("location") is None
    assert b"evil.invalid" not in answer.body
