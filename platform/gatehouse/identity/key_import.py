"""Keys from a CSV file: `tenant`, and where wanted `name`, `scopes`, `expires_at` and `networks`. All of them are made, or none."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlmodel import Session

from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.revision import hold_revision, record_changes
from gatehouse.db.session import Database
from gatehouse.errors import Refused
from gatehouse.identity import import_store
from gatehouse.identity.api_keys import MintedKey, mint_key
from gatehouse.identity.import_lines import Faults, Line, read_lines
from gatehouse.identity.key_store import ApiKey
from gatehouse.identity.key_wishes import KeyWish, check_expiry, check_key_name, default_scopes, scopes_for
from gatehouse.identity.keys import facts_of_key
from gatehouse.identity.networks import parse_networks
from gatehouse.identity.peppers import Pepper
from gatehouse.identity.store import Tenant
from gatehouse.principal import Scope

NEEDED = ("tenant",)
OPTIONAL = ("name", "scopes", "expires_at", "networks")
STEPS = 4
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:Z|[+-][0-9]{2}:[0-9]{2}))?", re.ASCII)
_SCOPES = {scope.value: scope for scope in Scope}
Bounds = Callable[[Session, Sequence[ApiKey]], None]
"""Refuses keys that whoever asks may not give; runs within the transaction that makes them."""


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One key that is to be made, and where the file says so. `tenant` is an id or a name."""

    number: int
    tenant: str
    wish: KeyWish


@dataclass(frozen=True, slots=True)
class ImportedKey:
    """A new key with its text, which exists here and nowhere else."""

    key: ApiKey
    text: str

    def __repr__(self) -> str:
        return f"ImportedKey({self.key!r})"


@dataclass(frozen=True, slots=True)
class ImportedKeys:
    """How many lines can be made, and what was made of them: nothing where the import was only tried."""

    lines: int
    made: Sequence[ImportedKey] = ()


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A key before it has its id, and what was drawn for it."""

    tenant_id: str
    key: ApiKey
    minted: MintedKey


def no_bounds(_session: Session, _keys: Sequence[ApiKey]) -> None:
    """Whoever works at the deployment's shell gives what there is."""


def import_keys(
    database: Database,
    actor: Actor,
    source: bytes,
    pepper: Pepper,
    progress: Callable[[str], None],
    bounds: Bounds = no_bounds,
    *,
    dry_run: bool = False,
) -> ImportedKeys:
    """Make the keys of a file, or say whether they could be made. `progress` is told of each of STEPS.

    Raises ImportRefused, and what `bounds` raises.
    """
    progress("reading the file")
    now = datetime.now(UTC)
    lines = key_lines(read_lines(source, NEEDED, OPTIONAL), now)
    progress(f"comparing {len(lines):,} lines with what is there")
    with database.read() as session:  # before anybody has to wait: a file with faults holds up nobody
        tenants = checked_tenants(session, lines)
        wished = [_wished(line, tenants[line.tenant], pepper, now) for line in lines]
        bounds(session, wished)
    if dry_run:
        return ImportedKeys(len(lines))
    progress(f"drawing {len(lines):,} secrets")
    drawn = [_Drawn(tenants[line.tenant].id, key, mint_key(pepper.secret)) for line, key in zip(lines, wished, strict=True)]
    progress(f"writing {len(lines):,} keys")
    with database.write() as session:  # no tenant goes away, or changes its name, between the comparison and here
        hold_revision(session)
        bounds(session, wished)
        return ImportedKeys(len(lines), _written(session, actor, drawn))


def _written(session: Session, actor: Actor, drawn: Sequence[_Drawn]) -> list[ImportedKey]:
    made = [ImportedKey(replace(each.key, id=each.minted.id), each.minted.text) for each in drawn]
    rows = ((each.tenant_id, new.key, each.minted.digest) for each, new in zip(drawn, made, strict=True))
    import_store.add_keys(session, rows)
    record_changes(session, "key", [new.key.id for new in made])
    for new in made:
        record_audit(session, actor, "key.create", new.key.id, facts_of_key(new.key))
    return made


def key_lines(lines: Sequence[Line], now: datetime) -> list[KeyLine]:
    """What the cells say, by themselves. Raises ImportRefused."""
    faults, read = Faults(), list[KeyLine]()
    for line in lines:
        cells, wish = line.cells, KeyWish()
        with faults.of(line.number, "name"):
            name = cells["name"] or wish.name
            check_key_name(name)
        with faults.of(line.number, "scopes"):
            scopes = _scopes(cells["scopes"])
        with faults.of(line.number, "expires_at"):
            expires_at = _moment(cells["expires_at"])
            check_expiry(expires_at, now)
        with faults.of(line.number, "networks"):
            networks = parse_networks(cells["networks"].split())
        if not faults.count:
            read.append(KeyLine(line.number, cells["tenant"], KeyWish(name, scopes, expires_at, networks=networks)))
    faults.check()
    return read


def checked_tenants(session: Session, lines: Sequence[KeyLine]) -> Mapping[str, Tenant]:
    """The tenants that the lines refer to. Raises ImportRefused for one that there is not, or whose keys cannot have such scopes."""
    tenants = import_store.referred_tenants(session, (line.tenant for line in lines))
    faults = Faults()
    for line in lines:
        tenant = tenants.get(line.tenant)
        if tenant is None:
            faults.add(line.number, "tenant", "there is no such tenant")
        elif line.wish.scopes is not None:
            with faults.of(line.number, "scopes"):
                scopes_for(tenant.name, line.wish.scopes)
    faults.check()
    return tenants


def _wished(line: KeyLine, tenant: Tenant, pepper: Pepper, now: datetime) -> ApiKey:
    wish = line.wish
    return ApiKey(
        id="",
        tenant=tenant.name,
        name=wish.name,
        scopes=default_scopes(tenant) if wish.scopes is None else frozenset(wish.scopes),
        requests=None,
        rows=None,
        created_at=now,
        expires_at=wish.expires_at,
        revoked_at=None,
        networks=wish.networks,
        pepper_version=pepper.version,
    )


def _scopes(cell: str) -> frozenset[Scope] | None:
    texts = cell.split()
    if not set(texts) <= _SCOPES.keys():
        raise Refused(f"names a scope that there is not; write blanks between scopes, of {', '.join(_SCOPES)}")
    return frozenset(_SCOPES[text] for text in texts) or None


def _moment(cell: str) -> datetime | None:
    if not cell:
        return None
    try:
        if _MOMENT.fullmatch(cell):
            moment = datetime.fromisoformat(cell)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # no such day or hour, or one that is none in UTC
        pass
    raise Refused("must be a moment such as 2027-06-30T00:00:00Z, or a day such as 2027-06-30, which begins in UTC")
