"""Authentication: the same steps for every failure, nothing remembered that has changed, nothing open while the database is gone."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from forge import Forge, new_pair, twin
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gatehouse.db.revision import EVERYTHING, Change
from gatehouse.errors import CredentialInvalid, CredentialMalformed, IdentityUnavailable
from gatehouse.identity import api_keys, proof, service
from gatehouse.identity.api_keys import MintedKey, checksum, mint_key
from gatehouse.identity.key_store import Redigest, StoredKey, StoredSecret, StoredSecrets
from gatehouse.identity.networks import parse_networks
from gatehouse.identity.peppers import Peppers
from gatehouse.identity.proof import CredentialEnded
from gatehouse.identity.service import Authenticator
from gatehouse.identity.tokens import TokenVerifier
from gatehouse.principal import DEFAULT_KEY_SCOPES, Plan, Principal, Rate, Scope

PEPPER = b"a pepper of the tests"
ISSUER = "https://gatehouse.test"
NOW = 1_800_000_000
STALE_AFTER_S = 300
PRIVATE, PUBLIC = new_pair()
PLAN = Plan("trial", Rate(5, 1, 20), Rate(1000, 1, 1000), 10_000, "hard", 1000, 2**20)
GONE = OperationalError("SELECT", {}, Exception("no connection"))


@dataclass
class Store:
    """The database as authentication sees it, which counts what it is asked."""

    keys: dict[str, StoredKey] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)
    fails: Exception | None = None

    def add(self, tenant_id: str = "ten_1", plan: Plan = PLAN, **wish: Any) -> MintedKey:
        minted = mint_key(PEPPER)
        principal = Principal(tenant_id, tenant_id, minted.id, DEFAULT_KEY_SCOPES, plan)
        facts = {"expires_at": None, "revoked_at": None, "tenant_suspended": False} | wish
        self.keys[minted.id] = StoredKey(minted.digest, 1, principal=principal, **facts)
        return minted

    def change(self, key: MintedKey, **facts: Any) -> None:
        self.keys[key.id] = replace(self.keys[key.id], **facts)

    def find_secrets(self, key_id: str) -> StoredSecrets | None:
        stored = self.find(key_id)
        return stored and StoredSecrets(stored.digest, stored.pepper_version, stored.previous)

    def find(self, key_id: str) -> StoredKey | None:
        self.asked.append(key_id)
        if self.fails:
            raise self.fails
        return self.keys.get(key_id)


@dataclass
class Uses:
    """What authentication leaves behind, kept as it comes."""

    noted: list[tuple[str, float]] = field(default_factory=list)
    renewed: list[Redigest] = field(default_factory=list)

    def note(self, key_id: str, at: float) -> None:
        self.noted.append((key_id, at))

    def renew(self, redigest: Redigest) -> None:
        self.renewed.append(redigest)


@dataclass
class Clock:
    now: float = NOW
    monotonic: float = 50.0


@pytest.fixture
def database() -> Store:
    return Store()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def uses() -> Uses:
    return Uses()


@pytest.fixture
def door(database: Store, clock: Clock, uses: Uses) -> Authenticator:
    return Authenticator(
        database.find_secrets,
        database.find,
        lambda person_id: None,
        Peppers({1: PEPPER}),
        TokenVerifier(ISSUER, {"kid1": PUBLIC}),
        lambda jti: jti in database.revoked,
        uses,
        stale_after_s=STALE_AFTER_S,
        now=lambda: clock.now,
        monotonic=lambda: clock.monotonic,
    )


def admit(door: Authenticator, text: str) -> Principal:
    """What admission does."""
    known = door.recall(text)
    if known is not None:
        return known
    generation = door.generation
    try:
        verified = door.look_up(text)
    except CredentialEnded as ended:
        door.remember_ended(text, ended, generation)
        raise
    door.remember(text, verified, generation)
    return verified.principal


def refusal(door: Authenticator, text: str) -> str:
    """The inner reason of a refusal."""
    with pytest.raises((CredentialInvalid, CredentialMalformed)) as refused:
        admit(door, text)
    return refused.value.reason


def with_other_secret(key: MintedKey) -> str:
    body = key.text[:22] + mint_key(PEPPER).text[22:-6]
    return body + checksum(body)


def token_of(key: MintedKey, **claims: Any) -> str:
    usual = {"iss": ISSUER, "aud": ISSUER, "sub": key.id, "client_id": key.id, "tenant": "ten_1", "scope": "models:read"}
    times = {"jti": "jti1", "iat": NOW, "nbf": NOW, "exp": NOW + 600}
    return Forge(PRIVATE, {"alg": "ES256", "typ": "at+jwt", "kid": "kid1"}, usual | times | claims).token()


def test_a_good_key_is_looked_up_once_and_then_known(door: Authenticator, database: Store) -> None:
    key = database.add()
    first = admit(door, key.text)
    assert (first.key_id, first.tenant_id) == (key.id, "ten_1")
    assert [admit(door, key.text) for _ in range(3)] == [first] * 3
    assert database.asked == [key.id] * 2, "once for its secrets, once for the rest"


def test_row_8_an_unknown_id_and_a_wrong_secret_take_the_same_steps(
    door: Authenticator, database: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[str, int]] = []
    digest, same = api_keys.digest, api_keys.same_digest

    def counted_digest(text: str, pepper: bytes) -> bytes:
        steps.append(("hmac", len(text)))
        return digest(text, pepper)

    def counted_compare(left: bytes, right: bytes) -> bool:
        steps.append(("compare", len(left) + len(right)))
        return same(left, right)

    monkeypatch.setattr(api_keys, "digest", counted_digest)
    monkeypatch.setattr(api_keys, "same_digest", counted_compare)
    known = database.add()
    unknown = mint_key(PEPPER).text
    taken = []
    for text, reason in ((unknown, "key_unknown"), (with_other_secret(known), "key_secret_wrong")):
        steps.clear()
        database.asked.clear()
        assert refusal(door, text) == reason
        taken.append((len(database.asked), tuple(steps)))
    both_places = (("hmac", len(unknown)), ("compare", 64)) * 2
    assert taken[0] == taken[1] == (1, both_places)
    # the state of a key is told only to who has its secret: the refusal before it never reaches the state
    database.change(known, revoked_at=datetime.now(UTC))
    assert refusal(door, with_other_secret(known)) == "key_secret_wrong"


def test_row_8_an_unknown_key_cannot_be_made_to_match_the_empty_digest(
    database: Store, monkeypatch: pytest.MonkeyPatch, door: Authenticator
) -> None:
    monkeypatch.setattr(api_keys, "digest", lambda *_: bytes(32))
    assert refusal(door, mint_key(PEPPER).text) == "key_unknown"


def test_row_11_a_wrong_checksum_costs_neither_look_up_nor_hash(
    door: Authenticator, database: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = database.add().text

    def unreachable(*_: object) -> bytes:
        raise AssertionError("hashed")

    monkeypatch.setattr(api_keys, "digest", unreachable)
    for text in (key[:-1] + ("0" if key[-1] != "0" else "1"), key[:-1], key + "0", "gate_", "x", "é" * 70, "gate_" + "\ud800" * 65):
        assert refusal(door, text) == "key_malformed"
    assert database.asked == []


def test_a_bad_token_costs_no_look_up(door: Authenticator, database: Store) -> None:
    key = database.add()
    for text in ("a.b.c", ".", token_of(key)[:-2], token_of(key, exp=NOW), token_of(key, aud="other")):
        assert refusal(door, text).startswith("token_")
    assert database.asked == []


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"revoked_at": datetime.fromtimestamp(NOW - 1, UTC)}, "key_revoked"),
        ({"tenant_suspended": True}, "tenant_suspended"),
        ({"expires_at": datetime.fromtimestamp(NOW, UTC)}, "key_expired"),
        ({"expires_at": datetime.fromtimestamp(NOW - 1, UTC)}, "key_expired"),
    ],
)
def test_row_3_a_dead_keys_refusals_differ_in_the_log_alone(
    door: Authenticator, database: Store, facts: dict[str, Any], reason: str
) -> None:
    key = database.add(**facts)
    for text in (key.text, token_of(key)):
        with pytest.raises(CredentialInvalid) as refused:
            admit(door, text)
        assert refused.value.reason == reason
        assert (refused.value.detail, refused.value.headers, refused.value.members) == (CredentialInvalid.meaning, (), {})


def test_a_token_of_another_tenants_or_an_unknown_key_is_refused(door: Authenticator, database: Store) -> None:
    key = database.add("ten_2")
    assert refusal(door, token_of(key)) == "token_key_unknown"
    assert refusal(door, token_of(mint_key(PEPPER))) == "token_key_unknown"


def test_row_39_a_token_has_the_scopes_that_key_and_token_share(door: Authenticator, database: Store) -> None:
    key = database.add()
    assert admit(door, token_of(key, scope="admin:read models:read")).scopes == {Scope.MODELS_READ}
    assert admit(door, token_of(key, scope="admin:read")).scopes == frozenset()


def test_row_13_a_known_key_ends_at_its_moment(door: Authenticator, database: Store, clock: Clock) -> None:
    key = database.add(expires_at=datetime.fromtimestamp(NOW + 10, UTC))
    admit(door, key.text)
    asked = len(database.asked)
    clock.now = NOW + 9.999
    admit(door, key.text)
    clock.now = NOW + 10
    assert refusal(door, key.text) == "credential_expired"
    assert len(database.asked) == asked


@pytest.mark.parametrize(("key_ends", "token_ends"), [(10, 600), (600, 10)])
def test_a_known_token_ends_with_itself_or_its_key(
    door: Authenticator, database: Store, clock: Clock, key_ends: int, token_ends: int
) -> None:
    key = database.add(expires_at=datetime.fromtimestamp(NOW + key_ends, UTC))
    token = token_of(key, exp=NOW + token_ends)
    admit(door, token)
    clock.now = NOW + 9.999
    admit(door, token)
    clock.now = NOW + 10
    assert refusal(door, token) == "credential_expired"


def test_row_26_what_is_remembered_is_the_whole_text(door: Authenticator, database: Store) -> None:
    key = database.add()
    token = token_of(key)
    admit(door, token)
    asked = len(database.asked)
    for other in (twin(token), token + "A", token[:-1], token + " ", key.text):
        assert door.recall(other) is None
    assert len(database.asked) == asked
    database.change(key, revoked_at=datetime.now(UTC))
    door.forget([Change(1, "key", key.id)])
    for dead in (token, twin(token), key.text):
        assert refusal(door, dead) == "key_revoked"


ENDS: dict[str, dict[str, Any]] = {
    "key_revoked": {"revoked_at": datetime.fromtimestamp(NOW - 1, UTC)},
    "key_expired": {"expires_at": datetime.fromtimestamp(NOW - 1, UTC)},
    "tenant_suspended": {"tenant_suspended": True},
}


@pytest.mark.parametrize("reason", ENDS)
def test_a_key_that_has_ended_is_refused_from_memory_until_something_changes(door: Authenticator, database: Store, reason: str) -> None:
    key = database.add(**ENDS[reason])
    token = token_of(key)
    assert refusal(door, key.text) == refusal(door, token) == reason
    asked = len(database.asked)
    assert refusal(door, key.text) == refusal(door, token) == reason
    assert len(database.asked) == asked
    door.forget([Change(1, "tenant", "another")])
    assert refusal(door, key.text) == reason
    assert len(database.asked) > asked
    database.change(key, expires_at=None, revoked_at=None, tenant_suspended=False)
    door.forget([Change(2, "tenant", "ten_1")])
    assert admit(door, key.text).key_id == key.id


def test_a_revoked_token_is_refused_from_memory_and_its_key_is_not(door: Authenticator, database: Store) -> None:
    key = database.add()
    token = token_of(key, jti="stolen")
    database.revoked.add("stolen")
    assert refusal(door, token) == "token_revoked"
    asked = len(database.asked)
    assert refusal(door, token) == "token_revoked"
    assert len(database.asked) == asked
    assert admit(door, key.text).key_id == key.id


def test_row_8_nothing_is_remembered_of_a_wrong_secret_so_that_no_time_tells_which_ids_exist(door: Authenticator, database: Store) -> None:
    wrong, unknown = with_other_secret(database.add()), mint_key(PEPPER).text
    for text in (wrong, unknown):
        first = (refusal(door, text), len(database.asked))
        asked = len(database.asked)
        assert refusal(door, text) == first[0]
        assert len(database.asked) > asked


def test_an_end_that_was_read_before_a_change_is_not_written_back(door: Authenticator, database: Store) -> None:
    key = database.add(tenant_suspended=True)
    generation = door.generation
    with pytest.raises(CredentialEnded) as ended:
        door.look_up(key.text)
    database.change(key, tenant_suspended=False)
    door.forget([Change(1, "tenant", "ten_1")])
    door.remember_ended(key.text, ended.value, generation)
    assert admit(door, key.text).key_id == key.id


def test_ends_are_not_told_from_memory_when_changes_have_not_been_seen_for_too_long(
    door: Authenticator, database: Store, clock: Clock
) -> None:
    key = database.add(**ENDS["key_revoked"])
    refusal(door, key.text)
    clock.monotonic += STALE_AFTER_S + 1
    asked = len(database.asked)
    assert refusal(door, key.text) == "key_revoked"
    assert len(database.asked) > asked


def test_so_many_ends_are_remembered_and_the_oldest_goes_first(
    door: Authenticator, database: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MAX_ENDED", 2)
    keys = [database.add(**ENDS["key_revoked"]) for _ in range(3)]
    for key in keys:
        refusal(door, key.text)
    asked = len(database.asked)
    assert [refusal(door, key.text) for key in keys[1:]] == ["key_revoked"] * 2
    assert len(database.asked) == asked
    refusal(door, keys[0].text)
    assert len(database.asked) > asked


def test_memory_holds_no_credential(door: Authenticator, database: Store) -> None:
    key = database.add()
    admit(door, key.text)
    assert key.text[22:] not in repr(vars(door))
    assert key.text.encode() not in door._remembered


@pytest.mark.parametrize(
    ("kind", "id_of"),
    [("key", lambda key: key.id), ("tenant", lambda _: "ten_1"), ("grant", lambda _: "ten_1"), ("plan", lambda _: "trial")],
    ids=["key", "tenant", "grant", "plan"],
)
def test_row_12_a_change_drops_what_it_touches_with_its_tokens_and_nothing_else(
    door: Authenticator, database: Store, kind: Any, id_of: Any
) -> None:
    touched, other = database.add(), database.add("ten_2", replace(PLAN, name="standard"))
    texts = [touched.text, token_of(touched), token_of(touched, jti="jti2")]
    for text in (*texts, other.text):
        admit(door, text)
    door.forget([Change(1, kind, "unknown")])
    assert all(door.recall(text) is not None for text in (*texts, other.text))
    door.forget([Change(2, kind, id_of(touched))])
    assert [door.recall(text) for text in texts] == [None] * 3
    assert door.recall(other.text) is not None


def test_changes_of_another_kind_drop_nothing(door: Authenticator, database: Store) -> None:
    key = database.add()
    admit(door, key.text)
    before = door.generation
    door.forget([])
    door.forget([Change(1, "endpoint", "iris/v1"), Change(2, "endpoint", key.id)])
    assert door.recall(key.text) is not None
    assert door.generation == before


@pytest.mark.parametrize("kind", ["key", "tenant", "grant", "plan"])
def test_row_26_a_look_up_under_way_when_something_changes_is_not_written_back(door: Authenticator, database: Store, kind: Any) -> None:
    key = database.add()
    generation = door.generation
    old = door.look_up(key.text)  # has read, has not been remembered
    database.change(key, revoked_at=datetime.now(UTC))
    door.forget([Change(1, kind, {"key": key.id, "plan": "trial"}.get(kind, "ten_1"))])
    door.remember(key.text, old, generation)
    assert door.recall(key.text) is None
    assert refusal(door, key.text) == "key_revoked"


def test_after_a_gap_everything_is_forgotten_also_what_is_under_way(door: Authenticator, database: Store) -> None:
    key, under_way = database.add(), database.add()
    admit(door, key.text)
    generation = door.generation
    verified = door.look_up(under_way.text)
    door.forget([EVERYTHING])
    door.remember(under_way.text, verified, generation)
    assert (door.recall(key.text), door.recall(under_way.text)) == (None, None)


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first(
    door: Authenticator, database: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MAX_REMEMBERED", 3)
    keys = [database.add() for _ in range(5)]
    for key in keys:
        admit(door, key.text)
    assert [door.recall(key.text) is not None for key in keys] == [False, False, True, True, True]
    door.remember(keys[4].text, door.look_up(keys[4].text), door.generation)
    assert [door.recall(key.text) is not None for key in keys] == [False, False, True, True, True], "one that is known takes no new place"


@pytest.mark.parametrize("failure", [GONE, PoolTimeout()], ids=["connection", "pool"])
def test_row_100_without_the_database_known_credentials_go_on_for_a_bound_and_unknown_ones_are_never_refused(
    door: Authenticator, database: Store, clock: Clock, failure: Exception
) -> None:
    known, unknown = database.add(), database.add()
    token = token_of(known)
    admit(door, known.text)
    admit(door, token)
    database.fails = failure
    clock.monotonic += STALE_AFTER_S
    for text in (known.text, token):
        assert admit(door, text).key_id == known.id
    for text in (unknown.text, token_of(unknown), mint_key(PEPPER).text):
        with pytest.raises(IdentityUnavailable) as unavailable:
            admit(door, text)
        assert unavailable.value.status == 503
        assert int(dict(unavailable.value.headers)["Retry-After"]) > 0
    clock.monotonic += 0.001
    for text in (known.text, token):
        with pytest.raises(IdentityUnavailable):
            admit(door, text)
    door.confirm()
    assert admit(door, known.text).key_id == known.id


def test_row_100_what_nobody_needs_a_database_to_refuse_is_refused_without_it(door: Authenticator, database: Store, clock: Clock) -> None:
    database.fails = GONE
    assert refusal(door, "gate_x") == "key_malformed"
    assert refusal(door, token_of(database.add(), exp=NOW - 1)) == "token_expired"


def rotated(database: Store, key: MintedKey, pepper: bytes = PEPPER, *, grace_s: float, at: float = NOW) -> MintedKey:
    """A new secret of a key, since `at`."""
    fresh = mint_key(pepper, key_id=key.id)
    before = database.keys[key.id]
    facts = {"rotated_at": datetime.fromtimestamp(at, UTC), "grace_ends_at": datetime.fromtimestamp(at + grace_s, UTC)}
    previous = StoredSecret(before.digest, before.pepper_version) if grace_s else None
    database.change(key, digest=fresh.digest, pepper_version=1, previous=previous, **facts)
    return fresh


def test_row_13_both_secrets_work_in_the_grace_and_the_old_one_not_after(door: Authenticator, database: Store, clock: Clock) -> None:
    key = database.add()
    admit(door, key.text)
    fresh = rotated(database, key, grace_s=60)
    for known in (True, False):  # the old one by heart, then looked up; the new one looked up, then by heart
        clock.now = NOW + 59.999
        assert {admit(door, text).key_id for text in (key.text, fresh.text)} == {key.id}
        if known:
            door.forget([Change(1, "key", key.id)])
    clock.now = NOW + 60
    assert refusal(door, key.text) == "credential_expired"
    door.forget([Change(2, "key", key.id)])
    assert refusal(door, key.text) == "key_secret_rotated"
    assert admit(door, fresh.text).key_id == key.id
    again = rotated(database, key, grace_s=60, at=NOW + 61)
    third = rotated(database, key, grace_s=60, at=NOW + 62)
    door.forget([Change(3, "key", key.id)])
    clock.now = NOW + 63
    assert [refusal(door, text) for text in (key.text, fresh.text)] == ["key_secret_wrong"] * 2, "two rotations ago"
    assert {admit(door, text).key_id for text in (again.text, third.text)} == {key.id}


@pytest.mark.parametrize("state", ["unknown", "wrong", "wrong in grace", "right", "previous", "previous ended", "other pepper"])
def test_row_8_every_state_of_a_key_takes_the_same_steps_for_who_has_no_secret_of_it(
    door: Authenticator, database: Store, clock: Clock, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = database.add()
    text = key.text if "wrong" not in state else with_other_secret(key)
    if state == "unknown":
        text = mint_key(PEPPER).text
    if "grace" in state or "previous" in state:
        rotated(database, key, grace_s=60, at=NOW - (120 if "ended" in state else 0))
    if state == "other pepper":
        database.change(key, pepper_version=9)
    steps: list[str] = []
    digest, same = api_keys.digest, api_keys.same_digest
    monkeypatch.setattr(api_keys, "digest", lambda *given: (steps.append("hmac"), digest(*given))[1])
    monkeypatch.setattr(api_keys, "same_digest", lambda *given: (steps.append("compare"), same(*given))[1])
    if state in ("right", "previous"):
        door.look_up(text)
    else:
        refusal(door, text)
    readings = 2 if text == key.text and state != "other pepper" else 1  # the rest of the key is read for who proves a secret of it
    assert (database.asked, steps) == ([api_keys.key_id_of(text)] * readings, ["hmac", "compare"] * 2 * readings)


@pytest.mark.parametrize("grace_s", [0, 60, 86_400])
def test_a_token_got_by_the_secret_before_never_outlives_the_grace(
    door: Authenticator, database: Store, clock: Clock, grace_s: int
) -> None:
    key = database.add()
    before, same_second = token_of(key, iat=NOW - 5, nbf=NOW - 5), token_of(key, iat=NOW, nbf=NOW, jti="jti2")
    fresh = rotated(database, key, grace_s=grace_s, at=NOW + 0.5)
    clock.now = NOW + 0.6
    proven = door.look_up(fresh.text)
    assert proven.issued_from == NOW + 1, "what the new secret gets is dated behind the rotation, so that nobody takes it for older"
    after = token_of(key, iat=proven.issued_from, nbf=proven.issued_from, exp=NOW + 601, jti="jti3")
    for text in (before, same_second):
        if grace_s:
            assert door.look_up(text).expires_at == min(NOW + 600, NOW + 0.5 + grace_s)
        else:
            assert refusal(door, text) == "key_secret_rotated"
    assert door.look_up(after).expires_at == NOW + 601
    if grace_s:
        assert door.look_up(key.text).expires_at == NOW + 0.5 + grace_s, "which is the end of every token got by it"


def test_row_13_a_second_rotation_ends_the_tokens_of_the_oldest_secret_and_no_others(
    door: Authenticator, database: Store, clock: Clock
) -> None:
    key = database.add()
    oldest = token_of(key, iat=NOW - 5, nbf=NOW - 5)
    second = rotated(database, key, grace_s=60, at=NOW + 0.5)
    by_second = token_of(key, iat=NOW + 1, nbf=NOW + 1, exp=NOW + 601, jti="jti2")
    clock.now = NOW + 2
    assert door.look_up(oldest).expires_at == NOW + 60.5
    database.change(key, previous_since=database.keys[key.id].rotated_at)
    rotated(database, second, grace_s=86_400, at=NOW + 10.5)
    clock.now = NOW + 11
    assert refusal(door, oldest) == "key_secret_rotated"
    assert door.look_up(by_second).expires_at == NOW + 601


def test_a_bound_key_and_its_tokens_are_used_from_its_networks_alone(door: Authenticator, database: Store) -> None:
    key = database.add()
    principal = replace(database.keys[key.id].principal, networks=parse_networks(["10.0.0.0/8", "2001:db8::/32"]))
    database.change(key, principal=principal)
    for text in (key.text, token_of(key)):
        for _ in ("looked up", "by heart"):
            for address in ("192.0.2.1", "", "2001:db9::1"):
                with pytest.raises(CredentialInvalid) as refused:
                    door.recall(text, address) or door.look_up(text, address)
                assert refused.value.reason == "network_not_allowed"
                assert (refused.value.detail, refused.value.headers, refused.value.members) == (CredentialInvalid.meaning, (), {})
            generation = door.generation
            verified = door.look_up(text, "10.1.2.3")
            door.remember(text, verified, generation)
            assert [door.recall(text, address) for address in ("::ffff:10.9.9.9", "2001:db8::7")] == [verified.principal] * 2


def test_a_key_that_is_not_bound_costs_no_look_at_the_address(
    door: Authenticator, database: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = database.add()
    admit(door, key.text)

    def unreachable(*_: object) -> bool:
        raise AssertionError("looked at")

    monkeypatch.setattr(proof, "contains", unreachable)
    assert door.recall(key.text, "no address at all") is not None


def test_a_use_is_noted_whether_looked_up_or_by_heart_and_by_token_and_never_when_refused(
    door: Authenticator, database: Store, clock: Clock, uses: Uses
) -> None:
    key = database.add()
    for text in (key.text, token_of(key)):
        admit(door, text)
        clock.now += 1
        admit(door, text)
    assert uses.noted == [(key.id, NOW), (key.id, NOW + 1), (key.id, NOW + 1), (key.id, NOW + 2)]
    dead = database.add(revoked_at=datetime.fromtimestamp(NOW, UTC))
    for text in (dead.text, with_other_secret(key), mint_key(PEPPER).text):
        refusal(door, text)
    assert len(uses.noted) == 4


NEXT_PEPPER = b"the pepper that comes after"


@pytest.fixture
def renewed(door: Authenticator) -> Authenticator:
    """With a second pepper, which is the current one."""
    door.prover = replace(door.prover, peppers=Peppers({2: NEXT_PEPPER, 1: PEPPER}))
    return door


def test_row_106_a_key_under_an_older_pepper_works_and_moves_to_the_current_one(
    renewed: Authenticator, database: Store, uses: Uses, clock: Clock
) -> None:
    key = database.add()
    fresh = rotated(database, key, grace_s=60)
    for text in (key.text, fresh.text):
        admit(renewed, text)
        admit(renewed, text)
    assert [(moved.before.digest, moved.after) for moved in uses.renewed] == [
        (each.digest, StoredSecret(api_keys.digest(each.text, NEXT_PEPPER), 2)) for each in (key, fresh)
    ]
    database.change(key, digest=uses.renewed[1].after.digest, pepper_version=2)
    renewed.forget([EVERYTHING])
    admit(renewed, fresh.text)
    assert len(uses.renewed) == 2, "once moved it stays"


def test_row_106_a_process_of_the_old_settings_moves_nothing_back(door: Authenticator, database: Store, uses: Uses) -> None:
    key = database.add()
    database.change(key, digest=api_keys.digest(key.text, NEXT_PEPPER), pepper_version=2)
    assert refusal(door, key.text) == "key_pepper_unknown"
    door.prover = replace(door.prover, peppers=Peppers({1: PEPPER, 2: NEXT_PEPPER}))
    admit(door, key.text)
    assert uses.renewed == []


def test_a_refused_key_is_not_moved(renewed: Authenticator, database: Store, uses: Uses) -> None:
    for facts in ({"revoked_at": datetime.fromtimestamp(NOW, UTC)}, {"tenant_suspended": True}):
        refusal(renewed, database.add(**facts).text)
    assert uses.renewed == []


def test_row_8_what_stands_behind_a_key_is_read_only_for_who_has_its_secret(door: Authenticator, database: Store) -> None:
    key = database.add()
    assert refusal(door, with_other_secret(key)) == "key_secret_wrong"
    assert database.asked == [key.id]


def test_a_secret_that_is_rotated_away_between_the_two_readings_opens_nothing(
    door: Authenticator, database: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = database.add()
    find = database.find

    def rotated(key_id: str) -> StoredKey | None:
        database.change(key, digest=bytes(32))
        return find(key_id)

    monkeypatch.setattr(door, "prover", replace(door.prover, find_key=rotated))
    with pytest.raises(CredentialInvalid):
        door.look_up(key.text)


def test_rows_26_and_36_a_revoked_token_and_its_twin_are_dropped_and_nothing_else_is(door: Authenticator, database: Store) -> None:
    key = database.add()
    token, other = token_of(key), token_of(key, jti="jti2")
    for credential in (key.text, token, twin(token), other):
        admit(door, credential)
    database.revoked.add("jti1")
    asked = len(database.asked)
    door.forget([Change(1, "token", "jti1")])
    assert {admit(door, credential).key_id for credential in (key.text, other)} == {key.id}
    assert len(database.asked) == asked, "both are still known by heart"
    assert {refusal(door, dead) for dead in (token, twin(token), token_of(key, exp=NOW + 300))} == {"token_revoked"}


def test_row_26_a_look_up_under_way_when_its_token_is_revoked_is_not_remembered(door: Authenticator, database: Store) -> None:
    token = token_of(database.add())
    generation = door.generation
    verified = door.look_up(token)
    door.forget([Change(1, "token", "jti1")])
    door.remember(token, verified, generation)
    assert door.recall(token) is None


def test_row_38_a_changed_token_key_drops_the_tokens_that_it_has_signed(door: Authenticator, database: Store) -> None:
    key = database.add()
    token = token_of(key)
    for credential in (key.text, token):
        admit(door, credential)
    door.forget([Change(1, "token_key", "kid2")])
    assert door.recall(token) is not None
    door.forget([Change(2, "token_key", "kid1")])
    assert door.recall(token) is None
    assert door.recall(key.text) is not None


def test_row_38_a_token_of_an_unknown_key_is_503_once_the_newest_keys_may_have_been_missed(
    door: Authenticator, database: Store, clock: Clock
) -> None:
    token = Forge(PRIVATE, {"alg": "ES256", "typ": "at+jwt", "kid": "new"}, {}).token()
    clock.monotonic += service.TOKEN_KEYS_FRESH_S
    assert refusal(door, token) == "token_kid"
    clock.monotonic += 0.1
    with pytest.raises(IdentityUnavailable):
        admit(door, token)
    assert refusal(door, token_of(database.add(), exp=NOW)) == "token_expired", "of a known one nothing is in doubt"
    door.confirm()
    assert refusal(door, token) == "token_kid"


@pytest.mark.parametrize("error", [GONE, PoolTimeout()], ids=lambda error: type(error).__name__)
def test_row_100_whether_a_token_is_revoked_is_never_guessed(
    door: Authenticator, database: Store, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    token = token_of(database.add())

    def gone(*_: object) -> bool:
        raise error

    for prover in (replace(door.prover, token_revoked=gone), replace(door.prover, verifier=type("Gone", (), {"verify": gone})())):
        with monkeypatch.context() as patch:
            patch.setattr(door, "prover", prover)
            with pytest.raises(IdentityUnavailable):
                admit(door, token)
    admit(door, token)
