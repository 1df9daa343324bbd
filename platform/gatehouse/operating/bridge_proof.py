"""Whether a model version can answer the calls of an older endpoint: its contract's rules, proved against the older contract."""

from gatehouse.contracts.pause import Pause, no_pause
from gatehouse.contracts.proved_upgrade import UpgradeProof, prove_upgrade
from gatehouse.contracts.upgrade import rules_from
from gatehouse.errors import Refused
from gatehouse.migration.bridging import bridges_to
from gatehouse.migration.endpoint import Endpoint
from gatehouse.operating.desk import Desk
from gatehouse.operating.published import contract_of
from gatehouse.settings import Settings


def prove_bridge(settings: Settings, endpoint: Endpoint, version: str, pause: Pause = no_pause) -> UpgradeProof:
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
    return prove_upgrade(old, new, f"contract of {newer}", own, pause)


def proven_bridges(desk: Desk, endpoint: Endpoint, siblings: list[Endpoint], version: str) -> list[Endpoint]:
    """All that are bridged to an endpoint, each of whose calls `version` of it can answer. Raises Refused."""
    found = bridges_to(endpoint, siblings)
    for each in found:
        try:
            prove_bridge(desk.settings, each, version, desk.pause)
        except Refused as refusal:
            fact = f"{each.name} is bridged to {endpoint.name}, and {version} could not answer its calls"
            end = f"gatehouse endpoints unbridge {each.model} {each.api_version} first"
            raise Refused(f"{fact}; {end}:\n{refusal}", fact=f"{fact}: {refusal.fact}") from None
    return found
