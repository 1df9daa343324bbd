"""Which Idempotency-Keys are taken, and that their digests tell nothing and bind tenant, endpoint and body."""

import pytest

from gatehouse.call import Fields
from gatehouse.errors import IdempotencyKeyMalformed
from gatehouse.limits.idempotency_key import Digester, sent_key

DIGESTER = Digester(b"s" * 32)


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        (b"8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        (b'"8e03978e-40d5-43e8-bc93-6894a57f9324"', "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        (b' \t"two words" ', "two words"),
        (rb'"a\"b\\c"', 'a"b\\c'),
        (b"!#$%&'()*+-./:<=>?@[]^_`{|}~", "!#$%&'()*+-./:<=>?@[]^_`{|}~"),
        (b"x" * 255, "x" * 255),
        (b'"' + rb"\"" * 255 + b'"', '"' * 255),
    ],
)
def test_a_key_is_taken_bare_or_as_a_structured_string(sent: bytes, key: str) -> None:
    assert sent_key(Fields([(b"host", b"h"), (b"idempotency-key", sent)])) == key


@pytest.mark.parametrize(
    "sent",
    [
        *(b"", b"  ", b'""', b'"', b'"open', b'close"', b"two words", b"a,b", b"a;p=1", b'"a";p=1', rb"a\b", rb'"a\b"', b"x" * 256),
        *(b'"' + b"x" * 256 + b'"', b"caf\xe9", b'"caf\xc3\xa9"', b"a\x7f", b'"a\tb"', b"('a' 'b')"),
    ],
)
def test_anything_else_is_malformed(sent: bytes) -> None:
    with pytest.raises(IdempotencyKeyMalformed):
        sent_key(Fields([(b"idempotency-key", sent)]))


def test_two_headers_are_malformed_even_when_they_say_the_same_and_none_is_no_key() -> None:
    with pytest.raises(IdempotencyKeyMalformed, match="two"):
        sent_key(Fields([(b"idempotency-key", b"a"), (b"idempotency-key", b"a")]))
    assert sent_key(Fields([(b"host", b"h")])) is None


def test_digests_bind_tenant_endpoint_key_body_and_secret() -> None:
    (digests,) = DIGESTER.digests("t1", "iris/v1", "a", [b"{", b"}"])
    assert DIGESTER.digests("t1", "iris/v1", "a", [b"{}"]) == [digests]
    for tenant, endpoint, key in (("t2", "iris/v1", "a"), ("t1", "iris/v2", "a"), ("t1", "iris/v1", "b")):
        (other,) = DIGESTER.digests(tenant, endpoint, key, [b"{}"])
        assert other.key != digests.key
        assert other.body != digests.body
    (other,) = DIGESTER.digests("t1", "iris/v1", "a", [b"{} "])
    assert (other.key, other.body != digests.body) == (digests.key, True)
    assert Digester(b"n" * 32, b"s" * 32).digests("t1", "iris/v1", "a", [b"{}"])[1] == digests
    assert Digester(b"n" * 32, b"").digests("t1", "iris/v1", "a", [b"{}"])[0].key != digests.key
