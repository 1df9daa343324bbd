"""The headers of a request by name, and which came more than once."""

from gatehouse.call import Fields


def test_the_last_of_a_name_is_kept_and_the_name_is_said_to_have_come_more_than_once() -> None:
    fields = Fields([(b"host", b"a"), (b"accept", b"x"), (b"host", b"b"), (b"host", b"b")])
    assert fields == {b"host": b"b", b"accept": b"x"}
    assert fields.repeated == {b"host"}
    assert (fields.single(b"host"), fields.single(b"accept"), fields.single(b"cookie")) == (None, b"x", None)


def test_where_each_came_once_none_is_repeated() -> None:
    assert not Fields([(b"host", b"a"), (b"accept", b"x")]).repeated
    assert not Fields().repeated
