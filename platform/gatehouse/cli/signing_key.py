"""The publishing key of this machine: what signs, and is it trusted here."""

from pathlib import Path
from typing import TYPE_CHECKING

from gatehouse.cli.deployment import Deployment
from gatehouse.db.audit import record_audit
from gatehouse.errors import Refused
from gatehouse.settings import Settings

if TYPE_CHECKING:
    from gatehouse.serving.signing import Signer

PUBLISHING_KEY = "publishing-key.pem"
"""In the state folder of a machine that publishes; a server never reads it."""


def signer_of(deployment: Deployment, given: Path | None) -> "tuple[Signer, bool]":
    """What signs here, and whether it was made just now: only in development, where there is none yet. Raises Refused."""
    from gatehouse.serving.signing import PublishingKeyUnusable, Signer

    path = given or deployment.settings.state_dir / PUBLISHING_KEY
    if given is None and not path.exists():
        if deployment.settings.environment != "development":
            raise Refused(
                "there is no publishing key here: gatehouse publishing-keys create makes one"
                " (not on a serving machine), --publishing-key names another"
            )
        return make_publishing_key(deployment), True
    try:
        return Signer.load(path), False
    except PublishingKeyUnusable as error:
        raise Refused(f"{error}; --publishing-key names another") from None


def make_publishing_key(deployment: Deployment) -> "Signer":
    """A key pair in the state folder, trusted here and audited. Raises Refused."""
    from gatehouse.serving.signing import PublishingKeyUnusable, create_publishing_key

    settings = deployment.settings
    try:
        signer = create_publishing_key(settings.state_dir / PUBLISHING_KEY, trusted_keys_folder(settings))
    except PublishingKeyUnusable as error:
        raise Refused(str(error)) from None
    with deployment.database.write() as session:
        record_audit(session, deployment.actor, "publishing_key.create", signer.key_id)
    return signer


def trusted_keys_folder(settings: Settings) -> Path:
    """Public keys, one PEM file each."""
    return settings.under_state(settings.trusted_keys_dir)
