"""API keys: random, recognisable, checked without a look-up, and kept as a keyed digest."""

import hmac
import inspect
import secrets
import zlib
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse.identity.api_keys import (
    ALPHABET,
    KEY_CHARACTERS,
    SECRET_CHARACTERS,
    KeyMalformed,
    checksum,
    digest,
    key_id_of,
    mint_key,
    random_text,
)

PEPPER = b"a pepper of the tests"


def test_row_9_ten_thousand_keys_are_distinct_and_of_the_right_shape() -> None:
    keys = [mint_key(PEPPER) for _ in range(10_000)]
    texts = [key.text for key in keys]
    assert len(set(texts)) == len({key.id for key in keys}) == len({key.digest for key in keys}) == 10_000
    assert {len(text) for text in texts} == {KEY_CHARACTERS}
    bodies = [text.removeprefix("gate_") for text in texts]
    assert all(body.count("_") == 1 and text != body for body, text in zip(bodies, texts, strict=True))
    assert set("".join(bodies)) == {*ALPHABET, "_"}
    assert all(key_id_of(key.text) == key.id for key in keys)
    places = zip(*(text[22 : 22 + SECRET_CHARACTERS] for text in texts), strict=True)
    assert all(set(place) == set(ALPHABET) for place in places), "no place of a secret is narrower than the alphabet"


def test_row_9_a_secret_has_256_bits_from_the_systems_source() -> None:
    assert len(ALPHABET) ** SECRET_CHARACTERS >= 2**256
    assert len(set(ALPHABET)) == 62
    for function in (mint_key, random_text):
        choice = inspect.signature(function).parameters["choice"].default
        assert choice == secrets.choice
        assert isinstance(choice.__self__, secrets.SystemRandom)


def test_row_7_the_digest_is_keyed_by_the_pepper_and_covers_the_whole_key() -> None:
    key = mint_key(PEPPER)
    assert key.digest == hmac.new(PEPPER, key.text.encode(), sha256).digest()
    assert key.digest != sha256(key.text.encode()).digest()
    assert key.digest != digest(key.text, b"another pepper")
    changed = {digest(f"{key.text[:n]}~{key.text[n + 1 :]}", PEPPER) for n in range(KEY_CHARACTERS)}
    assert len(changed | {key.digest}) == KEY_CHARACTERS + 1


def test_row_10_nothing_that_is_printed_of_a_new_key_holds_it() -> None:
    key = mint_key(PEPPER)
    assert key.text[22:] not in f"{key!r} {key!s} {key.id}"


def test_row_11_the_checksum_is_the_crc_32_that_scanners_can_compute() -> None:
    key = mint_key(PEPPER).text
    number = 0
    for digit in key[-6:]:
        number = number * 62 + ALPHABET.index(digit)
    assert number == zlib.crc32(key[:-6].encode())
    assert checksum("") == "000000"


def test_row_11_every_single_typing_error_is_seen() -> None:
    key = mint_key(PEPPER).text
    for place in range(KEY_CHARACTERS):
        for other in ("0", "z", "_", " ", "é", "\u0660", "\x00"):
            if other != key[place]:
                with pytest.raises(KeyMalformed):
                    key_id_of(key[:place] + other + key[place + 1 :])
    for place in range(5, KEY_CHARACTERS - 1):
        if key[place] != key[place + 1]:
            with pytest.raises(KeyMalformed):
                key_id_of(key[:place] + key[place + 1] + key[place] + key[place + 2 :])


@given(st.text() | st.text(alphabet=ALPHABET + "_", min_size=KEY_CHARACTERS - 5, max_size=KEY_CHARACTERS - 5).map("gate_".__add__))
def test_row_11_any_other_text_is_malformed_and_nothing_worse(text: str) -> None:
    with pytest.raises(KeyMalformed):
        key_id_of(text)


def test_a_test_key_is_reserved() -> None:
    with pytest.raises(KeyMalformed):
        key_id_of(mint_key(PEPPER).text.replace("gate_", "gatetest_"))
