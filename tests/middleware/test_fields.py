"""The headers of a request by name, and which came more than once; what is written of a call holds none of them."""

from hypothesis import given
from hypothesis import strategies as st

from gatehouse.call import Call, Fields, fields_of_head


def test_the_last_of_a_name_is_kept_and_the_name_is_said_to_have_come_more_than_once() -> None:
    fields = Fields([(b"host", b"a"), (b"accept", b"x"), (b"host", b"b"), (b"host", b"b")])
    assert fields == {b"host": b"b", b"accept": b"x"}
    assert fields.repeated == {b"host"}
    assert (fields.single(b"host"), fields.single(b"accept"), fields.single(b"cookie")) == (None, b"x", None)


def test_where_each_came_once_none_is_repeated() -> None:
    assert not Fields([(b"host", b"a"), (b"accept", b"x")]).repeated
    assert not Fields().repeated


NAME = st.sampled_from([b"host", b"accept", b"cookie", b"x-api-key"])


@given(st.lists(st.tuples(NAME, st.sampled_from([b"", b"a", b"b"])), max_size=5))
def test_the_fields_of_a_head_are_those_headers_however_they_came(headers: list[tuple[bytes, bytes]]) -> None:
    quick, general = fields_of_head(headers), Fields(headers)
    assert (quick, quick.repeated) == (general, general.repeated)
    assert all(quick.single(name) == general.single(name) for name in (b"host", b"accept", b"cookie", b"x-api-key", b"other"))


def test_a_call_in_a_trace_or_a_log_shows_neither_its_credential_nor_its_headers() -> None:
    call = Call("req_1", 0, fields=Fields([(b"x-api-key", b"gate_canary")]), credential="gate_canary")
    assert "canary" not in f"{call!r} {call}"
    assert "req_1" in repr(call)
