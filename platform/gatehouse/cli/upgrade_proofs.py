"""Upgrade rules of a contract held against the older contracts that partners have: what publishing and `contracts check` say of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatehouse.cli.published_contract import read_contract
from gatehouse.contracts.contract import Contract, ContractInvalid
from gatehouse.contracts.upgrade import bind_upgrade, rules_from
from gatehouse.contracts.upgrade_proof import Gap, Proof, prove
from gatehouse.errors import Refused
from gatehouse.serving.names import parse_api_version, parse_version
from gatehouse.serving.repository import Repository, VersionInvalid, VersionMissing


@dataclass(frozen=True, slots=True)
class UpgradeProof:
    """`old` names the older contract: its file, or the published version."""

    api_version: str
    old: str
    proof: Proof

    def __str__(self) -> str:
        """`every row of v1 (iris 1.0.0) is upgraded`, or what is not."""
        whose = f"{self.api_version} ({self.old})"
        if not self.proof.gaps:
            return f"every row of {whose} becomes a valid row; {self.proof.rows:,} were tried on top of the proof"
        return f"not every row of {whose} becomes a valid row, as the rules say: {'; '.join(map(str, self.proof.gaps))}"


def prove_upgrade(old: Contract, new: Contract, origin: str, old_origin: str) -> UpgradeProof:
    """Raises Refused for rules that do not fit, and for gaps that they do not admit."""
    try:
        found = UpgradeProof(old.api_version, old_origin, prove(bind_upgrade(old, new, origin)))
    except ContractInvalid as error:
        raise Refused(str(error)) from None
    if found.proof.undeclared:
        raise Refused(_undeclared(found, origin))
    return found


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


def newest_contract(repository: Repository, model: str, api_version: str) -> tuple[str, Contract] | None:
    """Of the newest published version of an API version, with its name; it covers all earlier ones. Raises Refused."""
    major = parse_api_version(api_version)
    for version in reversed(repository.versions(model)):
        if parse_version(version)[0] != major:
            continue
        name = f"{model} {version}"
        try:
            _, source = repository.read_contract(model, version)
        except (VersionMissing, VersionInvalid) as error:
            raise Refused(f"{error}; so its upgrade rules cannot be proved") from None
        return name, read_contract(source, f"contract of {name}")
    return None


def beside(file: Path, api_version: str) -> Path:
    """The older contract's file, where contracts of a model lie together."""
    return file.parent / f"{api_version}.toml"


def gap_facts(gap: Gap) -> dict[str, Any]:
    """For programs. `declared`: the rule says partial."""
    return {
        "place": gap.place,
        "sources": list(gap.sources),
        "target": gap.target,
        "code": gap.code,
        "values": gap.values,
        "detail": gap.detail,
        "declared": gap.declared,
    }


def proof_facts(proofs: Sequence[UpgradeProof]) -> list[dict[str, Any]]:
    """For programs."""
    return [
        {"from": each.api_version, "old": each.old, "rows": each.proof.rows, "gaps": [gap_facts(gap) for gap in each.proof.gaps]}
        for each in proofs
    ]


def _undeclared(found: UpgradeProof, origin: str) -> str:
    lines = "\n".join(f"  {gap.place}: {gap}" for gap in found.proof.undeclared)
    return (
        f"{origin}: not every row of {found.api_version} ({found.old}) becomes a valid row:\n{lines}\n"
        "widen the field there, or write partial = true in its rule, so that partners are told: such rows are refused"
    )
