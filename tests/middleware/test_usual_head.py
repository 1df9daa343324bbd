"""A usual head is judged in few steps: whatever comes, the verdict is that of all checks one by one."""

from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse.call import SCOPE_KEY, Call, Fields
from gatehouse.errors import HeadersTooLarge, MalformedRequest, MethodNotAllowed, Problem, TargetTooLong
from gatehouse.middleware import framing
from gatehouse.middleware.allowed_hosts import AllowedHosts
from gatehouse.middleware.framing import check_framing
from gatehouse.middleware.problems import DISCARDED_BODY_BYTES

ALLOWED = AllowedHosts(["gatehouse.test", "*.below.test"], 8000)
LENGTHS = [b"0", b"99", b"65536", b"65537", b"", b"-1", b"+1", b"1_0", b" 1", b"1" * 19, b"1" * 20]
VALUES = {
    b"host": [b"gatehouse.test", b"gatehouse.test:8000", b"GATEHOUSE.test", b"deep.below.test", b"127.0.0.1", b"elsewhere", b"a b", b""],
    b"content-length": LENGTHS,
    b"transfer-encoding": [b"chunked", b"Chunked", b"gzip", b""],
    b"expect": [b"100-continue"],
    b"upgrade": [b"websocket"],
    b"x-odd": [b"plain", b"\x7f", b"a\tb", b"\x00", b"\xff", b"a" * 16_400],
}
FIELD = st.one_of([st.tuples(st.just(name), st.sampled_from(values)) for name, values in VALUES.items()])
USUAL = [(b"host", b"gatehouse.test"), (b"content-type", b"application/json"), (b"content-length", b"99")]
HEADERS = st.one_of(
    st.lists(FIELD, max_size=5),
    st.lists(FIELD, max_size=2).map(lambda more: USUAL + more),
    st.integers(95, 105).map(lambda count: USUAL + [(b"x-%d" % number, b"") for number in range(count)]),
)
HEADS = st.fixed_dictionaries(
    {
        "headers": HEADERS,
        "http_version": st.sampled_from(["1.1", "1.1", "1.0", "2"]),
        "method": st.sampled_from(["POST", "POST", "GET", "BREW", ""]),
        "raw_path": st.sampled_from([b"/v1/predict", b"/health", b"/" * 2000]),
        "query_string": st.sampled_from([b"", b"a" * 48, b"a" * 49]),
    }
)


def one_by_one(scope: Any, allowed: AllowedHosts) -> None:
    call, version = scope[SCOPE_KEY], scope["http_version"]
    fields = call.fields
    length = fields.get(b"content-length", b"0")
    if not length.isdigit() or len(length) > 19 or b"content-length" in fields.repeated:
        raise MalformedRequest(reason="content_length")
    call.body_pending = any(name in fields for name in (b"transfer-encoding", b"expect", b"upgrade")) or int(length) > DISCARDED_BODY_BYTES
    if version not in ("1.1", "1.0"):
        call.body_pending = True
        raise MalformedRequest(reason="http_version")
    if scope["method"] not in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}:
        raise MethodNotAllowed(reason="method_refused")
    if len(scope["raw_path"]) + len(scope["query_string"]) > 2048:
        raise TargetTooLong()
    whole = list(chain.from_iterable(scope["headers"]))
    if len(scope["headers"]) > 100 or sum(map(len, whole)) > 16 * 1024:
        raise HeadersTooLarge()
    framing._check_host(scope, fields, allowed)
    framing._check_codings(call, fields, version)
    if any((byte < 32 and byte != 9) or byte == 127 for byte in b"".join(whole)):
        raise MalformedRequest(reason="header_control_character")


def verdict(check: Any, head: dict[str, Any]) -> tuple[type[Problem] | None, str | None, bool]:
    call = Call("req_1", 0, fields=Fields(head["headers"]))
    try:
        check({**head, "path": head["raw_path"].decode(), SCOPE_KEY: call}, ALLOWED)
    except Problem as refused:
        return type(refused), refused.reason, call.body_pending
    return None, None, call.body_pending


@settings(max_examples=1500, deadline=None)
@given(HEADS)
def test_the_verdict_on_a_head_is_that_of_all_checks_one_by_one(head: dict[str, Any]) -> None:
    assert verdict(check_framing, head) == verdict(one_by_one, head)


@pytest.mark.parametrize("value", [b"", b"x", b"1" * 20, b"1_0"])
def test_what_is_no_length_is_not_remembered(value: bytes) -> None:
    before = framing._declared_bytes.cache_info().currsize
    for _ in range(2):
        with pytest.raises(MalformedRequest):
            framing._declared_bytes(value)
    assert framing._declared_bytes.cache_info().currsize == before
