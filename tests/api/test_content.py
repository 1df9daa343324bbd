"""Which content is taken: the short look at a usual head says what the checks say one by one."""

from hypothesis import example, given
from hypothesis import strategies as st

from gatehouse.api.predict import check_content
from gatehouse.call import Fields
from gatehouse.errors import UnsupportedMediaType

TYPES = [b"application/json", b"Application/JSON ; charset=utf-8", b"application/json; charset=latin-1", b"text/plain", b""]
HEADS = st.lists(
    st.one_of(
        st.tuples(st.just(b"content-type"), st.sampled_from(TYPES)),
        st.tuples(st.just(b"content-encoding"), st.sampled_from([b"identity", b" Identity", b"gzip", b""])),
        st.tuples(st.just(b"accept"), st.just(b"*/*")),
    ),
    max_size=4,
)
REPEATED = [(b"x-other", b"1"), (b"x-other", b"2")]


def refused(headers: list[tuple[bytes, bytes]]) -> str | None:
    try:
        check_content(Fields(headers))
    except UnsupportedMediaType as refusal:
        return f"{refusal.detail} {refusal.reason}"
    return None


@given(HEADS)
@example([(b"content-type", b"application/json")])
@example([(b"content-type", b"application/json"), (b"content-encoding", b"gzip")])
def test_the_short_look_takes_what_all_checks_take(headers: list[tuple[bytes, bytes]]) -> None:
    assert refused(headers) == refused(headers + REPEATED), "beside a header that came twice each check is made"


def test_json_is_taken_and_nothing_else() -> None:
    taken = [not refused([(b"content-type", each)]) for each in TYPES]
    assert taken == [True, True, False, False, False]
