"""Upgrade rules of a contract held against the older contracts that partners have: what publishing and `contracts check` say of them."""

from collections.abc import Callable
from pathlib import Path

from gatehouse.contracts.contract import Contract
from gatehouse.contracts.proved_upgrade import UpgradeProof, prove_upgrade
from gatehouse.contracts.upgrade import rules_from
from gatehouse.errors import Refused
from gatehouse.operating.published import newest_contract
from gatehouse.serving.names import parse_api_version, parse_version
from gatehouse.serving.repository import Repository


def prove_published(repository: Repository, new: Contract, origin: str, note: Callable[[str], None]) -> tuple[UpgradeProof, ...]:
    """The rules against the newest published contract of each API version that they lead up from. Raises Refused."""
    proofs: list[UpgradeProof] = []
    for rules in new.upgrades:
        found = newest_contract(repository, new.model, rules.old)
        if found is None:
            note(f"no {rules.old} of {new.model} is published here, so the rules of {origin} from {rules.old} are not proved")
        else:
            proofs.append(prove_upgrade(found[1], new, origin, found[0]))
    return tuple(proofs)


def note_outgrown(repository: Repository, old: Contract, note: Callable[[str], None]) -> None:
    """Say it where the rules of a newer API version do not fit the older contract as it is to be published."""
    own = parse_api_version(old.api_version)
    for major in sorted({parse_version(version)[0] for version in repository.versions(old.model)}):
        if major <= own:
            continue
        try:
            found = newest_contract(repository, old.model, f"v{major}")
        except Refused as error:  # what cannot be read now leads nobody up either
            note(str(error))
            continue
        if found is None or rules_from(found[1], old.api_version) is None:
            continue
        try:
            prove_upgrade(old, found[1], found[0], "as it is published now")
        except Refused as error:
            note(f"rows of this {old.api_version} are not all upgraded by {found[0]}; publish a patch of that with other rules: {error}")


def beside(file: Path, api_version: str) -> Path:
    """The older contract's file, where contracts of a model lie together."""
    return file.parent / f"{api_version}.toml"
