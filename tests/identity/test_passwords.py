"""Which passwords are good enough, and what hashing one costs (SECURITY.md, row 15)."""

import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stage import ROOT, wait_until

from gatehouse.errors import Overloaded
from gatehouse.identity.key_wishes import WishRefused
from gatehouse.identity.passwords import COMMON, COST, LONGEST, NOBODYS, SHORTEST, Passwords, check_password, common_passwords, could_be

CONTEXT = ["gatehouse", "lead@acme", "lead", "acme"]
CHEAP = {"memory_cost": 8, "time_cost": 1, "parallelism": 1}


def said(password: str) -> str | None:
    """Why a password is refused; None where it is good enough."""
    try:
        check_password(password, CONTEXT)
    except WishRefused as refusal:
        return f"{refusal.member}: {refusal}"
    return None


@pytest.mark.parametrize(
    "password",
    [
        "k7!pQz2x",
        "correct horse battery staple",
        "x9" * 32,
        "日本語のパスワード",
        "🐎🔋📎✨🌊🏔️🎷🦉",
        "lead carries water uphill",
        "q" * 120 + "ab",
        "passwort-für-alle",
    ],
)
def test_row_15_length_is_all_that_is_asked_for(password: str) -> None:
    assert said(password) is None


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "8 to 128 characters"),
        ("k7!pQz2", "8 to 128 characters"),
        ("é" * 7, "8 to 128 characters"),
        (unicodedata.normalize("NFD", "é" * 7), "8 to 128 characters"),
        ("k" * 129, "8 to 128 characters"),
        ("x" * 1_000_000, "8 to 128 characters"),
        ("password1234", "guessed first"),
        ("PassWord1234", "guessed first"),
        ("12345678", "guessed first"),
        ("Gatehouse", "little more than"),
        ("gatehouse1", "little more than"),
        ("ACME-2027!", "little more than"),
        ("lead@acme", "little more than"),
        ("gatehousepassword", "little more than"),
        ("acmegatehouselead", "little more than"),
    ],
    ids=lambda value: value[:20],
)
def test_row_15_what_is_short_common_or_made_of_known_words_is_refused(password: str, why: str) -> None:
    refused = said(password) or ""
    assert refused.startswith("password: ")
    assert why in refused
    assert not password or password not in refused, "what was sent is not said again"


def test_row_15_every_common_password_is_refused_in_whatever_case() -> None:
    assert len(common_passwords()) > 16_000
    for password in common_passwords():
        assert len(password) >= SHORTEST
        assert said(password) is not None
        assert said(password.upper()) is not None or password.upper().casefold() != password


def test_the_list_is_the_one_whose_digest_and_licences_are_written_down() -> None:
    written = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    assert f"`{sha256(COMMON.read_bytes()).hexdigest()}`" in written
    licences = COMMON.with_name("common_passwords.LICENSE.txt").read_text(encoding="utf-8")
    assert "Django Software Foundation" in licences
    assert "MIT License" in licences


def test_row_15_the_cost_is_the_one_that_owasp_names_first() -> None:
    stored = Passwords().hash("correct horse battery")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert not Passwords().outdated(stored)
    assert not Passwords().outdated(NOBODYS), "who is unknown costs what somebody who is known costs"
    assert Passwords(COST | {"time_cost": 3}).outdated(stored)


def test_a_password_proves_itself_alone_and_salts_differ() -> None:
    passwords = Passwords(CHEAP)
    stored = passwords.hash("correct horse battery")
    assert passwords.hash("correct horse battery") != stored
    assert passwords.proves("correct horse battery", stored)
    assert not passwords.proves("correct horse batterz", stored)
    assert not passwords.proves("correct horse battery", None)
    assert not passwords.proves("correct horse battery\x00", stored)
    assert passwords.proves(unicodedata.normalize("NFD", "été à la mer"), passwords.hash("été à la mer"))


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=SHORTEST, max_size=LONGEST))
def test_row_15_whatever_text_could_be_a_password_is_hashed_and_proven(password: str) -> None:
    if could_be(password):
        passwords = Passwords(CHEAP)
        assert passwords.proves(password, passwords.hash(password))


def test_hashes_take_turns_and_beyond_those_that_wait_is_503() -> None:
    passwords = Passwords(CHEAP, at_once=2, waiting=3)
    context, arrived, go = passwords._context, threading.Semaphore(0), threading.Event()
    at_once: list[int] = []

    class Held:
        def hash(self, password: bytes) -> str:
            at_once.append(1)
            arrived.release()
            assert go.wait(20)
            at_once.pop()
            hashed: str = context.hash(password)
            return hashed

    passwords._context = Held()
    with ThreadPoolExecutor(5) as pool:
        hashed = [pool.submit(passwords.hash, "correct horse battery") for _ in range(5)]
        arrived.acquire(timeout=20)
        arrived.acquire(timeout=20)
        wait_until(lambda: passwords._places._value == 0)
        assert len(at_once) == 2
        with pytest.raises(Overloaded) as refused:
            passwords.hash("one too many")
        assert dict(refused.value.headers) == {"Retry-After": "1"}
        go.set()
        assert all(each.result().startswith("$argon2id$") for each in hashed)
    assert passwords.computed == 5
    passwords._context = context
    assert passwords.hash("there is room again")
