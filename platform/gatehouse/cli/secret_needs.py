"""What the database still needs: versions of secrets that key something in it, and the secret that opens what is sealed in it."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Literal

from gatehouse.cli.secret_settings import KEY_PEPPER, SecretSetting, VersionedSecret
from gatehouse.cli.usage_lines import counted
from gatehouse.db.audit_key_versions import rows_by_key_version
from gatehouse.db.session import Database
from gatehouse.errors import Refused
from gatehouse.identity.pepper_store import codes_by_pepper, keys_by_pepper
from gatehouse.identity.sealing import Seal, readable
from gatehouse.identity.token_keys import read_token_keys
from gatehouse.notices.target_store import list_targets
from gatehouse.notices.targets import sealed_name
from gatehouse.settings import Settings

OpenedBy = Literal["current", "before", "none"]


def needed_versions(secret: VersionedSecret, database: Database) -> Mapping[int, str]:
    """Each version under which something stands, with what that is: `2 keys and 1 one-time code`."""
    with database.read() as session:
        if secret is not KEY_PEPPER:
            return {version: counted(rows, "row") + " of the audit trail" for version, rows in rows_by_key_version(session).items()}
        keys, codes = keys_by_pepper(session, now := datetime.now(UTC)), codes_by_pepper(session, now)
    parts = {version: [counted(keys[version], "key")] * bool(keys[version]) for version in keys | codes}
    for version, number in codes.items():
        parts[version].append(counted(number, "one-time code"))
    return {version: " and ".join(said) for version, said in parts.items()}


def opened_by(settings: Settings, database: Database) -> dict[str, OpenedBy]:
    """Everything that is sealed under GATEHOUSE_SECRET_KEY, and which of the two secrets opens it."""
    seal = Seal(*settings.secret_keys)
    return {what: _opener(seal, name, sealed) for what, name, sealed in _sealed(database)}


def removable(secret: SecretSetting, settings: Settings, database: Database) -> set[int]:
    """Versions older than the current one that nothing needs; none of a secret without versions. Raises Refused where none can go."""
    if not isinstance(secret, VersionedSecret):
        _check_nothing_is_sealed_under_the_one_before(secret, settings, database)
        return set()
    current, *others = secret.versions(settings)
    needed = needed_versions(secret, database)
    older = {version for version in others if version < current}
    if not older:
        raise Refused(f"{secret.before} holds no older version: there is nothing to remove")
    if older <= set(needed):
        under = "; ".join(f"version {version} by {needed[version]}" for version in sorted(older))
        raise Refused(f"all that {secret.before} holds of older versions is needed: {under}")
    return older - set(needed)


def _check_nothing_is_sealed_under_the_one_before(secret: SecretSetting, settings: Settings, database: Database) -> None:
    if not settings.secret_key_before.get_secret_value():
        raise Refused(f"{secret.before} is not set: there is nothing to remove")
    left = [what for what, opener in opened_by(settings, database).items() if opener == "before"]
    if left:
        raise Refused(f"{secret.before} is needed by {', '.join(left)}: gatehouse token-keys reseal")


def _sealed(database: Database) -> Iterator[tuple[str, str, bytes]]:
    """What it is, the name that it was sealed under, and the bytes."""
    for key in read_token_keys(database):
        if key.private_sealed:
            yield f"token key {key.kid}", key.kid, key.private_sealed
    with database.read() as session:
        targets = list_targets(session)
    for target in targets:
        for which, sealed in (("", target.secret_sealed), ("former ", target.previous_sealed)):
            if sealed:
                yield f"the {which}notice secret of {target.tenant}", sealed_name(target.tenant_id), sealed


def _opener(seal: Seal, name: str, sealed: bytes) -> OpenedBy:
    if seal.is_current(name, sealed):
        return "current"
    return "none" if readable(seal, name, sealed) is None else "before"
