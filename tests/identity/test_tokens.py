"""Tokens in the room itself: an independent library agrees, the clock is exact, and no text at all does harm."""

import json
from typing import Any

import jwt
import pytest
from forge import Forge, Raw, b64, new_pair, twin
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatehouse.identity import tokens
from gatehouse.identity.tokens import LIFETIME_S, MAX_CHARACTERS, PersonClaims, SigningKey, TokenIssuer, TokenRefused, TokenVerifier
from gatehouse.principal import Role, Scope

ISSUER = "https://gatehouse.test"
NOW = 1_800_000_000


PRIVATE, PUBLIC = new_pair()
OTHER_PRIVATE, OTHER_PUBLIC = new_pair()
HEADER = {"alg": "ES256", "typ": "at+jwt", "kid": "kid1"}
CLAIMS = {
    "iss": ISSUER,
    "aud": ISSUER,
    "sub": "key1",
    "client_id": "key1",
    "tenant": "ten_1",
    "scope": "account:read models:read",
    "jti": "jti1",
    "iat": NOW,
    "nbf": NOW,
    "exp": NOW + 900,
}
PERSON_CLAIMS = {
    "iss": ISSUER,
    "aud": "people",
    "sub": "per_1",
    "tenant": "ten_1",
    "role": "auditor",
    "jti": "jti1",
    "iat": NOW,
    "nbf": NOW,
    "exp": NOW + 900,
}
FORGE = Forge(PRIVATE, HEADER, CLAIMS)
OF_A_PERSON = Forge(PRIVATE, HEADER, PERSON_CLAIMS)
BOTH = pytest.mark.parametrize("forge", [FORGE, OF_A_PERSON], ids=["key", "person"])


@pytest.fixture(scope="module")
def verifier() -> TokenVerifier:
    return TokenVerifier(ISSUER, {"kid1": PUBLIC, "kid2": OTHER_PUBLIC})


def issued(**wish: Any) -> str:
    given = {
        "tenant_id": "ten_1",
        "key_id": "key1",
        "scopes": frozenset({Scope.MODELS_READ}),
        "jti": "jti1",
        "now": NOW,
        "expires_at": NOW + 60,
    }
    return TokenIssuer(ISSUER, SigningKey("kid1", PRIVATE)).issue(**(given | wish))


def reason(verifier: TokenVerifier, text: str, now: float = NOW) -> str | None:
    """Why a token is refused; None when it is not."""
    try:
        verifier.verify(text, now)
    except TokenRefused as refusal:
        return str(refusal)
    return None


def test_pyjwt_proves_our_token(verifier: TokenVerifier) -> None:
    token = issued()
    header, claims = jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})
    assert header == HEADER
    options: Any = {
        "verify_exp": False,
        "verify_iat": False,
        "verify_nbf": False,
        "require": ["exp", "iat", "nbf", "iss", "aud", "sub", "jti"],
    }
    assert jwt.decode(token, PUBLIC, algorithms=["ES256"], audience=ISSUER, issuer=ISSUER, options=options) == claims
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, OTHER_PUBLIC, algorithms=["ES256"], audience=ISSUER, issuer=ISSUER, options=options)


def test_a_token_of_pyjwt_is_proven_by_ours(verifier: TokenVerifier) -> None:
    token = jwt.encode(CLAIMS, PRIVATE, algorithm="ES256", headers=HEADER)
    claims = verifier.verify(token, NOW)
    assert (claims.key_id, claims.tenant_id, claims.jti, claims.issued_at, claims.expires_at) == ("key1", "ten_1", "jti1", NOW, NOW + 900)
    assert claims.scopes == {Scope.ACCOUNT_READ, Scope.MODELS_READ}


def test_row_23_each_kid_stands_for_its_own_key(verifier: TokenVerifier) -> None:
    other = Forge(OTHER_PRIVATE, HEADER | {"kid": "kid2"}, CLAIMS)
    assert reason(verifier, other.token()) is None
    assert reason(verifier, other.token({"kid": "kid1"})) == "token_signature"
    assert reason(verifier, FORGE.token({"kid": "kid2"})) == "token_signature"
    assert reason(verifier, FORGE.token({"kid": "kid3"})) == "token_kid"


def test_row_28_and_32_no_token_is_issued_for_longer_than_15_minutes(verifier: TokenVerifier) -> None:
    assert LIFETIME_S <= 900
    assert verifier.verify(issued(expires_at=NOW + 10**6), NOW).expires_at == NOW + LIFETIME_S
    assert verifier.verify(issued(expires_at=NOW + 30), NOW).expires_at == NOW + 30


@BOTH
@pytest.mark.parametrize(
    ("now", "why"),
    [
        (NOW, None),
        (NOW + 899.999, None),
        (NOW + 900, "token_expired"),
        (NOW + 10**9, "token_expired"),
        (NOW - 5, None),
        (NOW - 5.001, "token_from_the_future"),
    ],
)
def test_row_31_the_leeway_is_0_s_for_exp_and_5_s_for_iat(verifier: TokenVerifier, forge: Forge, now: float, why: str | None) -> None:
    assert reason(verifier, forge.token(), now) == why


@BOTH
@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": NOW + 901}, "token_lifetime"),
        ({"exp": NOW + 900}, None),
        ({"iat": NOW + 5, "exp": NOW + 905}, None),
        ({"iat": NOW + 6, "exp": NOW + 10}, "token_from_the_future"),
        ({"nbf": NOW + 5}, None),
        ({"nbf": NOW + 6}, "token_from_the_future"),
        ({"nbf": NOW - 10**6}, None),
        ({"iat": NOW - 100, "exp": NOW - 1}, "token_expired"),
        ({"iat": NOW + 5, "exp": NOW + 5}, "token_lifetime"),
        ({"iat": NOW + 5, "exp": NOW + 1}, "token_lifetime"),
    ],
    ids=str,
)
def test_rows_28_and_31_times_are_judged_to_the_second(
    verifier: TokenVerifier, forge: Forge, claims: dict[str, int], why: str | None
) -> None:
    assert reason(verifier, forge.token(claims=claims)) == why


def test_row_30_a_long_or_nested_text_never_reaches_the_parser(verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr(tokens, "_members", unreachable)
    monkeypatch.setattr(tokens, "_decode_segment", unreachable)
    deep = b64(b"[" * 400 + b"]" * 400)
    assert reason(verifier, FORGE.of_segments(deep, b64(b" " * 2000))) == "token_shape"
    assert reason(verifier, "a" * (MAX_CHARACTERS + 1)) == "token_shape"
    assert reason(verifier, "a." * 1_000_000) == "token_shape"


def test_row_25_both_valid_signatures_pass_by_themselves(verifier: TokenVerifier) -> None:
    token = FORGE.token()
    assert twin(token) != token
    assert reason(verifier, twin(token)) is None, "so a cache must be keyed by the whole text, and revocation go by the claims"


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200) | st.lists(st.text(alphabet="AZaz09-_=+/ .", max_size=40), min_size=3, max_size=3).map(".".join))
def test_any_text_is_refused_and_nothing_worse(verifier: TokenVerifier, text: str) -> None:
    assert reason(verifier, text) is not None


@BOTH
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_token_with_any_one_character_changed_is_refused(verifier: TokenVerifier, forge: Forge, data: st.DataObject) -> None:
    token = forge.token()
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda character: character != token[place]))
    assert reason(verifier, token[:place] + other + token[place + 1 :]) is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@BOTH
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(CLAIMS | PERSON_CLAIMS)), JSON)
def test_row_27_a_rightly_signed_claim_of_any_json_is_refused_or_right(
    verifier: TokenVerifier, forge: Forge, claim: str, value: Any
) -> None:
    token = forge.of_bytes(json.dumps(HEADER).encode(), json.dumps(forge.claims | {claim: value}).encode())
    if reason(verifier, token) is None:
        assert type(value) is type(forge.claims[claim])
        free = ("jti", "tenant", "nbf", "sub") if forge is OF_A_PERSON else ("jti", "tenant", "nbf")
        assert claim in free or value == forge.claims[claim]


@BOTH
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "zip", "jwk", "jku"]), JSON)
def test_rows_19_to_23_a_rightly_signed_header_of_any_json_is_refused(
    verifier: TokenVerifier, forge: Forge, member: str, value: Any
) -> None:
    if HEADER.get(member) != value:
        assert reason(verifier, forge.token({member: value})) is not None


@BOTH
def test_rows_27_and_29_each_claim_is_there_once_and_no_other(verifier: TokenVerifier, forge: Forge) -> None:
    assert reason(verifier, forge.token()) is None
    for claim in forge.claims:
        assert reason(verifier, forge.token(without=claim)) is not None
        for odd in (None, True, 1.5, [], {}, "", " ", "a\x00", "x" * 65, Raw(b"1e999"), Raw(b"NaN")):
            assert reason(verifier, forge.token(claims={claim: odd})) is not None, (claim, odd)
        doubled = json.dumps(forge.claims)[:-1] + f", {json.dumps(claim)}: {json.dumps(forge.claims[claim])}}}"
        assert reason(verifier, forge.of_bytes(json.dumps(HEADER).encode(), doubled.encode())) == "token_json"
    assert reason(verifier, forge.token(claims={"further": "x"})) == "token_claims"


def test_row_27_no_claim_of_a_key_makes_a_person_nor_the_other_way_round(verifier: TokenVerifier) -> None:
    for claims in (
        CLAIMS | {"aud": "people"},
        CLAIMS | {"aud": "people", "role": "operator"},
        CLAIMS | {"role": "operator"},
        PERSON_CLAIMS | {"aud": ISSUER},
        PERSON_CLAIMS | {"aud": ["people", ISSUER]},
        PERSON_CLAIMS | {"aud": [ISSUER]},
        PERSON_CLAIMS | {"aud": "People"},
        PERSON_CLAIMS | {"scope": "admin:write"},
        PERSON_CLAIMS | {"client_id": "per_1"},
        PERSON_CLAIMS | {"role": "king"},
        PERSON_CLAIMS | {"role": "Operator"},
        PERSON_CLAIMS | {"role": ["operator"]},
        PERSON_CLAIMS | {"iss": "people"},
    ):
        assert reason(verifier, Forge(PRIVATE, HEADER, claims).token()) is not None, claims
    person = verifier.verify(OF_A_PERSON.token(), NOW)
    assert isinstance(person, PersonClaims)
    assert (person.person_id, person.tenant_id, person.role, person.issued_at) == ("per_1", "ten_1", Role.AUDITOR, NOW)


def test_pyjwt_proves_a_persons_token(verifier: TokenVerifier) -> None:
    issuer = TokenIssuer(ISSUER, SigningKey("kid1", PRIVATE))
    token = issuer.issue_to_person(tenant_id="ten_1", person_id="per_1", role=Role.AUDITOR, jti="jti1", now=NOW)
    options: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
    assert jwt.decode(token, PUBLIC, algorithms=["ES256"], audience="people", issuer=ISSUER, options=options) == PERSON_CLAIMS
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(token, PUBLIC, algorithms=["ES256"], audience=ISSUER, issuer=ISSUER, options=options)
    assert isinstance(verifier.verify(token, NOW), PersonClaims)


def test_row_10_neither_a_refusal_nor_a_printed_key_holds_what_is_secret(verifier: TokenVerifier) -> None:
    token = FORGE.token({"kid": "canary-kid"}, {"jti": "canary-jti"})
    for text in (token, token + "=", token[:-2], FORGE.token(claims={"sub": "canary"})):
        with pytest.raises(TokenRefused) as refused:
            verifier.verify(text, NOW)
        assert "canary" not in str(refused.value)
        assert str(refused.value).startswith("token_")
    assert "PRIVATE" not in repr(SigningKey("kid1", PRIVATE))
