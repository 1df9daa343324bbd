"""A key's life on both databases: rotated, edited and bounded by the key that asks, all of it numbered and audited."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from forge import new_pair
from sqlmodel import Session, col, select

from gatehouse.db.audit import Actor
from gatehouse.db.revision import changes_since
from gatehouse.db.session import Database
from gatehouse.db.tables import AuditTable
from gatehouse.errors import BeyondOwnKey, CredentialInvalid, Refused, ScopeMissing
from gatehouse.identity import keys, leaks, tenants
from gatehouse.identity.api_keys import digest, key_id_of, mint_key
from gatehouse.identity.key_store import Redigest, StoredKey, StoredSecret, find_key
from gatehouse.identity.key_wishes import KeyWish, WishRefused
from gatehouse.identity.keys import CreatedKey, KeyNotUsable, NoSuchKey
from gatehouse.identity.minters import Minter
from gatehouse.identity.networks import parse_networks
from gatehouse.identity.peppers import Pepper, Peppers
from gatehouse.identity.plans import edit_plan
from gatehouse.identity.proof import Prover
from gatehouse.identity.revocation import revoke_token
from gatehouse.identity.tokens import SigningKey, TokenIssuer, TokenVerifier
from gatehouse.principal import TENANT_SCOPES, Rate, Scope

ALICE = Actor("os-user:alice", "cli")
LEAD = Actor("key:lead", "192.0.2.1")
PEPPER = Pepper(b"pepper of the tests, long enough")
NEW = Pepper(b"the pepper that comes after that", 2)
SOON = datetime.now(UTC) + timedelta(days=1)
PRIVATE, PUBLIC = new_pair()
ISSUER = TokenIssuer("https://gatehouse.test", SigningKey("kid1", PRIVATE))
VERIFIER = TokenVerifier("https://gatehouse.test", {"kid1": PUBLIC})


class Unused:
    """The last uses of keys are not of interest here."""

    def note(self, key_id: str, at: float) -> None: ...

    def renew(self, redigest: Redigest) -> None: ...


def nowhere(_: str) -> Any:
    raise AssertionError("it is read within the transaction")


PROVER = Prover(nowhere, nowhere, nowhere, nowhere, Peppers({1: PEPPER.secret}), VERIFIER, Unused(), time.time, lambda: True)


def known(_session: Session) -> Mapping[str, frozenset[str]]:
    return {}


@pytest.fixture
def acme(database: Database) -> Database:
    tenants.create_tenant(database, ALICE, "acme", known)
    tenants.create_tenant(database, ALICE, "other", known)
    return database


def made(database: Database, **wish: Any) -> CreatedKey:
    return keys.create_key(database, ALICE, wish.pop("tenant", "acme"), PEPPER, KeyWish(**wish))


def minter(database: Database, **wish: Any) -> Minter:
    return Minter(PROVER, made(database, **{"scopes": TENANT_SCOPES} | wish).text, "10.1.2.3")


def by_token(database: Database, lead: Minter, *, scopes: frozenset[Scope] = TENANT_SCOPES, jti: str = "jti1") -> Minter:
    """The same caller by an access token of its key."""
    principal, now = stored(database, id_of(lead)).principal, int(time.time())
    token = ISSUER.issue(tenant_id=principal.tenant_id, key_id=principal.key_id, scopes=scopes, jti=jti, now=now, expires_at=now + 900)
    return replace(lead, credential=token)


def id_of(lead: Minter) -> str:
    return key_id_of(lead.credential)


def stored(database: Database, key_id: str) -> StoredKey:
    with database.read() as session:
        found = find_key(session, key_id)
    assert found is not None
    return found


def audited(database: Database, key_id: str) -> list[tuple[str, str, str, dict[str, Any]]]:
    with database.read() as session:
        rows = session.exec(select(AuditTable).where(AuditTable.subject == key_id).order_by(col(AuditTable.id)))
        return [(row.actor, row.source, row.action, json.loads(row.detail)) for row in rows]


def changes(database: Database) -> list[tuple[str, str]]:
    with database.read() as session:
        return [(change.kind, change.id) for change in changes_since(session, 0)]


def test_a_rotation_keeps_the_key_and_the_secret_from_before_until_the_grace_ends(acme: Database) -> None:
    first = made(acme, name="nightly", requests=Rate(2, 1, 4), networks=parse_networks(["10.0.0.0/8"]))
    second = keys.rotate_key(acme, ALICE, first.key.id, NEW, timedelta(hours=1))
    same = {"id", "tenant", "name", "scopes", "requests", "rows", "created_at", "expires_at", "networks"}
    assert all(getattr(first.key, name) == getattr(second.key, name) for name in same)
    found = stored(acme, first.key.id)
    assert (found.digest, found.pepper_version) == (digest(second.text, NEW.secret), 2)
    assert found.previous == StoredSecret(digest(first.text, PEPPER.secret), 1)
    assert found.rotated_at is not None
    assert found.grace_ends_at == found.rotated_at + timedelta(hours=1)
    assert first.text != second.text
    assert first.text[:22] == second.text[:22]


def test_row_13_a_rotation_is_dated_by_the_clock_of_the_database_and_behind_the_wait_for_its_turn(
    acme: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ahead(datetime):
        """The clock of the machine from which a key is rotated."""

        @classmethod
        def now(cls, tz: Any = None) -> "Ahead":
            return cls.fromtimestamp(time.time() + 3600, tz)

    key, order = made(acme).key, []
    for name in ("hold_revision", "database_now"):
        before = getattr(keys, name)
        monkeypatch.setattr(keys, name, lambda session, name=name, before=before: (order.append(name), before(session))[1])
    monkeypatch.setattr(keys, "datetime", Ahead)
    rotated = keys.rotate_key(acme, ALICE, key.id, PEPPER, timedelta(0)).key
    assert rotated.rotated_at is not None
    assert abs(rotated.rotated_at.timestamp() - time.time()) < 60
    assert rotated.grace_ends_at == rotated.rotated_at
    assert order == ["hold_revision", "database_now"]


def test_a_second_rotation_ends_the_oldest_secret_and_none_is_kept_without_a_grace(acme: Database) -> None:
    first = made(acme)
    second = keys.rotate_key(acme, ALICE, first.key.id, PEPPER)
    third = keys.rotate_key(acme, ALICE, first.key.id, PEPPER)
    found = stored(acme, first.key.id)
    assert found.previous == StoredSecret(digest(second.text, PEPPER.secret), 1)
    assert found.digest == digest(third.text, PEPPER.secret)
    assert found.previous_since == second.key.rotated_at
    keys.rotate_key(acme, ALICE, first.key.id, PEPPER, timedelta(0))
    found = stored(acme, first.key.id)
    assert (found.previous, found.previous_since) == (None, None)


def test_row_13_a_token_of_the_oldest_secret_ends_with_the_second_rotation(acme: Database) -> None:
    lead = minter(acme)
    principal, now = stored(acme, id_of(lead)).principal, int(time.time()) - 60
    token = ISSUER.issue(
        tenant_id=principal.tenant_id, key_id=principal.key_id, scopes=TENANT_SCOPES, jti="jti1", now=now, expires_at=now + 900
    )
    with acme.read() as session:
        assert PROVER.within(session).prove(token, "10.1.2.3").principal.key_id == id_of(lead)
    keys.rotate_key(acme, ALICE, id_of(lead), PEPPER)
    with acme.read() as session:
        assert PROVER.within(session).prove(token, "10.1.2.3").principal.key_id == id_of(lead)
    keys.rotate_key(acme, ALICE, id_of(lead), PEPPER)
    with acme.read() as session, pytest.raises(CredentialInvalid):
        PROVER.within(session).prove(token, "10.1.2.3")


def test_row_49_who_did_what_to_a_key_from_where_is_written_down(acme: Database) -> None:
    lead = minter(acme)
    key = keys.create_key(acme, LEAD, "acme", PEPPER, KeyWish(), lead).key
    keys.edit_key(acme, LEAD, key.id, lambda before: replace(before, name="weekly"), lead)
    keys.edit_key(acme, LEAD, key.id, lambda before: before, lead)
    keys.rotate_key(acme, LEAD, key.id, PEPPER, minter=lead)
    keys.revoke_key(acme, LEAD, key.id, lead)
    keys.revoke_key(acme, LEAD, key.id, lead)
    written = audited(acme, key.id)
    assert [entry[:3] for entry in written] == [
        ("key:lead", "192.0.2.1", action) for action in ("key.create", "key.edit", "key.rotate", "key.revoke")
    ]
    edit = written[1][3]
    assert (edit["before"]["name"], edit["after"]["name"]) == ("default", "weekly")
    assert changes(acme).count(("key", key.id)) == 4


@pytest.mark.parametrize("grace", [timedelta(seconds=-1), timedelta(days=30, seconds=1)])
def test_a_grace_is_0_to_30_days(acme: Database, grace: timedelta) -> None:
    with pytest.raises(Refused, match="0 to 30 days"):
        keys.rotate_key(acme, ALICE, made(acme).key.id, PEPPER, grace)


def test_a_key_that_is_over_is_neither_edited_nor_rotated(acme: Database) -> None:
    revoked = made(acme).key
    keys.revoke_key(acme, ALICE, revoked.id)
    for act in (lambda: keys.rotate_key(acme, ALICE, revoked.id, PEPPER), lambda: keys.edit_key(acme, ALICE, revoked.id, lambda key: key)):
        with pytest.raises(KeyNotUsable, match="revoked since"):
            act()
    for act in (lambda: keys.rotate_key(acme, ALICE, "nope", PEPPER), lambda: keys.show_key(acme, revoked.id, of="other")):
        with pytest.raises(NoSuchKey):
            act()


@pytest.mark.parametrize(
    ("change", "member"),
    [
        ({"name": "Not A Name"}, "name"),
        ({"scopes": frozenset()}, "scopes"),
        ({"scopes": frozenset({Scope.ADMIN_READ})}, "scopes"),
        ({"expires_at": datetime(2001, 1, 1, tzinfo=UTC)}, "expires_at"),
        ({"requests": Rate(6, 1, 6)}, "requests"),
        ({"rows": Rate(1, 1, 1001)}, "rows"),
    ],
)
def test_an_edit_is_judged_like_a_new_key(acme: Database, change: dict[str, Any], member: str) -> None:
    key = made(acme).key
    with pytest.raises(WishRefused) as refused:
        keys.edit_key(acme, ALICE, key.id, lambda before: replace(before, **change))
    assert refused.value.member == member
    assert keys.show_key(acme, key.id) == key


def test_what_an_edit_leaves_is_not_judged_again(acme: Database) -> None:
    key = made(acme, requests=Rate(5, 1, 20)).key
    edit_plan(acme, ALICE, "trial", lambda plan: replace(plan, requests=Rate(1, 1, 1)))
    assert keys.edit_key(acme, ALICE, key.id, lambda before: replace(before, name="other")).name == "other"


BOUNDS: dict[str, Any] = {
    "scopes": frozenset({Scope.KEYS_MANAGE, Scope.MODELS_READ}),
    "networks": parse_networks(["10.0.0.0/8", "2001:db8::/32"]),
    "expires_at": SOON,
    "requests": Rate(2, 1, 4),
    "rows": Rate(10, 1, 20),
}
WIDER: list[tuple[str, dict[str, Any]]] = [
    ("scopes", {"scopes": frozenset({Scope.MODELS_READ, Scope.PREDICTIONS_CREATE})}),
    ("networks", {"networks": parse_networks(["11.0.0.0/8"])}),
    ("networks", {"networks": parse_networks(["10.1.0.0/16", "0.0.0.0/0"])}),
    ("expires_at", {"expires_at": SOON + timedelta(seconds=1)}),
    ("requests", {"requests": Rate(3, 1, 4)}),
    ("requests", {"requests": Rate(2, 1, 5)}),
    ("rows", {"rows": Rate(601, 60, 20)}),
]


@pytest.mark.parametrize(("member", "wider"), WIDER, ids=lambda value: str(value) if isinstance(value, str) else "")
def test_row_47_a_minter_gives_nothing_that_it_has_not(acme: Database, member: str, wider: dict[str, Any]) -> None:
    bound = minter(acme, **BOUNDS)
    before = len(keys.list_keys(acme))
    own = {"scopes": frozenset({Scope.MODELS_READ})}
    kept = keys.create_key(acme, LEAD, "acme", PEPPER, KeyWish(**own), bound).key
    for act in (
        lambda: keys.create_key(acme, LEAD, "acme", PEPPER, KeyWish(**own | wider), bound),
        lambda: keys.edit_key(acme, LEAD, kept.id, lambda key: replace(key, **wider), bound),
    ):
        with pytest.raises(BeyondOwnKey) as refused:
            act()
        assert refused.value.members == {"member": member}
    assert len(keys.list_keys(acme)) == before + 1
    assert keys.show_key(acme, kept.id) == kept


@pytest.mark.parametrize("taken_away", [{"networks": ()}, {"expires_at": None}, {"requests": None}, {"rows": None}], ids=str)
def test_row_47_a_minter_takes_away_no_bound_that_it_has_itself(acme: Database, taken_away: dict[str, Any]) -> None:
    bound = minter(acme, **BOUNDS)
    with pytest.raises(BeyondOwnKey):
        keys.edit_key(acme, LEAD, id_of(bound), lambda key: replace(key, **taken_away), bound)


def test_row_47_a_minter_takes_over_no_key_that_is_more_than_itself(acme: Database) -> None:
    bound = minter(acme, scopes=frozenset({Scope.KEYS_MANAGE}))
    strong = made(acme).key
    acts: list[Callable[[], object]] = [
        lambda: keys.rotate_key(acme, LEAD, strong.id, PEPPER, minter=bound),
        lambda: keys.edit_key(acme, LEAD, strong.id, lambda key: replace(key, name="mine"), bound),
        lambda: keys.edit_key(acme, LEAD, strong.id, lambda key: replace(key, scopes=frozenset({Scope.KEYS_MANAGE})), bound),
    ]
    for act in acts:
        with pytest.raises(BeyondOwnKey):
            act()
    assert keys.show_key(acme, strong.id) == strong
    assert keys.revoke_key(acme, LEAD, strong.id, bound).revoked_at is not None, "ending one gives nobody anything"


def test_row_47_a_token_gives_no_more_scopes_than_it_was_narrowed_to(acme: Database) -> None:
    full = minter(acme)
    narrowed = by_token(acme, full, scopes=frozenset({Scope.KEYS_MANAGE}))
    keys.create_key(acme, LEAD, "acme", PEPPER, KeyWish(), full)
    keys.create_key(acme, LEAD, "acme", PEPPER, KeyWish(), by_token(acme, full))
    with pytest.raises(BeyondOwnKey):
        keys.create_key(acme, LEAD, "acme", PEPPER, KeyWish(), narrowed)


def test_row_12_a_key_that_made_itself_a_moment_ago_is_bound_by_what_it_is_now(acme: Database) -> None:
    lead = minter(acme)
    keys.edit_key(acme, ALICE, id_of(lead), lambda key: replace(key, scopes=frozenset({Scope.KEYS_MANAGE})))
    with pytest.raises(BeyondOwnKey):
        keys.create_key(acme, LEAD, "acme", PEPPER, KeyWish(), lead)


def over(database: Database) -> dict[str, tuple[type[Exception], Minter]]:
    """Minters whose credential was good when their call began, and is not any more."""
    revoked, rotated, twice, elsewhere, narrowed = (minter(database) for _ in range(5))
    old_token, own_token = by_token(database, rotated), by_token(database, twice, jti="revoked")
    keys.revoke_key(database, ALICE, id_of(revoked))
    keys.rotate_key(database, ALICE, id_of(rotated), PEPPER, timedelta(0))
    revoke_token(database, VERIFIER.verify(own_token.credential, time.time()), time.time(), ALICE)
    for _ in range(2):
        keys.rotate_key(database, ALICE, id_of(twice), PEPPER)
    keys.edit_key(database, ALICE, id_of(elsewhere), lambda key: replace(key, networks=parse_networks(["192.0.2.0/24"])))
    keys.edit_key(database, ALICE, id_of(narrowed), lambda key: replace(key, scopes=frozenset({Scope.MODELS_READ})))
    suspended = Minter(PROVER, made(database, tenant="other", scopes=TENANT_SCOPES).text, "10.1.2.3")
    tenants.suspend_tenant(database, ALICE, "other")
    gone = {"revoked": revoked, "rotated": rotated, "old_token": old_token, "twice": twice, "revoked_token": own_token}
    gone |= {"elsewhere": elsewhere, "suspended": suspended, "unknown": Minter(PROVER, mint_key(PEPPER.secret).text, "10.1.2.3")}
    return {name: (CredentialInvalid, each) for name, each in gone.items()} | {"narrowed": (ScopeMissing, narrowed)}


@pytest.mark.parametrize(
    "why", ["revoked", "rotated", "old_token", "twice", "revoked_token", "elsewhere", "suspended", "unknown", "narrowed"]
)
def test_row_12_36_37_and_39_a_minter_whose_credential_is_over_does_nothing_more(acme: Database, why: str) -> None:
    other = made(acme, scopes=frozenset({Scope.MODELS_READ})).key
    error, gone = over(acme)[why]
    acts: list[Callable[[], object]] = [
        lambda: keys.create_key(acme, LEAD, "acme", PEPPER, KeyWish(scopes=frozenset({Scope.MODELS_READ})), gone),
        lambda: keys.edit_key(acme, LEAD, other.id, lambda key: replace(key, name="x"), gone),
        lambda: keys.rotate_key(acme, LEAD, other.id, PEPPER, minter=gone),
        lambda: keys.revoke_key(acme, LEAD, other.id, gone),
    ]
    before = keys.list_keys(acme)
    for act in acts:
        with pytest.raises(error):
            act()
    assert keys.list_keys(acme) == before


def test_row_13_a_minter_whose_key_or_grace_ends_while_it_asks_does_nothing_more(acme: Database) -> None:
    clock = datetime.now(UTC)
    ending, rotated = minter(acme, expires_at=clock + timedelta(hours=1)), minter(acme)
    keys.rotate_key(acme, ALICE, id_of(rotated), PEPPER, timedelta(hours=1))
    for each in (ending, rotated):
        own = KeyWish(expires_at=clock + timedelta(minutes=1))
        keys.create_key(acme, LEAD, "acme", PEPPER, own, each)
        later = replace(each, prover=replace(PROVER, now=lambda: time.time() + 3601))
        with pytest.raises(CredentialInvalid):
            keys.create_key(acme, LEAD, "acme", PEPPER, own, later)


def test_row_10_what_is_printed_of_a_minter_holds_no_credential(acme: Database) -> None:
    lead = minter(acme)
    assert lead.credential[22:-6] not in repr(lead)


def test_row_41_a_minter_reaches_no_key_of_another_tenant(acme: Database) -> None:
    lead, foreign = minter(acme), made(acme, tenant="other").key
    acts: list[Callable[[], object]] = [
        lambda: keys.edit_key(acme, LEAD, foreign.id, lambda key: replace(key, name="x"), lead),
        lambda: keys.rotate_key(acme, LEAD, foreign.id, PEPPER, minter=lead),
        lambda: keys.revoke_key(acme, LEAD, foreign.id, lead),
    ]
    for act in acts:
        with pytest.raises(NoSuchKey):
            act()
    assert keys.show_key(acme, foreign.id) == foreign


def test_the_newest_keys_come_first_and_no_more_than_asked_for(acme: Database) -> None:
    mine = [made(acme).key for _ in range(4)]
    made(acme, tenant="other")
    tenant_id = stored(acme, mine[0].id).principal.tenant_id
    assert keys.newest_keys(acme, tenant_id, 3) == mine[:0:-1]


def test_a_leaked_secret_whose_grace_has_ended_revokes_nothing(acme: Database) -> None:
    first = made(acme)
    rotated = keys.rotate_key(acme, ALICE, first.key.id, PEPPER, timedelta(milliseconds=30)).key
    while datetime.now(UTC) <= (rotated.grace_ends_at or SOON):
        pass
    peppers = Peppers({1: PEPPER.secret})
    assert leaks.identify_key(acme, first.text, peppers).secret == "ended"
    with pytest.raises(Refused, match="was rotated away and opens nothing any more"):
        leaks.revoke_leaked_key(acme, ALICE, first.text, peppers)
    with pytest.raises(Refused, match="its pepper is not in the settings, nothing was revoked"):
        leaks.revoke_leaked_key(acme, ALICE, made(acme).text, Peppers({2: NEW.secret}))
    assert all(key.revoked_at is None for key in keys.list_keys(acme))
