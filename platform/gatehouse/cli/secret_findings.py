"""What is found of each secret: how strong it is, and whether the database needs more than is set, or less. None is ever said."""

from collections.abc import Iterator, Mapping

from gatehouse.cli.finding import Finding
from gatehouse.cli.secret_change import ONE_BY_ONE
from gatehouse.cli.secret_needs import needed_versions, opened_by
from gatehouse.cli.secret_settings import KEY_PEPPER, SECRET_KEY, SECRETS, VersionedSecret, weakness
from gatehouse.db.audit_chain import AuditTrailUnfit, check_trail
from gatehouse.db.audit_keys import AuditKeys
from gatehouse.db.session import Database
from gatehouse.settings import Settings, is_example

LISTED = 5
"""So many things are named that a secret does not open."""
AUDIT_TRAIL = "audit trail"
RANDOM = "set 32 or more random characters, for example the output of: openssl rand -base64 32"


def strength_findings(in_file: Mapping[str, str], above: Mapping[str, str]) -> Iterator[Finding]:
    """Each secret, as the file and above it the environment set it."""
    for name in SECRETS:
        value = above.get(name) or in_file.get(name, "")
        wrong = weakness(value) if value else "is not set"
        if wrong:
            remedy = f"gatehouse secrets create --only {name} --write" if not value or is_example(value) else RANDOM
            yield Finding(name, "problem", f"it {wrong}: no server starts", remedy)
        elif name in in_file and name in above:
            yield Finding(name, "warning", "the file and the environment set it, and the environment wins", "take it out of one of them")
        else:
            yield Finding(name, "ok", "it is strong")


def needed_version_findings(settings: Settings, database: Database) -> Iterator[Finding]:
    """What is wrong, or left to do, with versions of secrets; nothing where each is set that is needed, and no other."""
    for secret in SECRETS.values():
        if isinstance(secret, VersionedSecret):
            yield from _of_versions(
                secret, set(secret.versions(settings)), next(iter(secret.versions(settings))), needed_versions(secret, database)
            )

    try:
        with database.read() as session:
            check_trail(session, AuditKeys(settings.audit_keys))
    except AuditTrailUnfit as error:
        yield Finding(AUDIT_TRAIL, "problem", str(error), "gatehouse audit verify; docs/operations.md says how to go on")


def sealed_findings(settings: Settings, database: Database) -> Iterator[Finding]:
    """What GATEHOUSE_SECRET_KEY does not open, or opens only because the one before is still set."""
    opened = opened_by(settings, database)
    lost, older = ([what for what, opener in opened.items() if opener == which] for which in ("none", "before"))
    if lost:
        remedy = f"set the one that this database was used with as {SECRET_KEY.before}; when it is lost: docs/operations.md"
        yield Finding(SECRET_KEY.name, "problem", f"it does not open {_listed(lost)}", remedy)
    if older:
        remedy = "once all servers have been restarted with both secrets: gatehouse token-keys reseal"
        yield Finding(SECRET_KEY.before, "warning", f"only this one opens {_listed(older)}", remedy)
    elif settings.secret_key_before.get_secret_value():
        remedy = f"a day after the change: gatehouse secrets remove {SECRET_KEY.name}"
        yield Finding(SECRET_KEY.before, "warning", "nothing is sealed under it any more", remedy)


def _of_versions(secret: VersionedSecret, known: set[int], current: int, needed: Mapping[int, str]) -> Iterator[Finding]:
    for version in sorted(set(needed) - known):
        effect = "these are refused" if secret is KEY_PEPPER else "these cannot be verified"
        remedy = f"set {secret.before}={version}:… again"
        yield Finding(secret.name, "problem", f"version {version} is not set, and {needed[version]} stand under it: {effect}", remedy)
    for version in sorted(version for version in known if version > current):
        remedy = f"{ONE_BY_ONE}, then: gatehouse secrets promote {secret.name}"
        yield Finding(secret.before, "warning", f"version {version} is accepted and not the current one yet", remedy)
    for version in sorted(version for version in known - set(needed) if version < current):
        yield Finding(secret.before, "warning", f"nothing needs version {version} any more", f"gatehouse secrets remove {secret.name}")
    if secret is KEY_PEPPER:
        for version in sorted(version for version in known & set(needed) if version < current):
            remedy = f"each key moves when it is used; the others: gatehouse keys list --pepper {version}"
            yield Finding(secret.before, "warning", f"version {version} is needed by {needed[version]}", remedy)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
