"""The headers of a request by name, and which came more than once; what is written of a call holds none of them."""

from gatehouse.call import Call, Fields


def test_the_last_of_a_name_is_kept_and_the_name_is_said_to_have_come_more_than_once() -> None:
    fields = Fields([(b"host", b"a"), (b"accept", b"x"), (b"host", b"b"), (b"host", b"b")])
    assert fields == {b"host": b"b", b"accept": b"x"}
    assert fields.repeated == {b"host"}
    assert (fields.single(b"host"), fields.single(b"accept"), fields.single(b"cookie")) == (None, b"x", None)


def test_where_each_came_once_none_is_repeated() -> None:
    assert not Fields([(b"host", b"a"), (b"accept", b"x")]).repeated
    assert not Fields().repeated


def test_a_call_in_a_trace_or_a_log_shows_neither_its_credential_nor_its_headers() -> None:
    call = Call("req_1", 0, fields=Fields([(b"x-api-key", b"gate_canary")]), credential="gate_canary")
    assert "canary" not in f"{call!r} {call}"
    assert "req_1" in repr(call)
