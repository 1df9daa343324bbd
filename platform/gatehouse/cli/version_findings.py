"""What `gatehouse doctor` says of what endpoints are served by: their own versions, and the other ends of their bridges."""

from collections.abc import Collection, Iterator, Sequence

from gatehouse.cli.finding import Finding
from gatehouse.errors import Refused
from gatehouse.migration.endpoint import Endpoint, api_version_of
from gatehouse.operating.bridge_proof import prove_bridge
from gatehouse.serving.reason import apart, meaning
from gatehouse.serving.repository import Repository, VersionInvalid, VersionMissing
from gatehouse.serving.signing import PublishingKeyUnusable, TrustedKeys
from gatehouse.settings import Settings


def version_findings(settings: Settings, endpoints: Sequence[Endpoint], loaded: Collection[str]) -> Iterator[Finding]:
    """One for each version that a server loads, and one for each bridge, whose own model may be gone.

    `loaded`: names of endpoints that a process serves from its memory.
    """
    try:
        trusted = TrustedKeys.load(settings.under_state(settings.trusted_keys_dir))
    except PublishingKeyUnusable:
        return  # said by its own finding
    repository = Repository(settings.under_state(settings.models_dir), trusted)
    live = [endpoint for endpoint in endpoints if endpoint.state != "retired"]
    own = [endpoint for endpoint in live if endpoint.bridged_to is None]
    for model, version in sorted(
        {(each.model, version) for each in own for version in (each.stable_version, each.canary_version) if version}
    ):
        yield _version(repository, model, version, f"{model}/{api_version_of(version)}" in loaded)
    for each in live:
        if each.bridged_to is not None:
            yield _bridge(settings, each, endpoints)


def _version(repository: Repository, model: str, version: str, loaded: bool) -> Finding:
    try:
        repository.read(model, version)
    except (VersionMissing, VersionInvalid) as error:
        what, remedy = apart(str(error).removeprefix(f"{model} {version}: "))
        another = f"or release another version: gatehouse endpoints show {model} {api_version_of(version)}"
        return Finding(f"{model} {version}", "problem", f"{what}; {meaning(loaded)}", f"{remedy or 'copy it here anew'}, {another}")
    return Finding(f"{model} {version}", "ok", "its signature and digests are right")


def _bridge(settings: Settings, endpoint: Endpoint, endpoints: Sequence[Endpoint]) -> Finding:
    """The model that answers has a finding of its own."""
    other = f"{endpoint.model}/{endpoint.bridged_to}"
    target = next((each for each in endpoints if each.name == other and each.state != "retired"), None)
    end = f"gatehouse endpoints unbridge {endpoint.model} {endpoint.api_version}"
    if target is None:
        return Finding(endpoint.name, "problem", f"it is bridged to {other}, which is not served", end)
    try:
        prove_bridge(settings, endpoint, target.stable_version)
    except Refused as refusal:
        return Finding(endpoint.name, "problem", str(refusal), f"release another version of {target.api_version}, or {end}")
    detail = f"bridged to {target.model} {target.stable_version}, whose rules fit the contract of {endpoint.stable_version}"
    return Finding(endpoint.name, "ok", detail)
