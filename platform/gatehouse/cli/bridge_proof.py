"""Whether a model version can answer the calls of an older endpoint: its contract's rules, proved against the older contract."""

from gatehouse.cli.published_contract import contract_of
from gatehouse.cli.upgrade_proofs import UpgradeProof, prove_upgrade
from gatehouse.contracts.upgrade import rules_from
from gatehouse.errors import Refused
from gatehouse.migration.bridging import bridges_to
from gatehouse.migration.endpoint import Endpoint
from gatehouse.settings import Settings


def prove_bridge(settings: Settings, endpoint: Endpoint, version: str) -> UpgradeProof:
    """That `version` can answer calls by the contract of an endpoint. Raises Refused, with what speaks against it."""
    model, own, newer = endpoint.model, f"{endpoint.model} {endpoint.stable_version}", f"{endpoint.model} {version}"
    old, new = (contract_of(settings, model, each) for each in (endpoint.stable_version, version))
    rules = rules_from(new, old.api_version)
    if rules is None:
        write = f"write [upgrade.from.{old.api_version}] into it, and publish and release the next version"
        raise Refused(f"the contract of {newer} has no rules from {old.api_version}: {write}")
    if rules.one_way:
        why = f"no answer of {new.api_version} becomes one of {old.api_version}"
        raise Refused(f"the rules from {old.api_version} in the contract of {newer} are one_way: {why}, so partners must move themselves")
    return prove_upgrade(old, new, f"contract of {newer}", own)


def check_bridges(settings: Settings, endpoint: Endpoint, siblings: list[Endpoint], version: str) -> None:
    """That `version` of an endpoint can answer all that are bridged to it. Raises Refused."""
    for each in bridges_to(endpoint, siblings):
        try:
            prove_bridge(settings, each, version)
        except Refused as refusal:
            end = f"gatehouse endpoints unbridge {each.model} {each.api_version} first"
            raise Refused(
                f"{each.name} is bridged to {endpoint.name}, and {version} could not answer its calls; {end}:\n{refusal}"
            ) from None


def refusing_fields(proof: UpgradeProof) -> list[str]:
    """The older contract's fields of which some values are refused, as the rules say."""
    return list(dict.fromkeys(name for gap in proof.proof.gaps for name in gap.sources))
