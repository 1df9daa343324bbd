"""What a call's credential costs with 1,000,000 keys stored, against 1,000: a thousand tenants calling in turn, warm and cold.

.venv/bin/python scripts/bench/many_keys.py
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import event, insert

from gatehouse.db.migrate import upgrade
from gatehouse.db.session import Database, open_database
from gatehouse.db.tables import ApiKeyTable, GrantTable, TenantTable
from gatehouse.identity.api_keys import mint_key
from gatehouse.identity.key_store import StoredKey, StoredSecrets, find_key, find_secrets
from gatehouse.identity.peppers import Peppers
from gatehouse.identity.service import Authenticator
from gatehouse.identity.tokens import TokenVerifier
from gatehouse.identity.uses import KeyUses

TENANTS = 1_000
MANY = 1_000_000
BATCH = 20_000
ROUNDS = 15
PEPPER = b"the pepper of the bench, long enough"
NOW = datetime.now(UTC)
ADDRESS = "192.0.2.1"


@dataclass(frozen=True)
class Deployment:
    """A database with its keys, of which one a tenant calls, and a process that knows none of them yet."""

    database: Database
    texts: list[str]
    process: Authenticator
    uses: KeyUses


def deployment(file: Path, stored: int) -> Deployment:
    """`stored` keys of a thousand tenants."""
    database = open_database(f"sqlite:///{file}")
    upgrade(database)
    texts: list[str] = []
    with database.write() as session:
        tenants = [{"id": f"ten_{n:016}", "name": f"t{n}", "plan": "standard", "created_at": NOW} for n in range(TENANTS)]
        session.execute(insert(TenantTable), tenants)
        session.execute(
            insert(GrantTable), [{"tenant_id": each["id"], "model": "iris", "api_version": "*", "created_at": NOW} for each in tenants]
        )
    for rows in batches(stored, texts):
        with database.write() as session:
            session.connection().execute(insert(ApiKeyTable), rows)
    uses = KeyUses(database)
    return Deployment(database, texts, process_of(database, uses), uses)


def batches(stored: int, texts: list[str]) -> Iterator[list[dict[str, object]]]:
    """Rows of keys. The first of each tenant is a real one; the others have ids as random and digests that nobody needs."""
    usual = {"name": "default", "scopes": "predictions:create", "pepper_version": 1, "created_at": NOW}
    for start in range(0, stored, BATCH):
        rows: list[dict[str, object]] = []
        for n in range(start, min(start + BATCH, stored)):
            tenant = {"tenant_id": f"ten_{n % TENANTS:016}"}
            if n < TENANTS:
                key = mint_key(PEPPER)
                texts.append(key.text)
                rows.append(usual | tenant | {"id": key.id, "digest": key.digest})
            else:
                rows.append(usual | tenant | {"id": scattered(n), "digest": n.to_bytes(32, "big")})
        yield rows


def scattered(n: int) -> str:
    """Sixteen characters that lie all over the index, as random ids do."""
    return f"{n * 0x9E3779B97F4A7C15 % 2**64:016x}"


def process_of(database: Database, uses: KeyUses) -> Authenticator:
    def secrets(key_id: str) -> StoredSecrets | None:
        with database.read() as session:
            return find_secrets(session, key_id)

    def whole(key_id: str) -> StoredKey | None:
        with database.read() as session:
            return find_key(session, key_id)

    no_token = TokenVerifier("bench", {})
    return Authenticator(secrets, whole, Peppers({1: PEPPER}), no_token, lambda _jti: False, uses, stale_after_s=3600)


def cold(of: Deployment) -> None:
    """Each key looked up and remembered."""
    for text in of.texts:
        generation = of.process.generation
        of.process.remember(text, of.process.look_up(text, ADDRESS), generation)


def warm(of: Deployment) -> None:
    """Each key known."""
    for text in of.texts:
        assert of.process.recall(text, ADDRESS) is not None


def in_turns(step: Callable[[Deployment], None], few: Deployment, many: Deployment) -> tuple[float, float, float]:
    """Microseconds a call with few and many keys stored, and the median of the ratios of each pair of rounds."""
    pairs = []
    for turn in range(ROUNDS):
        order = (few, many) if turn % 2 else (many, few)
        taken = {id(of): clocked(step, of) for of in order}
        pairs.append((taken[id(few)], taken[id(many)]))
    one, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    return one, other, statistics.median(after / before for before, after in pairs)


def clocked(step: Callable[[Deployment], None], of: Deployment) -> float:
    begun = time.process_time()
    step(of)
    return (time.process_time() - begun) / len(of.texts) * 1e6


@contextmanager
def counted(of: Deployment) -> Iterator[list[str]]:
    """The statements that reach the database meanwhile."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        seen.append(statement)

    event.listen(of.database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(of.database.engine, "before_cursor_execute", note)


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        begun = time.monotonic()
        few, many = (deployment(Path(name) / f"{stored}.db", stored) for stored in (TENANTS, MANY))
        print(f"{TENANTS:,} and {MANY:,} keys stored in {time.monotonic() - begun:.0f} s")
        for what, step, most in (("cold look-up", cold, 1.2), ("warm", warm, 1.1)):
            for each in (few, many):  # what a first round alone pays
                step(each)
            with counted(many) as seen:
                one, other, ratio = in_turns(step, few, many)
            statements = len(seen) / ROUNDS / TENANTS
            print(f"{what:14} {one:8.2f} µs  {other:8.2f} µs  ratio {ratio:5.3f} (at most {most})  {statements:.0f} statements a call")
        for each in (few, many):
            each.uses.close()
            each.database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
