"""Upgrade rules of a contract, proved against one older contract."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gatehouse.contracts.contract import Contract, ContractInvalid
from gatehouse.contracts.pause import Pause, no_pause
from gatehouse.contracts.upgrade import bind_upgrade
from gatehouse.contracts.upgrade_proof import Gap, Proof, prove
from gatehouse.errors import Refused


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

    @property
    def refusing_fields(self) -> list[str]:
        """The older contract's fields of which some values are refused, as the rules say."""
        return list(dict.fromkeys(name for gap in self.proof.gaps for name in gap.sources))


def prove_upgrade(old: Contract, new: Contract, origin: str, old_origin: str, pause: Pause = no_pause) -> UpgradeProof:
    """Raises Refused for rules that do not fit, and for gaps that they do not admit."""
    try:
        found = UpgradeProof(old.api_version, old_origin, prove(bind_upgrade(old, new, origin), pause=pause))
    except ContractInvalid as error:
        raise Refused(str(error)) from None
    if found.proof.undeclared:
        raise Refused(_undeclared(found, origin))
    return found


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
