"""What bad input gets, through HTTP: a clear problem document of the right status and code, and nothing of what was sent."""

import json
import re
from html import escape
from typing import Any

import pytest
from stage import IRIS_ROW, MIXED_ROW, Live, instances, problem
from wire import head, wire

from gatehouse.api.pages import PAGE_CSP
from gatehouse.errors import CATALOGUE
from gatehouse.identity.api_keys import mint_key
from gatehouse.principal import Plan, Rate

IRIS, MIXED = "/v1/models/iris/predict", "/v1/models/mixed/predict"
GOOD = json.dumps(instances(IRIS_ROW))
SMALL = Plan("small", Rate(1000, 1, 1000), Rate(1000, 1, 1000), 10**6, "soft", 3, 2048)
LENGTH = "/instances/0/sepal_length"
RANGE = {"minimum": 0.1, "maximum": 15, "unit": "cm"}


@pytest.fixture(scope="module")
def key(live: Live) -> str:
    return live.stage.tenant("acme", "iris", "mixed", "line")


@pytest.fixture(scope="module")
def small_key(live: Live) -> str:
    live.stage.plan(SMALL)
    return live.stage.tenant("small", "iris", plan="small")


@pytest.fixture(scope="module")
def credentials(live: Live, key: str) -> dict[str, str]:
    stage = live.stage
    revoked, suspended = stage.key("acme"), stage.tenant("suspended", "iris")
    stage.revoke(revoked)
    stage.suspend("suspended")
    return {
        "malformed": "gate_abc",
        "wrong checksum": key[:-1] + ("0" if key[-1] != "0" else "1"),
        "unknown": mint_key(b"another pepper").text,
        "revoked": revoked,
        "suspended": suspended,
    }


@pytest.mark.parametrize(
    ("credential", "code"),
    [
        ("none", "credential_missing"),
        ("malformed", "credential_malformed"),
        ("wrong checksum", "credential_malformed"),
        ("unknown", "credential_invalid"),
        ("revoked", "credential_invalid"),
        ("suspended", "credential_invalid"),
    ],
)
def test_a_request_without_a_good_key_is_401_though_its_body_is_withheld(
    live: Live, credentials: dict[str, str], credential: str, code: str
) -> None:
    fields = [f"Authorization: Bearer {credentials[credential]}"] if credential in credentials else []
    with wire(live.port, timeout=1.5) as connection:
        request = head(f"POST {IRIS}", *fields, "Content-Type: application/json", "Content-Length: 1000000", "Expect: 100-continue")
        answer = connection.send(request).answer()
        assert (answer.status, answer.json()["code"]) == (401, code)
        assert answer.header("connection") == "close"
        assert connection.closed()


def test_a_model_not_granted_and_an_unknown_one_are_the_same_404(live: Live, key: str) -> None:
    texts = set()
    for model in ("slow", "unknown"):
        answer = live.predict(key, GOOD.encode(), f"/v1/models/{model}/predict")
        document = problem(answer, 404, "not_found")
        texts.add(answer.text.replace(document["request_id"], ""))
    assert len(texts) == 1


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "application/jsonx", "", "multipart/form-data"],
)
def test_another_content_type_is_415(live: Live, key: str, content_type: str) -> None:
    problem(live.predict(key, GOOD.encode(), content_type=content_type), 415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", ["application/json;charset=UTF-8", "Application/JSON", 'application/json; charset="utf-8"'])
def test_json_in_utf_8_is_accepted_however_it_is_spelt(live: Live, key: str, content_type: str) -> None:
    assert live.predict(key, GOOD.encode(), content_type=content_type).status_code == 200


def iris_text(value: str) -> bytes:
    """One row whose sepal_length is this very text."""
    return GOOD.replace("5.2", value, 1).encode()


MALFORMED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "blank": (b" \n", "ends before"),
    "not JSON": (b"sepal_length=5.2", "Not JSON at line 1, column 1"),
    "cut": (GOOD[:-3].encode(), "cut on its way"),
    "single quotes": (GOOD.replace('"', "'").encode(), "double quotes"),
    "trailing comma": (GOOD.replace("}]", ",}]").encode(), "Not JSON"),
    "comment": (b"/* hello */" + GOOD.encode(), "Not JSON"),
    "duplicate member": (GOOD[:-1].encode() + b', "instances": [{}]}', "twice"),
    "duplicate field": (GOOD.replace("{", '{"sepal_length": 1, ', 2).replace('{"sepal_length": 1, ', "{", 1).encode(), "twice"),
    "NaN": (iris_text("NaN"), "NaN is not JSON; send null where the field allows it"),
    "Infinity": (iris_text("Infinity"), "Infinity is not JSON"),
    "-Infinity": (iris_text("-Infinity"), "-Infinity is not JSON"),
    "1e999": (iris_text("1e999"), "too large for a double"),
    "5,000 digits": (iris_text("7" * 5000), "too large for a double"),
    "10,000 lists": (b'{"instances": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "64 deep"),
    "10,000 objects": (b'{"instances": [' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"]}", "64 deep"),
    "10,000 unclosed lists": (b"[" * 10_000, "64 deep"),
    "lone surrogate": (iris_text('"\\ud800"'), "surrogate"),
    "byte-order mark": (b"\xef\xbb\xbf" + GOOD.encode(), "byte-order mark"),
    "trailing bytes": (GOOD.encode() + b" x", "nothing may follow"),
    "two documents": (GOOD.encode() * 2, "nothing may follow"),
    "NUL at the end": (GOOD.encode() + b"\0", "nothing may follow"),
    "Latin-1": (iris_text('"é"').decode().encode("latin-1"), "not UTF-8"),
    "UTF-16": (GOOD.encode("utf-16"), "UTF-16"),
    "UTF-32": (GOOD.encode("utf-32-be"), "UTF-32"),
    "overlong UTF-8": (iris_text('"') + b"\xc0\xaf", "not UTF-8"),
    "raw control character": (iris_text('"\t"'), "Not JSON"),
    "leading zero": (iris_text("05.2"), "Not JSON"),
    "hexadecimal": (iris_text("0x1"), "Not JSON"),
    "plus sign": (iris_text("+5.2"), "Not JSON"),
    "no digit after the point": (iris_text("5."), "Not JSON"),
    "True of Python": (iris_text("True"), "Not JSON"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_row_65_a_body_that_is_not_strict_json_is_400(live: Live, key: str, name: str) -> None:
    body, words = MALFORMED[name]
    assert words in problem(live.predict(key, body), 400, "invalid_json")["detail"]


WRONG_CELLS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "missing": (MIXED, "/instances/0/visits", "missing_field", {}),
    "null": (IRIS, LENGTH, "null_not_allowed", RANGE),
    "text for a number": (IRIS, LENGTH, "wrong_type", RANGE),
    "true for a number": (IRIS, LENGTH, "wrong_type", RANGE),
    "list for a number": (IRIS, LENGTH, "wrong_type", RANGE),
    "fraction for an integer": (MIXED, "/instances/0/visits", "not_an_integer", {"minimum": 0, "maximum": 50}),
    "too small": (IRIS, LENGTH, "out_of_range", RANGE),
    "too large": (IRIS, LENGTH, "out_of_range", RANGE),
    "beyond a 32-bit float": (IRIS, LENGTH, "out_of_range", RANGE),
    "400 digits": (IRIS, LENGTH, "out_of_range", RANGE),
    "unknown category": (MIXED, "/instances/0/colour", "not_allowed", {"allowed": ["red", "green", "blue"]}),
    "1 for a boolean": (MIXED, "/instances/0/member", "wrong_type", {"type": "boolean"}),
    "long text": (MIXED, "/instances/0/note", "too_long", {"max_length": 20}),
}
SENT: dict[str, Any] = {
    "null": None,
    "text for a number": "5.1",
    "true for a number": True,
    "list for a number": [5.1],
    "fraction for an integer": 5.5,
    "too small": 0.0987654321,
    "too large": 15.98765,
    "beyond a 32-bit float": 1e39,
    "400 digits": 10**300,
    "unknown category": "purple-9876",
    "1 for a boolean": 1,
    "long text": "y" * 21,
}


@pytest.mark.parametrize("name", WRONG_CELLS)
def test_a_value_that_does_not_fit_the_contract_is_422_with_pointer_and_facts(live: Live, key: str, name: str) -> None:
    path, pointer, code, facts = WRONG_CELLS[name]
    row: dict[str, Any] = dict(IRIS_ROW if path == IRIS else MIXED_ROW)
    field = pointer.rpartition("/")[2]
    row[field] = SENT.get(name)
    if name == "missing":
        del row[field]
    answer = live.predict(key, instances(row), path)
    (error,) = problem(answer, 422, "invalid_input")["errors"]
    assert (error["pointer"], error["code"]) == (pointer, code)
    assert facts.items() <= error.items()
    if name not in ("missing", "null", "true for a number", "1 for a boolean"):
        assert json.dumps(SENT[name]).strip('"') not in answer.text


WRONG_SHAPES: dict[str, tuple[Any, str, str]] = {
    "bare record": (IRIS_ROW, "", "a record must stand in a list under 'instances'"),
    "features": ({"features": list(IRIS_ROW.values())}, "", "does not take 'features'"),
    "inputs": ({"inputs": [IRIS_ROW]}, "", "does not take 'inputs'"),
    "lists in instances": ({"instances": [list(IRIS_ROW.values())]}, "/instances/0", "must be an object with the fields' names"),
    "bare list": ([IRIS_ROW], "", "must stand under 'instances'"),
    "number": (5, "", "must be an object"),
    "null": (None, "", "must be an object"),
    "empty object": ({}, "", "must stand under 'instances'"),
    "empty instances": ({"instances": []}, "/instances", "at least one row"),
    "empty data": ({"columns": list(IRIS_ROW), "data": []}, "/data", "at least one row"),
    "both shapes": (instances(IRIS_ROW) | {"columns": list(IRIS_ROW), "data": [[1, 1, 1, 1]]}, "", "not both"),
}


@pytest.mark.parametrize("name", WRONG_SHAPES)
def test_a_body_of_another_shape_is_422_and_shows_the_right_one(live: Live, key: str, name: str) -> None:
    body, pointer, words = WRONG_SHAPES[name]
    document = problem(live.predict(key, body), 422, "invalid_input")
    assert [error["pointer"] for error in document["errors"]] == [pointer]
    assert words in document["errors"][0]["detail"]
    if "empty" not in name and name != "both shapes":
        assert '{"instances": [{"sepal_length": 5.2,' in document["detail"]


def test_more_rows_than_the_plan_allows_in_a_call_is_422(live: Live, small_key: str) -> None:
    assert live.predict(small_key, instances(*[IRIS_ROW] * 3)).status_code == 200
    (error,) = problem(live.predict(small_key, instances(*[IRIS_ROW] * 4)), 422, "invalid_input")["errors"]
    assert (error["pointer"], error["code"], error["maximum"]) == ("/instances", "too_many_rows", 3)


def test_the_rate_of_requests_is_429_with_the_limit_named(live: Live) -> None:
    live.stage.plan(Plan("one_call", Rate(1, 60, 1), Rate(1000, 1, 1000), 10**6, "soft", 10, 2048))
    key = live.stage.tenant("one", "iris", plan="one_call")
    assert live.predict(key, GOOD.encode()).status_code == 200
    answer = live.predict(key, GOOD.encode())
    document = problem(answer, 429, "rate_limited")
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert document["limit"]["name"] in ("key-requests", "tenant-requests")


def test_the_rate_of_rows_is_429_with_the_limit_named(live: Live, key: str) -> None:
    key = live.stage.key("acme", rows=Rate(1, 60, 2))
    assert live.predict(key, instances(IRIS_ROW, IRIS_ROW)).status_code == 200
    answer = live.predict(key, GOOD.encode())
    assert problem(answer, 429, "rate_limited")["limit"]["name"] == "key-rows"
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    document = problem(live.predict(key, instances(*[IRIS_ROW] * 3)), 422, "rows_exceed_limit")
    assert document["limit"]["burst"] == 2


def test_the_quota_is_429_with_a_code_of_its_own(live: Live) -> None:
    live.stage.plan(Plan("ten_rows", Rate(1000, 1, 1000), Rate(1000, 1, 1000), 10, "hard", 10, 4096))
    key = live.stage.tenant("quota", "iris", plan="ten_rows")
    assert live.predict(key, instances(*[IRIS_ROW] * 10)).status_code == 200
    answer = live.predict(key, GOOD.encode())
    document = problem(answer, 429, "quota_exhausted")
    assert document["quota"]["rows_left"] == 0
    assert 1 <= int(answer.headers["retry-after"]) <= 31 * 86_400


def test_the_body_cap_is_413_and_says_which_cap_holds(live: Live, small_key: str) -> None:
    assert problem(live.predict(small_key, GOOD.encode().ljust(2049)), 413, "body_too_large")["maximum_bytes"] == 2048
    assert live.predict(small_key, GOOD.encode().ljust(2048)).status_code == 200


def test_every_code_of_the_catalogue_has_a_public_page_with_cause_and_remedy(live: Live) -> None:
    for code, told in CATALOGUE.items():
        answer = live.get(f"/errors/{code}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert [text for text in (told.cause, told.remedy) if f"<p>{escape(text)}</p>" not in answer.text] == []


@pytest.mark.parametrize("path", ["/errors", "/errors/", "/errors/nonsense", "/errors/invalid_json/x", "/errors/%3Cscript%3E"])
def test_a_browser_at_a_code_that_is_none_sees_those_that_there_are_and_programs_get_the_problem(live: Live, path: str) -> None:
    page = live.client.get(path, headers={"accept": "text/html,*/*;q=0.8"})

    assert (page.status_code, page.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert page.headers["www-authenticate"].startswith("Bearer")
    assert page.headers.get_list("content-security-policy") == [PAGE_CSP]
    assert re.findall(r'href="([^"]+/errors/\w+)"', page.text) == [f"{live.base_url}/errors/{code}" for code in sorted(CATALOGUE)]
    assert not any(text in page.text for text in ("nonsense", "<script"))
    problem(live.get(path), 401, "credential_missing")
    problem(live.client.get("/errorsnonsense", headers={"accept": "text/html"}), 401, "credential_missing")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/account", 405),
        ("DELETE", "/v1/models", 405),
        ("GET", "/nothing", 404),
        ("GET", "/v1/models/", 404),
        ("GET", "/v0/models", 404),
        ("GET", "/account/usage?since=tomorrow", 422),
        ("GET", "/account/usage?since=2026-02-02&until=2026-01-01", 422),
        ("GET", "/account/usage?since=0001-01-01&until=9999-12-31", 422),
        ("POST", "/health", 405),
    ],
)
def test_refusals_of_all_other_routes_are_problem_documents(live: Live, key: str, method: str, path: str, status: int) -> None:
    answer = live.client.request(method, path, headers={"authorization": f"Bearer {key}"})
    document = problem(answer, status, answer.json()["code"])
    assert document["code"] in CATALOGUE
    if status == 405:
        assert set(answer.headers["allow"].split(", ")) <= {"GET", "HEAD"}
