"""Every known attack on an access token gets the one answer of a credential that is not valid."""

import base64
import hashlib
import hmac
import json
import math
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from forge import DIGITS, P256_ORDER, Forge, Raw, b64, new_pair, twin, unb64, with_numbers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stage import ACTOR, IRIS_ROW, Live, Stage, instances, key_id, wait_until
from wire import head, wire

from gatehouse.errors import CredentialInvalid, CredentialMalformed
from gatehouse.identity.api_keys import mint_key
from gatehouse.identity.sealing import Seal
from gatehouse.identity.token_keys import read_token_keys, retire_key_now, rotate_token_key
from gatehouse.identity.token_store import TokenKey

PATH = "/account"
TEXT_CLAIMS = ("iss", "aud", "sub", "client_id", "tenant", "scope", "jti")
UNKNOWN_KEY = mint_key(b"another pepper").text
TIME_CLAIMS = ("iat", "nbf", "exp")


@dataclass(frozen=True)
class Attack:
    """What a test has in hand: the server's own token key, a good key and its claims."""

    live: Live
    key: str
    forge: Forge
    public_pem: str
    good: str = ""
    """A good token, as the server gave it."""

    def sent(self, token: str | bytes) -> Any:
        """The answer to a call with this token."""
        text = token if isinstance(token, bytes) else token.encode("latin-1")
        return self.live.client.get(PATH, headers={b"authorization": b"Bearer " + text})

    def accepts(self, token: str) -> bool:
        answer = self.sent(token)
        assert answer.status_code in (200, 401), answer.text
        return bool(answer.status_code == 200)

    def refusal(self, token: str | bytes) -> tuple[int, bytes, dict[str, str]]:
        return refusal_of(self.sent(token))

    def assert_refused(self, token: str | bytes) -> None:
        """The same status, bytes and headers as an unknown key gets, but for the request id."""
        assert self.refusal(token) == self.refusal(UNKNOWN_KEY)


def refusal_of(answer: Any) -> tuple[int, bytes, dict[str, str]]:
    request_id = answer.headers["x-request-id"]
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "date")}
    return answer.status_code, answer.content.replace(request_id.encode(), b"ID"), headers


@pytest.fixture(scope="module")
def attack(live: Live) -> Attack:
    key = live.stage.tenant("acme", "iris")
    token = issued(live, key)
    return Attack(live, key, forge_of(live, token), public_pem_of(live, token), token)


def seal_of(live: Live) -> Seal:
    return Seal(live.stage.values["GATEHOUSE_SECRET_KEY"].encode())


def token_key_of(live: Live, token: str) -> TokenKey:
    """The server's own token key that signed this token."""
    kid = jwt.get_unverified_header(token)["kid"]
    (found,) = (key for key in read_token_keys(live.stage.database) if key.kid == kid)
    return found


def public_pem_of(live: Live, token: str) -> str:
    return token_key_of(live, token).public_pem


def forge_of(live: Live, token: str) -> Forge:
    """Signs with the server's own token key, in the manner of a good token."""
    key = token_key_of(live, token)
    private_pem = seal_of(live).open(key.kid, key.private_sealed)
    return Forge(private_pem, jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False}))


def issued(live: Live, key: str, **more: str) -> str:
    form = {"grant_type": "client_credentials", "client_id": key_id(key), "client_secret": key} | more
    answer = live.client.post("/oauth/token", data=form)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


def moment(offset: float = 0) -> int:
    return int(time.time() + offset)


def test_the_reference_refusal_is_a_401_and_a_token_of_our_own_making_is_accepted(attack: Attack) -> None:
    status, body, headers = attack.refusal(UNKNOWN_KEY)
    assert (status, json.loads(body)["code"]) == (401, "credential_invalid")
    assert headers["www-authenticate"] == 'Bearer realm="gatehouse", error="invalid_token"'
    assert attack.accepts(attack.forge.token()), "else every refusal below would prove nothing"
    assert attack.accepts(attack.forge.token(claims={"jti": "another"}))


def test_pyjwt_proves_a_token_of_ours_and_ours_proves_one_of_pyjwt(attack: Attack) -> None:
    issuer = attack.live.base_url
    read = jwt.decode(issued(attack.live, attack.key), attack.public_pem, algorithms=["ES256"], audience=issuer, issuer=issuer)
    assert (read["sub"], read["client_id"]) == (key_id(attack.key), key_id(attack.key))
    assert read["exp"] - read["iat"] == 900
    claims = attack.forge.claims | {"jti": "by-pyjwt", "iat": moment(), "nbf": moment(), "exp": moment(600)}
    made = jwt.encode(claims, attack.forge.private_pem, algorithm="ES256", headers={"typ": "at+jwt", "kid": attack.forge.header["kid"]})
    assert attack.accepts(made)
    stranger = jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256", headers=attack.forge.header)
    attack.assert_refused(stranger)


@pytest.mark.parametrize("spelling", ["none", "None", "NONE", "nOnE", "", "es256", "ES256 ", "ES256K", "ES384", "RS256", "PS256", "EdDSA"])
def test_row_19_another_algorithm_than_the_keys_own_is_refused(attack: Attack, spelling: str) -> None:
    signed = attack.forge.token({"alg": spelling})
    text = signed.rpartition(".")[0]
    for token in (signed, f"{text}.", text, f"{text}.{b64(b'0')}"):
        attack.assert_refused(token)


@pytest.mark.parametrize("alg", [None, True, 1, ["ES256"], {"ES256": 1}])
def test_row_19_an_algorithm_that_is_no_text_is_refused(attack: Attack, alg: Any) -> None:
    attack.assert_refused(attack.forge.token({"alg": alg}))
    attack.assert_refused(attack.forge.token(without="alg"))


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_row_19_an_hmac_keyed_by_any_form_of_the_public_key_is_refused(attack: Attack, digest: str) -> None:
    for header in (attack.forge.header, attack.forge.header | {"alg": f"HS{digest[3:]}"}):
        text = f"{b64(json.dumps(header).encode())}.{attack.forge.segments()[1]}"
        for form in (*attack.forge.public_forms().values(), attack.public_pem.encode()):
            attack.assert_refused(f"{text}.{b64(hmac.new(form, text.encode(), digest).digest())}")


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_row_19_an_rsa_signature_is_refused(attack: Attack, algorithm: str) -> None:
    own = rsa.generate_private_key(65537, 2048)
    header = {"kid": attack.forge.header["kid"], "typ": "at+jwt"}
    attack.assert_refused(jwt.encode(attack.forge.claims, own, algorithm=algorithm, headers=header))


def test_row_20_keys_that_a_token_brings_along_are_refused_and_nothing_is_fetched(attack: Attack) -> None:
    own = ec.generate_private_key(ec.SECP256R1())
    numbers = own.public_key().public_numbers()
    jwk = {"kty": "EC", "crv": "P-256", "x": b64(numbers.x.to_bytes(32)), "y": b64(numbers.y.to_bytes(32))}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/keys"
        brought: dict[str, Any] = {"jwk": jwk, "jku": url, "x5u": url, "x5c": [b64(b"certificate")], "x5t": "thumb"}
        for name, value in brought.items():
            for kid in (attack.forge.header["kid"], url):
                header = attack.forge.header | {name: value, "kid": kid}
                attack.assert_refused(attack.forge.token(header))
                attack.assert_refused(jwt.encode(attack.forge.claims, own, algorithm="ES256", headers=header))
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize(
    "members",
    [
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"crit": []},
        {"b64": False},
        {"b64": True},
        {"crit": ["unknown"], "unknown": 1},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
        {"cty": "JWT"},
        {"epk": {}},
    ],
    ids=str,
)
def test_row_21_a_header_with_more_than_it_needs_is_refused(attack: Attack, members: dict[str, Any]) -> None:
    attack.assert_refused(attack.forge.token(members))


def test_row_21_a_payload_that_is_not_encoded_is_refused(attack: Attack) -> None:
    header = b64(json.dumps(attack.forge.header | {"b64": False, "crit": ["b64"]}).encode())
    attack.assert_refused(attack.forge.of_segments(header, json.dumps(attack.forge.claims)))


@pytest.mark.parametrize(
    "typ", ["JWT", "jwt", "AT+JWT", "at+JWT", "application/at+jwt", "id+jwt", "logout+jwt", "", " at+jwt", None, 1, True, ["at+jwt"]]
)
def test_row_22_another_kind_of_token_is_refused(attack: Attack, typ: Any) -> None:
    attack.assert_refused(attack.forge.token({"typ": typ}))
    attack.assert_refused(attack.forge.token(without="typ"))


@pytest.mark.parametrize(
    "kid",
    [
        "",
        "unknown",
        "../../../../dev/null",
        "/etc/passwd",
        "' OR '1'='1",
        "x' UNION SELECT 'k'--",
        "\u0000",
        "é",
        None,
        0,
        1,
        True,
        1.5,
        [],
        {},
    ],
    ids=repr,
)
def test_row_23_a_kid_must_be_one_known_text(attack: Attack, kid: Any) -> None:
    attack.assert_refused(attack.forge.token({"kid": kid}))


def test_row_23_a_kid_is_not_trimmed_folded_or_taken_from_a_list(attack: Attack) -> None:
    kid = attack.forge.header["kid"]
    for other in (f" {kid}", f"{kid}\u0000", f"{kid}\n", kid.upper() + "A", [kid], {kid: kid}, kid[:-1]):
        attack.assert_refused(attack.forge.token({"kid": other}))
    attack.assert_refused(attack.forge.token(without="kid"))


def test_row_24_every_other_spelling_of_the_last_digit_is_refused(attack: Attack) -> None:
    token = attack.forge.token(claims={"jti": "spelling"})
    assert attack.accepts(token)
    last = DIGITS.index(token[-1])
    assert last % 16 == 0, "two bits of the last digit are data"
    others = [token[:-1] + DIGITS[last + more] for more in range(1, 16)]
    assert {unb64(other.rpartition(".")[2]) for other in others} == {unb64(token.rpartition(".")[2])}
    for other in others:
        attack.assert_refused(other)


def test_row_24_other_spellings_of_header_and_payload_are_refused_though_rightly_signed(attack: Attack) -> None:
    for part in (0, 1):
        for blanks in range(3):  # one of three lengths leaves no spare bits
            documents = [json.dumps(attack.forge.header).encode(), json.dumps(attack.forge.claims).encode()]
            documents[part] += b" " * blanks
            spelled = [b64(document) for document in documents]
            assert attack.accepts(attack.forge.of_segments(*spelled))
            spare = {0: 0, 2: 4, 3: 2}[len(spelled[part]) % 4]
            for more in range(1, 2**spare):
                other = list(spelled)
                other[part] = other[part][:-1] + DIGITS[DIGITS.index(other[part][-1]) + more]
                attack.assert_refused(attack.forge.of_segments(*other))
            padded = list(spelled)
            padded[part] += "=" * (-len(padded[part]) % 4) or "===="
            attack.assert_refused(attack.forge.of_segments(*padded))


@pytest.mark.parametrize(
    "odd", ["=", "==", "===", "?", "!", "!!!!", "####", "+", "/", "\x80", "\xff", "é", "A", ".", "..", " A", "\tA"], ids=repr
)
def test_row_24_a_foreign_byte_in_any_part_is_refused(attack: Attack, odd: str) -> None:
    header, payload, signature = attack.forge.segments()
    for token in (
        f"{header}.{payload}.{signature}{odd}",
        f"{header}.{payload}.{odd}{signature}",
        f"{header}.{payload}{odd}.{signature}",
        f"{header}{odd}.{payload}.{signature}",
        f"{header}.{payload}.{signature[:40]}{odd}{signature[40:]}",
        attack.forge.of_segments(header + odd, payload),
        attack.forge.of_segments(header, payload + odd),
    ):
        attack.assert_refused(token)


def test_row_24_standard_base64_is_refused(attack: Attack) -> None:
    token = next(made for n in range(1000) if "-" in (made := attack.forge.token(claims={"jti": f"n{n}"})).rpartition(".")[2])
    text, _, signature = token.rpartition(".")
    assert attack.accepts(token)
    attack.assert_refused(f"{text}.{signature.replace('-', '+')}")
    attack.assert_refused(f"{text}.{signature.replace('-', '+').replace('_', '/')}==")


@pytest.mark.parametrize("number", [0, P256_ORDER, P256_ORDER + 1, 2**256 - 1], ids=["0", "n", "n+1", "most"])
def test_row_25_r_and_s_lie_between_0_and_n(attack: Attack, number: int) -> None:
    token = attack.forge.token()
    for forged in (with_numbers(token, r=number), with_numbers(token, s=number), with_numbers(token, r=number, s=number)):
        attack.assert_refused(forged)


def test_row_25_a_signature_has_64_bytes_and_is_not_der(attack: Attack) -> None:
    text = attack.forge.token().rpartition(".")[0]
    raw = attack.forge.signature(text.encode())
    for signature in (
        raw[:63],
        raw[1:],
        raw[:32] + raw[33:],
        raw + b"\0",
        b"\0" + raw,
        raw[:32] + b"\0" + raw[32:],
        raw[:32] + b"\0" * 32 + raw[32:],
        raw + raw,
        b"",
        raw[:1],
        raw[:32],
        bytes(64),
        attack.forge.der_signature(text.encode()),
    ):
        attack.assert_refused(f"{text}.{b64(signature)}")


def test_row_26_a_remembered_token_with_another_signature_or_payload_is_refused(attack: Attack) -> None:
    token = attack.forge.token(claims={"jti": "warm"})
    assert attack.accepts(token)
    assert attack.accepts(token)
    text, _, signature = token.rpartition(".")
    other = attack.forge.token(claims={"jti": "other"}).rpartition(".")[2]
    swapped = unb64(signature)[32:] + unb64(signature)[:32]
    for forged in (f"{text}.{other}", f"{text}.{b64(swapped)}", f"{text}.", text, f"{text}.{b64(bytes(64))}"):
        attack.assert_refused(forged)
    header, _, _ = token.split(".")
    wider = b64(json.dumps(attack.forge.claims | {"jti": "warm", "scope": "admin:read admin:write"}).encode())
    attack.assert_refused(f"{header}.{wider}.{signature}")
    assert attack.accepts(token)


def test_row_26_and_37_neither_a_revoked_keys_token_nor_its_twin_passes(attack: Attack) -> None:
    live = attack.live
    key = live.stage.key("acme")
    claims = attack.forge.claims | {"sub": key_id(key), "client_id": key_id(key), "jti": "twins"}
    token, unseen = attack.forge.token(claims=claims), attack.forge.token(claims=claims | {"jti": "unseen"})
    assert attack.accepts(token)
    assert attack.accepts(twin(token)), "it is as well signed as the first"
    live.stage.revoke(key)
    wait_until(lambda: not attack.accepts(token))
    live.caught_up()  # one that is looked up is refused at once, one that is remembered when the change is taken in
    for dead in (token, twin(token), unseen, twin(unseen), twin(twin(token))):
        attack.assert_refused(dead)


@pytest.mark.parametrize("claim", [*TEXT_CLAIMS, *TIME_CLAIMS])
def test_row_27_a_claim_that_is_missing_or_of_another_type_is_refused(attack: Attack, claim: str) -> None:
    attack.assert_refused(attack.forge.token(without=claim))
    good = attack.forge.claims[claim]
    odd: list[Any] = [True, False, None, [], {}, [good], {"": good}, "", " ", -1, 0, 1.5, math.nan, math.inf, -math.inf]
    odd += [Raw(b"1e999"), Raw(b"-0"), Raw(b"1E400"), Raw(b"9" * 400), 2**63, "\u0000", "\ud800", Raw(b"{}"), "x" * 100, "né", f"{good}\n"]
    if claim in TIME_CLAIMS:
        odd += [str(good), float(good), good + 0.5, Raw(f"{good}e0".encode()), "now"]
    else:
        odd += [f"{good} ", f" {good}", [good, good]]
    if claim != "nbf":  # there, long ago is no fault
        odd.append(1)
    for value in odd:
        attack.assert_refused(attack.forge.token(claims={claim: value}))


def test_row_27_a_claim_of_ours_names_another_key_tenant_issuer_or_audience_and_is_refused(attack: Attack) -> None:
    other = attack.live.stage.tenant("rival", "iris")
    rival = jwt.decode(issued(attack.live, other), options={"verify_signature": False})
    base = attack.live.base_url
    for claims in (
        {"tenant": rival["tenant"]},
        {"sub": rival["sub"]},
        {"client_id": rival["client_id"]},
        {"sub": rival["sub"], "client_id": rival["client_id"]},
        {"iss": base + "/"},
        {"aud": base + "/"},
        {"aud": [base]},
        {"iss": base.upper()},
        {"aud": "https://other.example"},
        {"admin": True},
    ):
        attack.assert_refused(attack.forge.token(claims=claims))


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"[]", b"null", b"1", b'"text"', b"\xff", b"\xef\xbb\xbf{}", b"{}{}", b"{", b"NaN"], ids=repr
)
def test_row_27_a_payload_or_header_that_is_no_object_is_refused(attack: Attack, payload: bytes) -> None:
    attack.assert_refused(attack.forge.of_bytes(json.dumps(attack.forge.header).encode(), payload))
    attack.assert_refused(attack.forge.of_bytes(payload, json.dumps(attack.forge.claims).encode()))


def test_row_27_a_payload_in_utf_16_or_with_a_byte_order_mark_is_refused(attack: Attack) -> None:
    text = json.dumps(attack.forge.claims)
    for payload in (text.encode("utf-16"), text.encode("utf-8-sig"), text.encode() + b"\0", text.encode() + b",{}"):
        attack.assert_refused(attack.forge.of_bytes(json.dumps(attack.forge.header).encode(), payload))


@pytest.mark.parametrize(
    ("iat", "exp"), [(0, 901), (0, 10 * 365 * 86400), (3600, 4000), (-1000, 10), (0, 0), (10, 5), (0, 2**53), (-86400, 60)], ids=repr
)
def test_row_28_a_long_life_or_a_birth_in_the_future_is_refused(attack: Attack, iat: int, exp: int) -> None:
    attack.assert_refused(attack.forge.token(claims={"iat": moment(iat), "nbf": moment(), "exp": moment(exp)}))


def test_row_29_a_doubled_member_is_refused_wherever_it_stands(attack: Attack) -> None:
    header, claims = json.dumps(attack.forge.header), json.dumps(attack.forge.claims)
    for name, value in attack.forge.header.items():
        for other in (value, "other"):
            for doubled in (f'{header[:-1]},"{name}":{json.dumps(other)}}}', f'{{"{name}":{json.dumps(other)},{header[1:]}'):
                attack.assert_refused(attack.forge.of_bytes(doubled.encode(), claims.encode()))
    for name, value in attack.forge.claims.items():
        for other in (value, "other"):
            for doubled in (f'{claims[:-1]},"{name}":{json.dumps(other)}}}', f'{{"{name}":{json.dumps(other)},{claims[1:]}'):
                attack.assert_refused(attack.forge.of_bytes(header.encode(), doubled.encode()))
    escaped = f'{claims[:-1]},"\\u0073ub":"x"}}'
    attack.assert_refused(attack.forge.of_bytes(header.encode(), escaped.encode()))


@pytest.mark.parametrize("depth", [100, 400, 700])
def test_row_30_nesting_is_refused_and_does_no_harm(attack: Attack, depth: int) -> None:
    header, claims = json.dumps(attack.forge.header).encode(), json.dumps(attack.forge.claims).encode()
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        deep = (
            opening * depth + b"1" * (opening == b"[") + closing[-1:] * depth if opening == b"[" else opening * depth + b"1" + b"}" * depth
        )
        attack.assert_refused(attack.forge.of_bytes(deep, claims))
        attack.assert_refused(attack.forge.of_bytes(header, deep))
        attack.assert_refused(attack.forge.of_bytes(header[:-1] + b',"kid2":' + deep + b"}", claims))


@pytest.mark.parametrize("characters", [2049, 3000, 4096, 4097, 8000])
def test_row_30_a_token_over_2_kb_is_refused_though_rightly_signed(attack: Attack, characters: int) -> None:
    header, claims = json.dumps(attack.forge.header).encode(), json.dumps(attack.forge.claims).encode()
    padded = claims + b" " * (characters * 3 // 4)
    token = attack.forge.of_bytes(header, padded)
    assert len(token) > characters
    attack.assert_refused(token)


def test_row_30_a_token_of_1_mb_is_431(attack: Attack) -> None:
    assert attack.sent("a" * 1_000_000).status_code == 431


def test_row_31_exp_has_no_leeway_and_iat_and_nbf_have_5_s(attack: Attack) -> None:
    attack.assert_refused(attack.forge.token(claims={"iat": moment(-100), "nbf": moment(-100), "exp": moment(-1)}))
    attack.assert_refused(attack.forge.token(claims={"iat": moment(-100), "nbf": moment(-100), "exp": moment()}))
    assert attack.accepts(attack.forge.token(claims={"iat": moment(5), "nbf": moment(5), "exp": moment(300)}))
    for claim in ("iat", "nbf"):
        attack.assert_refused(attack.forge.token(claims={claim: moment(10), "exp": moment(300)}))


def test_row_31_a_remembered_token_ends_at_its_second(attack: Attack) -> None:
    ends_at = moment(2)
    token = attack.forge.token(claims={"iat": ends_at - 60, "nbf": ends_at - 60, "exp": ends_at})
    assert attack.accepts(token)
    wait_until(lambda: not attack.accepts(token))
    assert ends_at <= time.time() < ends_at + 1.0
    attack.assert_refused(token)


@pytest.mark.parametrize(
    "scope", ["predictions:create  models:read", " models:read", "models:read ", "MODELS:READ", "models:*", "*", "models:read,usage:read"]
)
def test_row_32_a_scope_that_is_no_clean_list_of_known_ones_is_refused(attack: Attack, scope: str) -> None:
    attack.assert_refused(attack.forge.token(claims={"scope": scope}))


def test_row_39_a_rightly_signed_token_cannot_do_more_than_its_key(attack: Attack) -> None:
    live = attack.live
    scopes = "account:read admin:read admin:write keys:manage metrics:read models:read predictions:create usage:read"
    wide = attack.forge.token(claims={"scope": scopes, "jti": "wide"})
    assert set(live.get("/account", wide).json()["key"]["scopes"]) == set(live.get("/account", attack.key).json()["key"]["scopes"])
    assert "failures" not in live.get("/health/ready", wide).json()
    narrow = attack.forge.token(claims={"scope": "models:read", "jti": "narrow"})
    assert live.get("/v1/models", narrow).status_code == 200
    assert live.get("/account", narrow).status_code == 403
    assert live.predict(narrow, instances(IRIS_ROW)).status_code == 403


def jwe(forge: Forge) -> str:
    return ".".join([b64(b'{"alg":"dir","enc":"A256GCM"}'), "", b64(b"iv"), b64(b"text"), b64(b"tag")])


def json_serialisation(forge: Forge) -> str:
    header, payload, signature = forge.segments()
    return json.dumps({"protected": header, "payload": payload, "signature": signature}, separators=(",", ":")) + "."


SHAPES: dict[str, Callable[[Forge], str]] = {
    "JWE": jwe,
    "JSON serialisation": json_serialisation,
    "dots": lambda _: "..",
    "one dot": lambda _: ".",
    "four parts": lambda forge: forge.token() + "." + b64(b"more"),
    "two tokens": lambda forge: f"{forge.token()},{forge.token()}",
    "two tokens with scheme": lambda forge: f"{forge.token()}, Bearer {forge.token()}",
    "empty header": lambda forge: "." + ".".join(forge.segments()[1:]),
    "empty payload": lambda forge: f"{forge.segments()[0]}..{forge.segments()[2]}",
    "parts exchanged": lambda forge: ".".join(forge.segments()[::-1]),
    "quoted": lambda forge: f'"{forge.token()}"',
    "digest": lambda forge: hashlib.sha256(forge.token().encode()).hexdigest() + ".",
}


@pytest.mark.parametrize("name", SHAPES)
def test_another_shape_than_three_parts_is_refused(attack: Attack, name: str) -> None:
    attack.assert_refused(SHAPES[name](attack.forge))


def revoke(live: Live, key: str, token: str) -> None:
    answer = live.client.post("/oauth/revoke", data={"client_id": key_id(key), "client_secret": key, "token": token})
    assert (answer.status_code, answer.content) == (200, b"")


def test_row_26_and_36_a_revoked_token_is_refused_within_a_second_and_so_is_its_twin(attack: Attack) -> None:
    live = attack.live
    token, unused = attack.forge.token(claims={"jti": "stopped"}), attack.forge.token(claims={"jti": "stopped-unused"})
    neighbour = attack.forge.token(claims={"jti": "going-on"})
    for good in (token, twin(token), neighbour):
        assert attack.accepts(good)
    revoke(live, attack.key, token)
    revoke(live, attack.key, twin(unused))
    assert wait_until(lambda: not attack.accepts(token)) < 1.0
    attack.live.caught_up()
    for dead in (token, twin(token), unused, twin(unused), attack.forge.token(claims={"jti": "stopped", "exp": moment(100)})):
        attack.assert_refused(dead)
    assert attack.accepts(neighbour)


def test_row_26_a_look_up_under_way_when_a_token_is_revoked_does_not_write_it_back(attack: Attack) -> None:
    door = attack.live.app.identity.authenticator
    token = attack.forge.token(claims={"jti": "in-flight"})
    generation = door.generation
    verified = door.look_up(token)
    revoke(attack.live, attack.key, token)
    wait_until(lambda: door.generation != generation)
    door.remember(token, verified, generation)
    assert door.recall(token) is None
    attack.assert_refused(token)


def test_row_38_tokens_of_a_retired_token_key_stop_within_a_second_and_are_refused_as_any_other(stage: Stage) -> None:
    with stage.serving() as live:
        key = stage.tenant("acme", "iris")
        token = issued(live, key)
        own = Attack(live, key, forge_of(live, token), public_pem_of(live, token))
        unused = own.forge.token(claims={"jti": "unused"})
        assert own.accepts(token)
        rotate_token_key(stage.database, ACTOR, seal_of(live), datetime.now(UTC), timedelta(0))
        wait_until(lambda: jwt.get_unverified_header(issued(live, key))["kid"] != own.forge.header["kid"])
        assert own.accepts(token)
        assert own.accepts(unused)
        retire_key_now(stage.database, ACTOR, own.forge.header["kid"], datetime.now(UTC))
        assert wait_until(lambda: not own.accepts(token)) < 1.0
        for dead in (token, unused, twin(token), own.forge.token(claims={"jti": "made-later"})):
            own.assert_refused(dead)
        assert own.accepts(issued(live, key))


def test_row_38_a_token_key_that_waits_to_sign_already_verifies(stage: Stage) -> None:
    with stage.serving() as live:
        key = stage.tenant("acme", "iris")
        issued(live, key)
        new = rotate_token_key(stage.database, ACTOR, seal_of(live), datetime.now(UTC), timedelta(hours=1))
        good = forge_of(live, issued(live, key))
        early = replace(good, private_pem=seal_of(live).open(new.kid, new.private_sealed), header=good.header | {"kid": new.kid})
        wait_until(lambda: live.get(PATH, early.token()).status_code == 200)


@pytest.mark.parametrize("value", ["Bearer", "Bearer ", "bearer", "Bearer \t", "Bearer  "], ids=repr)
def test_row_4_bearer_without_a_value_is_a_missing_credential(attack: Attack, value: str) -> None:
    with wire(attack.live.port) as connection:
        answer = connection.send(head(f"GET {PATH}", f"Authorization: {value}")).answer()
    assert (answer.status, answer.json()["code"]) == (401, "credential_missing")
    assert answer.header("www-authenticate") == 'Bearer realm="gatehouse"'


def test_row_5_a_token_in_the_query_a_cookie_or_a_form_is_a_missing_credential(attack: Attack) -> None:
    token = attack.forge.token()
    for query in (f"?access_token={token}", f"?token={token}", f"?api_key={token}", f"?authorization=Bearer%20{token}"):
        answer = attack.live.client.get(PATH + query)
        assert (answer.status_code, answer.json()["code"]) == (401, "credential_missing")
        assert token not in answer.text
    for answer in (
        attack.live.client.get(PATH, headers={"cookie": f"access_token={token}; token={token}"}),
        attack.live.client.post("/v1/predict", data={"access_token": token}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (401, "credential_missing")


@pytest.mark.parametrize("scheme", [b"bearer", b"BEARER", b"bEaReR"])
def test_a_scheme_in_another_case_is_accepted(attack: Attack, scheme: bytes) -> None:
    token = attack.forge.token().encode()
    assert attack.live.client.get(PATH, headers={b"authorization": scheme + b" " + token}).status_code == 200


def test_row_6_two_tokens_or_a_token_and_a_key_are_refused_in_both_orders(attack: Attack) -> None:
    token, key = attack.forge.token(), attack.key
    bearer, other = f"Authorization: Bearer {token}", f"Authorization: Bearer {key}"
    for fields in (
        (bearer, bearer),
        (bearer, other),
        (other, bearer),
        (bearer, f"X-API-Key: {key}"),
        (f"X-API-Key: {key}", bearer),
        (f"X-API-Key: {token}", bearer),
    ):
        with wire(attack.live.port) as connection:
            answer = connection.send(head(f"GET {PATH}", *fields)).answer()
        assert (answer.status, answer.json()["code"]) == (401, "credential_invalid")
        assert answer.body.replace(str(answer.header("x-request-id")).encode(), b"ID") == attack.refusal(UNKNOWN_KEY)[1]


@pytest.mark.parametrize("control", [b"\x00", b"\x01", b"\x0b", b"\x1f", b"\x7f", b"\r", b"\n"], ids=repr)
def test_a_control_character_in_a_token_is_400(attack: Attack, control: bytes) -> None:
    token = attack.forge.token().encode()
    for spoilt in (control + token, token[:50] + control + token[50:], token + control):
        with wire(attack.live.port) as connection:
            connection.send(b"GET " + PATH.encode() + b" HTTP/1.1\r\nHost: x.test\r\nAuthorization: Bearer " + spoilt + b"\r\n\r\n")
            assert connection.answer().status == 400


MUTATIONS: dict[str, Callable[[str, int, Forge], str]] = {
    "a bit of the text": lambda token, n, _: flipped(token, n),
    "a bit of a part": lambda token, n, _: in_part(token, n, lambda part: b64(flip(unb64(part), n))),
    "a byte less": lambda token, n, _: in_part(token, n, lambda part: b64(without(unb64(part), n))),
    "a character less": lambda token, n, _: token[: n % len(token)] + token[n % len(token) + 1 :],
    "a character more": lambda token, n, _: token[: n % len(token)] + DIGITS[n % 64] + token[n % len(token) :],
    "cut": lambda token, n, _: token[: n % len(token)],
    "another spelling of the last digit": lambda token, n, _: token[:-1] + DIGITS[DIGITS.index(token[-1]) + 1 + n % 15],
    "padded": lambda token, n, _: in_part(token, n, lambda part: part + "=" * (1 + n % 3)),
    "standard base64": lambda token, n, _: in_part(token, n, lambda part: base64.b64encode(unb64(part) + bytes(1 + n % 2)).decode()),
    "another spelling of the document": lambda token, n, _: in_part(token, n % 2, lambda part: b64(unb64(part) + b" " * (1 + n % 9))),
    "another part of a good token": lambda token, n, forge: swapped(token, forge.token(claims={"jti": f"other-{n}"}), n),
    "parts exchanged": lambda token, n, _: ".".join(turned(token.split("."), 1 + n % 2)),
    "signed by another": lambda token, n, forge: replace(forge, private_pem=STRANGER).of_segments(*token.split(".")[:2]),
}
STRANGER = new_pair()[0]


def flip(data: bytes, n: int) -> bytes:
    place, bit = divmod(n % (len(data) * 8), 8)
    return data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :]


def flipped(token: str, n: int) -> str:
    return flip(token.encode(), n).decode("latin-1")


def without(data: bytes, n: int) -> bytes:
    return data[: n % len(data)] + data[n % len(data) + 1 :]


def in_part(token: str, n: int, change: Callable[[str], str]) -> str:
    parts = token.split(".")
    parts[n % 3] = change(parts[n % 3])
    return ".".join(parts)


def turned(parts: list[str], by: int) -> list[str]:
    return parts[by:] + parts[:by]


def swapped(token: str, other: str, n: int) -> str:
    parts, others = token.split("."), other.split(".")
    parts[1 + n % 2] = others[1 + n % 2]
    return ".".join(parts)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(MUTATIONS)), st.integers(0, 100_000), st.booleans())
def test_rows_19_to_30_no_mutation_of_a_good_token_ever_passes(attack: Attack, name: str, n: int, warm: bool) -> None:
    door = attack.live.app.identity.authenticator
    token = attack.good
    if warm:
        door.remember(token, door.look_up(token), door.generation)
    mutated = MUTATIONS[name](token, n, attack.forge)
    assert mutated != token
    assert door.recall(mutated) is None
    with pytest.raises((CredentialInvalid, CredentialMalformed)):
        door.look_up(mutated)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(MUTATIONS)), st.integers(0, 100_000))
def test_rows_19_to_30_a_mutated_token_is_refused_on_the_wire(attack: Attack, name: str, n: int) -> None:
    mutated = MUTATIONS[name](attack.good, n, attack.forge)
    with wire(attack.live.port) as connection:
        fields = f"GET {PATH} HTTP/1.1\r\nHost: gatehouse.test\r\nAuthorization: Bearer {mutated}\r\n\r\n"
        answer = connection.send(fields.encode("latin-1")).answer()
    if "." in mutated and all(" " < character != "\x7f" for character in mutated):
        body = answer.body.replace(str(answer.header("x-request-id")).encode(), b"ID")
        assert (answer.status, body) == attack.refusal(UNKNOWN_KEY)[:2]
    else:
        assert answer.status in (400, 401)
