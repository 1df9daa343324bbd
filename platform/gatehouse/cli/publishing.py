"""Published versions and their endpoints: composes the contracts, serving and migration rooms for the commands."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gatehouse.cli.deployment import Deployment
from gatehouse.contracts.contract import Contract, ContractInvalid, parse_contract
from gatehouse.errors import Refused
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.store import create_endpoint, find_endpoint
from gatehouse.serving.names import NameInvalid, parse_api_version
from gatehouse.serving.repository import Repository, VersionInvalid, VersionMissing
from gatehouse.serving.signing import PublishingKeyUnusable, Signer, TrustedKeys
from gatehouse.settings import Settings

if TYPE_CHECKING:
    from gatehouse.serving.publish import Publication

PUBLISHING_KEY = "publishing-key.pem"
"""In the state folder of a development machine; a server never reads it."""


@dataclass(frozen=True, slots=True)
class Published:
    """`live`: the endpoint serves this version. It does so unasked only if it opened the endpoint."""

    publication: "Publication"
    endpoint: Endpoint
    live: bool


def publish_model(
    deployment: Deployment,
    artifact: bytes,
    contract_source: bytes,
    *,
    origin: str,
    publishing_key: Path,
    progress: Callable[[str], None],
    version: str | None = None,
) -> Published:
    """Publish the next version, or `version`, and open its endpoint if there is none. `origin` names the contract. Raises Refused."""
    contract = read_contract(contract_source, origin)
    repository = repository_of(deployment.settings)
    signer = _signer(publishing_key)
    if not repository.trusts(signer.key_id):
        raise Refused(
            f"publishing key {signer.key_id} is not trusted here, so no server would load what it signs: gatehouse publishing-keys list"
        )
    publication = _publish(artifact, contract, contract_source, version, repository, signer, progress)
    with deployment.database.write() as session:
        endpoint = find_endpoint(session, publication.model, publication.api_version)
        if endpoint is None:
            endpoint = create_endpoint(session, deployment.actor, publication.model, publication.version)
    return Published(publication, endpoint, live=endpoint.stable_version == publication.version)


def repository_of(settings: Settings) -> Repository:
    """The deployment's folder of published versions. Raises Refused."""
    try:
        trusted = TrustedKeys.load(settings.under_state(settings.trusted_keys_dir))
    except PublishingKeyUnusable as error:
        raise Refused(str(error)) from None
    return Repository(settings.under_state(settings.models_dir), trusted)


def contract_of(settings: Settings, model: str, version: str) -> Contract:
    """The contract of a published version. Raises Refused."""
    try:
        verified = repository_of(settings).read(model, version)
    except (VersionMissing, VersionInvalid) as error:
        raise Refused(str(error)) from None
    return read_contract(verified.contract, f"contract of {model} {version}")


def read_contract(source: bytes, origin: str) -> Contract:
    """The contract; all complaints, one a line, as Refused."""
    try:
        return parse_contract(source, origin)
    except ContractInvalid as error:
        raise Refused(str(error)) from None


def _publish(
    artifact: bytes,
    contract: Contract,
    contract_source: bytes,
    version: str | None,
    repository: Repository,
    signer: Signer,
    progress: Callable[[str], None],
) -> "Publication":
    # scikit-learn and ONNX take seconds to load; only this command needs them
    from gatehouse.serving.publish import PublishRefused, publish

    try:
        return publish(
            artifact,
            contract,
            contract_source,
            version=version or repository.next_version(contract.model, parse_api_version(contract.api_version)),
            repository=repository,
            signer=signer,
            progress=progress,
            now=datetime.now(UTC),
        )
    except (PublishRefused, NameInvalid) as error:
        raise Refused(str(error)) from None


def _signer(publishing_key: Path) -> Signer:
    try:
        return Signer.load(publishing_key)
    except PublishingKeyUnusable as error:
        raise Refused(f"{error}; gatehouse dev makes one for development, --publishing-key names another") from None
