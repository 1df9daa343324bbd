"""How much a caller may send and ask for: bodies, headers, rates, places, deadlines, and what refused calls cost."""

import gzip
import json
import re
import resource
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import repeat
from typing import Any

import http_sf
import httpx2
import pytest
from estimators import RAISING_SIZE, RELEASE, SLOW_SIZE
from sqlmodel import select
from stage import IRIS_ROW, Live, Stage, instances, key_id, problem, wait_until
from wire import Wire, head, post, wire

from gatehouse.db.tables import IdempotencyClaimTable
from gatehouse.principal import Plan, Rate

IRIS = "/v1/models/iris/predict"
SLOW = "/v1/models/slow/predict"
GOOD = json.dumps(instances(IRIS_ROW)).encode()
MIB = 1024 * 1024
MANY = Rate(10**6, 1, 10**6)


@pytest.fixture(scope="module")
def live(module_stage: Stage) -> Iterator[Live]:
    with module_stage.serving(max_body_bytes=str(4 * MIB), body_deadline_s="0.4") as running:
        yield running


@pytest.fixture(scope="module")
def key(live: Live) -> str:
    return live.stage.tenant("acme", "iris", "line", "slow")


@pytest.fixture
def released() -> Iterator[None]:
    """`Slow` waits within the test and is let go after it."""
    RELEASE.clear()
    yield
    RELEASE.set()


def plan(name: str, requests: Rate, rows: Rate = MANY) -> Plan:
    return Plan(name, requests, rows, 10**6, "soft", 1000, MIB)


def begun(key: str, *fields: str, path: str = IRIS) -> bytes:
    """The head of a prediction whose body is still to come."""
    return head(f"POST {path}", f"Authorization: Bearer {key}", "Content-Type: application/json", *fields)


# ---------------------------------------------------------------------- bodies


@pytest.mark.parametrize("declared", [4 * MIB + 1, 10 * 10**9, 10**18])
def test_row_50_a_declared_size_over_the_cap_is_413_before_the_first_byte(live: Live, key: str, declared: int) -> None:
    with wire(live.port, timeout=1.5) as connection:
        answer = connection.send(begun(key, f"Content-Length: {declared}", "Expect: 100-continue")).answer()
        assert (answer.status, answer.json()["code"], answer.json()["maximum_bytes"]) == (413, "body_too_large", 4 * MIB)
        assert answer.header("connection") == "close"
        assert connection.closed()


def test_row_50_endless_chunks_are_cut_soon_after_the_cap(live: Live, key: str) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with wire(live.port) as connection:
        connection.send(begun(key, "Transfer-Encoding: chunked"))
        # what lies in the buffers of two sockets comes on top
        sent = connection.send_while_taken(repeat(chunk), at_most=24 * MIB)
        assert sent > 3 * MIB
        answer = connection.answer()
        assert (answer.status, answer.json()["code"]) == (413, "body_too_large")
        assert connection.closed()


@pytest.mark.parametrize("declared", ["0x10", "-1", "1_0", "5 5", "5,5", "9" * 30, "9" * 5000, "٣", ""])
def test_row_50_a_length_that_is_no_number_is_400(live: Live, key: str, declared: str) -> None:
    with wire(live.port) as connection:
        request = begun(key, "Content-Length: @").replace(b"@", declared.encode())
        assert connection.send(request).answer().status == 400
        assert connection.closed()


def test_row_50_a_length_smaller_than_the_body_makes_the_rest_a_bad_request_and_ends_the_connection(live: Live, key: str) -> None:
    with wire(live.port) as connection:
        connection.send(post(key, GOOD).replace(b"Content-Length: %d" % len(GOOD), b"Content-Length: 20"))
        assert connection.answer().json()["code"] == "invalid_json"
        assert connection.answer().json()["code"] == "malformed_request"
        assert connection.closed()


@pytest.mark.parametrize("sent", [b"", b'{"instances"', GOOD])
def test_row_53_a_body_that_does_not_come_whole_is_408_at_the_deadline(live: Live, key: str, sent: bytes) -> None:
    with wire(live.port, timeout=3) as connection:
        connection.send(begun(key, f"Content-Length: {len(GOOD) + 1}") + sent)
        answer = connection.answer()
        assert (answer.status, answer.json()["code"], answer.header("connection")) == (408, "body_timeout", "close")
        assert connection.closed()


def test_row_53_a_dripping_body_has_one_deadline_for_the_whole(live: Live, key: str) -> None:
    with wire(live.port, timeout=3) as connection:
        connection.send(begun(key, "Content-Length: 1000000"))

        def drip() -> Iterator[bytes]:
            for _ in range(100):
                time.sleep(0.05)  # the drip itself
                yield b" "

        assert connection.send_while_taken(drip(), at_most=60) < 60
        assert connection.answer().status == 408


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, identity", "x-gzip", ""])
def test_row_51_a_compressed_body_is_415_and_never_unpacked(live: Live, key: str, encoding: str) -> None:
    bomb = gzip.compress(b" " * (200 * MIB), 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = live.predict(key, bomb, content_encoding=encoding)
    problem(answer, 415, "unsupported_media_type")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke"])
def test_row_50_other_bodies_are_capped_at_16_kib(live: Live, path: str) -> None:
    answer = live.client.post(path, content=b"a=" + b"b" * 16 * 1024, headers={"content-type": "application/x-www-form-urlencoded"})
    problem(answer, 413, "body_too_large")


# --------------------------------------------------------------------- headers


@pytest.mark.parametrize("authenticated", [True, False])
@pytest.mark.parametrize(
    ("fields", "status"),
    [([f"X-{n}: 1" for n in range(10_000)], 431), (["X-Large: " + "a" * 70_000], 431), ([f"X-{n}: {'a' * 300}" for n in range(80)], 431)],
    ids=["10,000 fields", "70 KB field", "24 KB in all"],
)
def test_row_52_too_many_or_too_large_headers_are_431(live: Live, key: str, authenticated: bool, fields: list[str], status: int) -> None:
    with wire(live.port) as connection:
        connection.send(post(key if authenticated else None, GOOD, *fields))
        answer = connection.answer()
        assert (answer.status, answer.json()["code"]) == (status, "headers_too_large")


@pytest.mark.parametrize("length", [2049, 30_000, 65_000])
@pytest.mark.parametrize("start", ["/", "/account?x=", "/v1/models/", "http://gatehouse.test/"])
def test_row_52_a_long_target_is_414(live: Live, key: str, start: str, length: int) -> None:
    with wire(live.port) as connection:
        answer = connection.send(head(f"GET {start.ljust(length + 22, 'a')}", f"Authorization: Bearer {key}")).answer()
        assert (answer.status, answer.json()["code"]) == (414, "target_too_long")


@pytest.mark.parametrize("start", ["/", "/account?x="])
def test_row_52_a_target_beyond_64_kib_is_400_by_the_http_parser(live: Live, key: str, start: str) -> None:
    with wire(live.port) as connection:
        answer = connection.send(head(f"GET {start.ljust(100_000, 'a')}", f"Authorization: Bearer {key}")).answer()
        assert (answer.status, answer.json()["code"]) == (400, "malformed_request")
        assert connection.closed()


def test_row_54_a_hundred_thousand_wrong_cells_get_a_short_answer(live: Live, key: str) -> None:
    answer = live.predict(key, {"columns": ["size"], "data": [["x"]] * 100_000}, "/v1/models/line/predict")
    document = problem(answer, 422, "invalid_input")
    assert len(document["errors"]) == 20
    assert len(answer.content) < 10_000


def test_row_54_a_million_rows_are_refused(live: Live, key: str) -> None:
    body = b'{"columns":["size"],"data":[' + b"[1]," * 999_999 + b"[1]]}"
    assert len(body) < 4 * MIB
    assert live.predict(key, body, "/v1/models/line/predict").json()["errors"][0]["code"] == "too_many_rows"


# ---------------------------------------------------------------------- rates


def spend(live: Live, key: str) -> int:
    """Calls until the first 429; returns how many passed."""
    for passed in range(50):
        if live.predict(key, GOOD).status_code == 429:
            return passed
    raise AssertionError("nothing is limited")


def test_row_55_the_limit_of_the_key_alone_is_reached(live: Live, key: str) -> None:
    slow_key = live.stage.key("acme", requests=Rate(1, 60, 3))
    assert spend(live, slow_key) == 3
    assert live.predict(slow_key, GOOD).json()["limit"]["name"] == "key-requests"
    assert live.predict(key, GOOD).status_code == 200


def test_row_55_and_57_the_limit_of_the_tenant_alone_is_reached_by_all_its_keys(live: Live) -> None:
    live.stage.plan(plan("four", Rate(1, 60, 4)))
    first = live.stage.tenant("four", "iris", plan="four")
    second = live.stage.key("four")
    assert [live.predict(key, GOOD).status_code for key in (first, second, first, second)] == [200] * 4
    third = live.stage.key("four")
    assert live.predict(third, GOOD).json()["limit"]["name"] == "tenant-requests"


def test_row_55_failed_credentials_are_limited_by_address(stage: Stage) -> None:
    good = stage.tenant("acme", "iris")  # before the server starts: what a change touches is proven anew
    with stage.serving(failed_credentials_per_minute="5") as live:
        assert live.predict(good, GOOD).status_code == 200
        statuses = [live.get("/account", "gate_wrong").status_code for _ in range(7)]
        assert statuses == [401] * 5 + [429] * 2
        answer = live.get("/account", "gate_wrong")
        problem(answer, 429, "too_many_failures")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert live.predict(good, GOOD).status_code == 200, "a known key goes on"


def test_row_55_unauthenticated_routes_and_the_account_have_limits_of_their_own(stage: Stage) -> None:
    with stage.serving(token_requests_per_minute="3", account_requests_per_minute="3") as live:
        key = live.stage.tenant("acme", "iris")
        form = {"grant_type": "client_credentials", "client_id": key_id(key), "client_secret": key}
        assert [live.client.post("/oauth/token", data=form).status_code for _ in range(4)] == [200] * 3 + [429]
        for path in ("/account", "/account/usage", "/v1/models", "/v1/models/iris", "/v2/models/iris/migrate-from/v1"):
            answers = [live.get(path, key) for _ in range(4)]
            assert [answer.status_code for answer in answers] == [200] * 3 + [429], path
            problem(answers[-1], 429, "rate_limited")
            assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert live.get("/account", live.stage.key("acme")).status_code == 200


def test_row_55_what_translates_is_limited_before_a_byte_of_the_body_is_read(stage: Stage) -> None:
    path = "/v2/models/iris/translate"
    with stage.serving(account_requests_per_minute="3") as live:
        key = live.stage.tenant("acme", "iris")
        statuses = [live.predict(key, GOOD, path).status_code for _ in range(3)]
        with wire(live.port, timeout=3) as connection:  # its body never comes
            answer = connection.send(begun(key, f"Content-Length: {MIB}", "Expect: 100-continue", path=path)).answer()
        assert [*statuses, answer.status] == [200] * 3 + [429]
        assert answer.json()["code"] == "rate_limited"
        assert 1 <= int(answer.header("retry-after") or 0) <= 60
        assert live.predict(live.stage.key("acme"), GOOD, path).status_code == 200


def test_row_55_translations_and_predictions_share_the_places_of_a_tenant(stage: Stage) -> None:
    path = "/v2/models/iris/translate"
    with stage.serving(max_calls_at_once_per_tenant="2") as live, ExitStack() as stack:
        key, other = live.stage.tenant("acme", "iris"), live.stage.tenant("other", "iris")
        for _ in range(2):  # their bodies never come
            stack.enter_context(wire(live.port)).send(begun(key, f"Content-Length: {MIB}", path=path))
        wait_until(lambda: live.app.limits.concurrency.all_inside == 2)
        for further in (path, IRIS):
            problem(live.predict(key, GOOD, further), 503, "overloaded")
        assert live.predict(other, GOOD, path).status_code == 200
        stack.close()
        wait_until(lambda: live.app.limits.concurrency.all_inside == 0)
        assert [live.predict(key, GOOD, each).status_code for each in (path, IRIS)] == [200, 200]


SPELLINGS = [
    IRIS,
    "/v1/predict",
    "/V1/models/iris/predict",
    "/v1/Models/iris/predict",
    "/v1/models/IRIS/predict",
    "//v1/models/iris/predict",
    "/v1//models/iris/predict",
    "/v1/models/iris/predict/",
    "/v1/models/iris/./predict",
    "/v1/x/../models/iris/predict",
    "/%761/models/iris/predict",
    "/v1/models/%69ris/predict",
    "/v1/models/iris%2fpredict",
    "/v1%2Fmodels%2Firis%2Fpredict",
    "/v1/%2e/models/iris/predict",
    "/v1/models/iris/predict?x=1",
    "/v1/models/iris/predict;x=1",
    "/v1/models/iris/predict%00",
    "/v1/models/iris/predict%0a",
    "/v01/models/iris/predict",
    "/v1/models/iris%20/predict",
    "/v1/models/iris/%70redict",
    "http://gatehouse.test/v1/models/iris/predict",
]


@pytest.mark.parametrize("forwarded", ["", "X-Forwarded-For: 203.0.113.7", "Forwarded: for=203.0.113.7", "X-Real-IP: 203.0.113.7"])
def test_row_57_every_spelling_of_the_path_counts_or_reaches_no_model(live: Live, forwarded: str) -> None:
    name = f"spellings{sum(forwarded.encode())}"
    live.stage.plan(plan(name, Rate(1, 3600, 200)))
    key = live.stage.tenant(name, "iris", plan=name)
    left = remaining(live.predict(key, GOOD).headers["ratelimit"])
    for target in SPELLINGS:
        with wire(live.port) as connection:
            answer = connection.send(post(key, GOOD, *([forwarded] if forwarded else []), path=target)).answer()
        assert answer.status in (200, 400, 404), target
        if answer.status == 200:
            left -= 1
            assert remaining(answer.header("ratelimit") or "") == left, target
        else:
            assert b"predictions" not in answer.body


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_row_57_another_method_on_a_prediction_path_counts_as_well(live: Live, key: str, method: str) -> None:
    key = live.stage.key("acme", requests=Rate(1, 3600, 2))
    statuses = [live.client.request(method, IRIS, headers={"authorization": f"Bearer {key}"}).status_code for _ in range(4)]
    assert statuses == [405, 405, 429, 429]


def remaining(field: str) -> int:
    """What the tenant's limit of requests still lets in."""
    left: int = dict(http_sf.parse(field.encode(), tltype="list"))["tenant-requests"]["r"]
    return left


@pytest.mark.parametrize("unit", ["requests", "rows"])
def test_row_58_after_exactly_the_stated_wait_the_call_passes(live: Live, unit: str) -> None:
    key = live.stage.key("acme", **{unit: Rate(2, 1, 3)})
    spend(live, key)
    answer = live.predict(key, GOOD)
    refused_at = time.monotonic()
    stated = problem(answer, 429, "rate_limited")["limit"]["retry_after_ms"] / 1000
    assert stated <= int(answer.headers["retry-after"]) < stated + 1
    time.sleep(max(0.0, refused_at + stated - time.monotonic()))  # the wait is what is promised
    assert live.predict(key, GOOD).status_code == 200


def test_row_59_the_ratelimit_fields_are_structured_and_agree_with_each_other(live: Live) -> None:
    live.stage.plan(plan("fields", Rate(3, 7, 5), Rate(10, 3, 1000)))
    key = live.stage.tenant("fields", "iris", plan="fields")
    answers = [live.predict(key, GOOD), live.predict(key, b"{"), *(live.predict(key, GOOD) for _ in range(5))]
    assert {answer.status_code for answer in answers} == {200, 400, 429}
    for answer in answers:
        policies = dict(http_sf.parse(answer.headers["ratelimit-policy"].encode(), tltype="list"))
        states = dict(http_sf.parse(answer.headers["ratelimit"].encode(), tltype="list"))
        assert list(policies) == list(states)
        assert {"tenant-requests", "key-requests"} <= set(policies)
        for name, state in states.items():
            policy = policies[name]
            assert 0 <= state["r"] <= policy["q"]
            assert 0 <= state["t"] <= policy["w"]
            assert policy.get("qu", "requests") == name.partition("-")[2]


def test_row_60_refused_calls_cost_no_quota(live: Live) -> None:
    live.stage.plan(Plan("hundred", Rate(1, 3600, 8), Rate(1000, 1, 1000), 100, "hard", 10, 2048))
    key = live.stage.tenant("hundred", "iris", plan="hundred")

    def state() -> tuple[int, int]:
        return live.get("/account", key).json()["rows_left"], live.get("/account/usage", key).json()["rows"]

    assert live.predict(key, instances(IRIS_ROW, IRIS_ROW)).status_code == 200
    wait_until(lambda: state() == (98, 2))
    refused = [
        live.predict(key + "x", GOOD),
        live.predict(key, GOOD.ljust(3000)),
        live.predict(key, instances({**IRIS_ROW, "petal_width": -1})),
        live.predict(key, instances(*[IRIS_ROW] * 11)),
        live.predict(key, b"{"),
        live.predict(key, GOOD, content_type="text/plain"),
        live.predict(key, GOOD, "/v1/models/line/predict"),
        live.predict(key, GOOD),
        live.predict(key, GOOD),
    ]
    assert [answer.status_code for answer in refused] == [401, 413, 422, 422, 400, 415, 404, 200, 429]
    # the last good row is there, so all that came before has been written down as well
    wait_until(lambda: state() == (97, 3))


def test_row_60_a_call_repeated_at_once_from_20_threads_is_metered_once_and_costs_its_quota_once(live: Live) -> None:
    live.stage.plan(Plan("twenty", MANY, MANY, 20, "hard", 10, 2048))
    key, start = live.stage.tenant("repeats", "iris", plan="twenty"), threading.Barrier(20)

    def call(_number: int) -> int:
        start.wait(30)
        return live.predict(key, instances(*[IRIS_ROW] * 3), idempotency_key="invoice-7").status_code

    with ThreadPoolExecutor(20) as threads:
        assert set(threads.map(call, range(20))) <= {200, 409}
    assert live.predict(key, instances(*[IRIS_ROW] * 3), idempotency_key="invoice-7").headers["idempotency-replayed"] == "true"
    assert live.predict(key, instances(IRIS_ROW)).status_code == 200

    def answered() -> list[tuple[int, int]]:
        return [(line["calls"], line["rows"]) for line in live.get("/account/usage", key).json()["usage"] if line["status"] == 200]

    wait_until(lambda: answered() == [(2, 4)])  # the last one is there, so all that came before has been written down as well
    assert live.get("/account", key).json()["rows_left"] == 16


def test_row_61_an_idempotency_key_is_bound_to_tenant_route_and_body(live: Live) -> None:
    names, body = ("bound-one", "bound-other"), {"size": 1.5}
    one, other = (live.stage.tenant(name, "line", "iris", plan=live.stage.plan(plan(name, MANY))) for name in names)

    def call(key: str, row: dict[str, Any] = body, path: str = "/v1/models/line/predict") -> httpx2.Response:
        return live.predict(key, instances(row), path, idempotency_key="same")

    assert call(one).json()["predictions"] == [{"value": 1.5}]
    assert call(other, {"size": 2.5}).json()["predictions"] == [{"value": 2.5}]
    assert call(one, IRIS_ROW, IRIS).status_code == 200
    problem(call(one, {"size": 2.5}), 422, "idempotency_key_reused")
    assert [call(key).status_code for key in (one, other)] == [200, 422]
    with live.stage.database.read() as session:
        claims = session.exec(select(IdempotencyClaimTable)).all()
    assert len({claim.key_digest for claim in claims if "line" in claim.endpoint}) == 2  # a dump does not tell that they sent the same
    assert not [claim for claim in claims if "same" in str(claim.model_dump())]


def test_row_60_the_rows_of_a_prediction_that_fails_come_back(live: Live) -> None:
    live.stage.plan(Plan("three_rows", Rate(1000, 1, 1000), Rate(1000, 1, 1000), 3, "hard", 3, 2048))
    key = live.stage.tenant("three-rows", "fragile", plan="three_rows")
    path = "/v1/models/fragile/predict"
    for _ in range(3):
        problem(live.predict(key, instances({"size": RAISING_SIZE}, {"size": 1}), path), 500, "prediction_failed")
    assert live.predict(key, instances(*[{"size": 1}] * 3), path).status_code == 200
    problem(live.predict(key, instances({"size": 1}), path), 429, "quota_exhausted")


# ------------------------------------------------------- places and deadlines


def test_row_62_a_slow_model_is_504_at_the_deadline_and_its_place_is_free_again(stage: Stage, released: None) -> None:
    with stage.serving(prediction_deadline_s="0.3") as live:
        key = live.stage.tenant("acme", "slow")
        problem(live.predict(key, instances({"size": SLOW_SIZE}), SLOW), 504, "prediction_timeout")
        assert live.app.limits.concurrency.all_inside == 0
        RELEASE.set()
        wait_until(lambda: live.predict(key, instances({"size": 1}), SLOW).status_code == 200)
        wait_until(lambda: live.get("/account/usage", key).json()["rows"] == 1)
        statuses = {line["status"]: line["rows"] for line in live.get("/account/usage", key).json()["usage"]}
        assert statuses == {200: 1, 504: 0}


def test_row_62_what_a_stuck_model_holds_is_bounded_and_the_rest_of_the_service_goes_on(stage: Stage, released: None) -> None:
    with stage.serving(prediction_deadline_s="0.3", max_calls_at_once_per_tenant="3", max_calls_at_once="4", max_calls_waiting="0") as live:
        stuck, other, third = (live.stage.tenant(name, "iris", "slow") for name in ("stuck", "other", "third"))
        body = json.dumps(instances({"size": SLOW_SIZE})).encode()
        connections = [Wire(live.port).send(post(key, body, path=SLOW)) for key in (stuck, stuck, stuck, other)]
        wait_until(lambda: live.app.limits.concurrency.all_inside == 4)
        for key, reason in ((stuck, "Your organisation"), (third, "The service")):
            answer = live.predict(key, GOOD)
            assert problem(answer, 503, "overloaded")["detail"].startswith(reason)
            assert answer.headers["retry-after"] == "1"
        assert live.get("/health").status_code == 200
        assert [connection.answer().status for connection in connections] == [504] * 4
        assert live.app.limits.concurrency.inside == {}
        assert live.predict(stuck, GOOD).status_code == 200, "a call on the event loop needs no thread"
        for connection in connections:
            connection.close()
        RELEASE.set()


def test_row_63_health_answers_while_the_largest_legal_batch_is_worked_on(stage: Stage) -> None:
    with stage.serving() as live:
        key = live.stage.tenant("acme", "iris")
        body = json.dumps({"columns": list(IRIS_ROW), "data": [list(IRIS_ROW.values())] * 100_000}).encode()
        statuses: list[int] = []
        batch = threading.Thread(target=lambda: statuses.append(live.predict(key, body).status_code))
        batch.start()
        wait_until(lambda: live.app.limits.concurrency.all_inside == 1)
        answered = 0
        while live.app.limits.concurrency.all_inside == 1:
            assert live.get("/health").status_code == 200
            answered += live.app.limits.concurrency.all_inside == 1
        batch.join()
        assert statuses == [200]
        assert answered > 1


def test_row_64_no_more_decimals_than_the_contract_has(live: Live, key: str) -> None:
    rows = [{name: round(value + n / 37, 3) for name, value in IRIS_ROW.items()} for n in range(100)]
    text = live.predict(key, instances(*rows)).text
    decimals = re.findall(r"[0-9]\.([0-9]+)", text[text.index('"predictions"') :])
    assert decimals
    assert max(map(len, decimals)) <= 4
