"""Tenants from a CSV file: `name`, and where wanted `plan` and `models` (blanks between them). All of them are made, or none."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlmodel import Session

from gatehouse.db.audit import Actor
from gatehouse.db.revision import hold_revision, record_changes
from gatehouse.db.session import Database
from gatehouse.identity import import_store, store
from gatehouse.identity.import_lines import Faults, Line, read_lines
from gatehouse.identity.names import check_name
from gatehouse.identity.store import Grant, Tenant
from gatehouse.identity.tenants import DEFAULT_PLAN, Granted, KnownModels, audit_new_tenant, new_tenant

NEEDED = ("name",)
OPTIONAL = ("plan", "models")
MOST_GRANTS = 50_000
"""Of one file: each is a row, for which others wait too."""
Progress = Callable[[str], None]
STEPS = 3


@dataclass(frozen=True, slots=True)
class TenantLine:
    """One tenant that is to be made, and where the file says so."""

    number: int
    name: str
    plan: str
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImportedTenants:
    """How many lines can be made, and what was made of them: nothing where the import was only tried."""

    lines: int
    made: Sequence[Granted] = ()


def import_tenants(
    database: Database, actor: Actor, source: bytes, known_models: KnownModels, progress: Progress, *, dry_run: bool = False
) -> ImportedTenants:
    """Make the tenants of a file, or say whether they could be made. `progress` is told of each of STEPS. Raises ImportRefused."""
    progress("reading the file")
    lines = tenant_lines(read_lines(source, NEEDED, OPTIONAL))
    progress(f"comparing {len(lines):,} lines with what is there")
    with database.read() as session:  # before anybody has to wait: a file with faults holds up nobody
        check_lines(session, lines, known_models)
    if dry_run:
        return ImportedTenants(len(lines))
    now = datetime.now(UTC)
    made = [_granted(line, now) for line in lines]
    progress(f"writing {len(lines):,} tenants")
    with database.write() as session:
        hold_revision(session)
        check_lines(session, lines, known_models)
        _write(session, actor, made)
    return ImportedTenants(len(lines), made)


def tenant_lines(lines: Sequence[Line]) -> list[TenantLine]:
    """What the cells say, by themselves. Raises ImportRefused."""
    faults, first = Faults(), dict[str, int]()
    for line in lines:
        name = line.cells["name"]
        with faults.of(line.number, "name"):
            check_name("tenant", name)
            if first.setdefault(name, line.number) != line.number:
                faults.add(line.number, "name", f"stands in line {first[name]} already")
    faults.check()
    read = [
        TenantLine(line.number, line.cells["name"], line.cells["plan"] or DEFAULT_PLAN, tuple(dict.fromkeys(line.cells["models"].split())))
        for line in lines
    ]
    _check_grants(read)
    return read


def _check_grants(lines: Sequence[TenantLine]) -> None:
    grants, faults = 0, Faults()
    for line in lines:
        grants += len(line.models)
        if grants > MOST_GRANTS:
            faults.add(line.number, "models", f"a file gives at most {MOST_GRANTS:,} grants: divide it here")
            break
    faults.check()


def check_lines(session: Session, lines: Sequence[TenantLine], known_models: KnownModels) -> None:
    """Compare with what is there. Raises ImportRefused."""
    plans = {plan.name for plan in store.list_plans(session)}
    models: Collection[str] = known_models(session)
    taken = import_store.taken_names(session, (line.name for line in lines))
    faults = Faults()
    for line in lines:
        if line.name in taken:
            faults.add(line.number, "name", "there is a tenant of this name already")
        if line.plan not in plans:
            faults.add(line.number, "plan", "there is no such plan")
        if not set(line.models) <= set(models):
            faults.add(line.number, "models", "names a model that there is not; write blanks between models")
    faults.check()


def _write(session: Session, actor: Actor, made: Sequence[Granted]) -> None:
    """One row of the audit trail for each tenant: a row for each grant would keep all others waiting three times as long."""
    import_store.add_tenants(session, (each.tenant for each in made))
    import_store.add_grants(session, ((each.tenant.id, grant) for each in made for grant in each.grants))
    record_changes(session, "tenant", [each.tenant.id for each in made])
    for each in made:
        audit_new_tenant(session, actor, each.tenant, [grant.model for grant in each.grants])


def _granted(line: TenantLine, now: datetime) -> Granted:
    tenant: Tenant = new_tenant(line.name, line.plan, line.models[0] if line.models else None, now)
    return Granted(tenant, [Grant(line.name, model, None, now) for model in line.models], changed=True)
