"""From a file to a published version and its endpoint: composes the contracts, serving and migration rooms for the commands."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatehouse.cli.contract_choice import ContractChoice
from gatehouse.cli.deployment import Deployment
from gatehouse.cli.signing_key import signer_of, trusted_keys_folder
from gatehouse.cli.upgrade_proofs import note_outgrown, prove_published
from gatehouse.cli.version_choice import VersionChoice, choose_version
from gatehouse.contracts.proved_upgrade import UpgradeProof
from gatehouse.db.audit import record_audit
from gatehouse.errors import Refused
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.store import create_endpoint, find_endpoint
from gatehouse.operating.published import repository_of
from gatehouse.serving.kept_estimator import FOLDER, keep_estimator
from gatehouse.serving.names import NameInvalid
from gatehouse.serving.options import PublishOptions
from gatehouse.serving.repository import Repository
from gatehouse.serving.trust import retired_ids

if TYPE_CHECKING:
    from gatehouse.serving.publish import Publication
    from gatehouse.serving.signing import Signer


STEPS = 3
"""How often `progress` is told of a step: scoring, converting, compared."""


@dataclass(frozen=True, slots=True)
class PublishWish:
    """`version` None is the next free one, `publishing_key` None the one in the state folder."""

    artifact: bytes
    contract: ContractChoice
    version: str | None = None
    publishing_key: Path | None = None
    options: PublishOptions = field(default_factory=PublishOptions)


@dataclass(frozen=True, slots=True)
class Published:
    """`live`: the endpoint serves this version. It does so unasked only if it opened the endpoint."""

    publication: "Publication"
    contract: ContractChoice
    endpoint: Endpoint
    live: bool
    made_key: bool
    """Whether the publishing key was made, and trusted here, for this."""
    upgrades: tuple[UpgradeProof, ...] = ()


def publish_model(deployment: Deployment, wish: PublishWish, progress: Callable[[str], None]) -> Published:
    """Publish a version, and open its endpoint if there is none. Raises Refused."""
    contract, shelf = wish.contract.contract, repository_of(deployment.settings)
    choice = choose_version(shelf, contract, wish.version, progress)
    signer, made_key = signer_of(deployment, wish.publishing_key)
    repository = repository_of(deployment.settings)  # anew: it may trust a key more
    if not repository.trusts(signer.key_id):
        raise Refused(_untrusted(deployment, signer.key_id))
    upgrades = prove_published(repository, contract, wish.contract.origin, progress)
    note_outgrown(repository, contract, progress)
    publication = _publish(wish, choice, repository, signer, progress)
    _keep(deployment, publication, wish, progress)
    with deployment.database.write() as session:
        record_audit(session, deployment.actor, "model.publish", f"{publication.model} {publication.version}", after=_audited(publication))
        endpoint = find_endpoint(session, publication.model, publication.api_version)
        if endpoint is None:
            endpoint = create_endpoint(session, deployment.actor, publication.model, publication.version)
    return Published(publication, wish.contract, endpoint, endpoint.stable_version == publication.version, made_key, upgrades)


def _untrusted(deployment: Deployment, key_id: str) -> str:
    if key_id in retired_ids(trusted_keys_folder(deployment.settings)):
        return (
            f"publishing key {key_id} was retired here: gatehouse publishing-keys create --file new-key.pem makes another,"
            " then publish with --publishing-key new-key.pem"
        )
    return (
        f"publishing key {key_id} is not trusted here, so no server would load what it signs:"
        " gatehouse publishing-keys trust FILE takes its public key, as its owner has it"
    )


def _keep(deployment: Deployment, publication: "Publication", wish: PublishWish, progress: Callable[[str], None]) -> None:
    """The publisher's files stay on this machine, for `models rows`; without them the version is published all the same."""
    try:
        keep_estimator(deployment.settings.state_dir / FOLDER, publication.model, publication.version, wish.artifact, wish.options.code)
    except OSError as error:
        progress(f"the estimator cannot be kept for gatehouse models rows: {error.strerror}")


def _audited(publication: "Publication") -> dict[str, Any]:
    """What an auditor asks for: who signed what, and which training rows went out with it."""
    kept = [{"place": each.place, "what": each.what, "rows": each.rows} for each in publication.embedded_data]
    return {"publishing_key": publication.publishing_key, "engine": publication.engine, "accepted_embedded_data": kept}


def _publish(
    wish: PublishWish, choice: VersionChoice, repository: Repository, signer: "Signer", progress: Callable[[str], None]
) -> "Publication":
    # scikit-learn and ONNX take seconds to load; only this command needs them
    from gatehouse.serving.publish import PublishRefused, publish

    try:
        return publish(
            wish.artifact,
            wish.contract.contract,
            wish.contract.source,
            version=choice.version,
            revision_digest=choice.revision_digest,
            repository=repository,
            signer=signer,
            progress=progress,
            now=datetime.now(UTC),
            options=wish.options,
        )
    except (PublishRefused, NameInvalid) as error:
        raise Refused(str(error)) from None
