"""The well-known documents: who has no credential can prove our tokens and find where to get one."""

import time

import jwt
import pytest
from jwt import PyJWKSet
from stage import ACTOR, Live, Stage, token_of, wait_until
from wire import head, wire

from gatehouse.db.clock import database_now
from gatehouse.identity.sealing import Seal
from gatehouse.identity.token_keys import rotate_token_key
from gatehouse.principal import TENANT_SCOPES

KEYS = "/.well-known/jwks.json"
METADATA = "/.well-known/oauth-authorization-server"


def test_row_38_the_key_set_holds_public_members_only_and_a_stranger_proves_a_token_by_it(live: Live) -> None:
    answer = live.get(KEYS)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["cache-control"] == "public, max-age=5"
    (key,) = answer.json()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert (key["kty"], key["crv"], key["use"], key["alg"]) == ("EC", "P-256", "sig", "ES256")
    token = token_of(live, live.stage.tenant("acme", "iris"))
    found = PyJWKSet.from_dict(answer.json())[jwt.get_unverified_header(token)["kid"]]
    issuer = live.get(METADATA).json()["issuer"]
    assert jwt.decode(token, found, algorithms=["ES256"], audience=issuer, issuer=issuer)["tenant"].startswith("ten_")


def test_row_38_a_new_key_is_published_before_it_signs(stage: Stage) -> None:
    with stage.serving() as live:
        key = stage.tenant("acme", "iris")
        before = token_of(live, key)
        with stage.database.read() as session:
            now = database_now(session)
        new = rotate_token_key(stage.database, ACTOR, Seal(stage.values["GATEHOUSE_SECRET_KEY"].encode()), now)

        def kids() -> list[str]:
            return [each["kid"] for each in live.get(KEYS).json()["keys"]]

        assert wait_until(lambda: new.kid in kids()) < 1.0
        assert len(kids()) == 2
        assert jwt.get_unverified_header(token_of(live, key))["kid"] == jwt.get_unverified_header(before)["kid"]
        assert time.time() < new.signs_from.timestamp(), "else this proves nothing"


def test_the_metadata_names_what_there_is(live: Live) -> None:
    answer = live.get(METADATA)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["cache-control"] == "public, max-age=3600"
    base = live.base_url
    assert answer.json() == {
        "issuer": base,
        "token_endpoint": f"{base}/oauth/token",
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "revocation_endpoint": f"{base}/oauth/revoke",
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "jwks_uri": f"{base}/.well-known/jwks.json",
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "scopes_supported": sorted(TENANT_SCOPES),
        "service_documentation": f"{base}/docs",
    }
    for name in ("jwks_uri", "service_documentation"):
        assert live.client.get(answer.json()[name]).status_code == 200
    for name in ("token_endpoint", "revocation_endpoint"):
        assert live.client.post(answer.json()[name]).status_code == 400, "it is there"


def test_row_80_its_urls_start_with_the_public_url_whatever_the_host_header_says(stage: Stage) -> None:
    with stage.serving(public_url="https://api.example.org/ml/", docs="off") as live:
        for path in (METADATA, KEYS):
            with wire(live.port) as connection:
                answer = connection.send(f"GET {path} HTTP/1.1\r\nHost: evil.invalid\r\n\r\n".encode()).answer()
            assert answer.status == 200
            assert b"evil" not in answer.body
        document = live.get(METADATA).json()
    assert document["issuer"] == "https://api.example.org/ml"
    assert document["token_endpoint"] == "https://api.example.org/ml/oauth/token"
    assert "service_documentation" not in document


@pytest.mark.parametrize("path", [KEYS, METADATA])
def test_both_are_public_for_get_and_head_alone_and_ignore_a_credential(live: Live, path: str) -> None:
    key = live.stage.key("acme") if live.stage.issued else live.stage.tenant("acme", "iris")
    for credential in (None, key, "gate_wrong"):
        assert live.get(path, credential).json() == live.get(path).json()
    assert live.client.head(path).status_code == 200
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer = live.client.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    with wire(live.port) as connection:
        assert connection.send(head(f"GET {path}?access_token=x")).answer().status == 200
