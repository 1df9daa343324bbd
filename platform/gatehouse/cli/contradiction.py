"""What `--features`, `--labels` and `--targets` say beside a contract that is there already: the same, or it is refused."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from gatehouse.cli.contract_choice import ContractChoice
from gatehouse.cli.drafting import Told
from gatehouse.cli.sample import Sample
from gatehouse.contracts.contract import Contract
from gatehouse.contracts.draft import valid_names
from gatehouse.contracts.output import Output
from gatehouse.errors import Refused

if TYPE_CHECKING:
    from gatehouse.serving.facts import EstimatorFacts

MOST_SHOWN = 8
"""Names in one line of refusal."""


def check_told(told: Told, choice: ContractChoice, sample: Sample | None, facts: Callable[[], "EstimatorFacts"]) -> None:
    """Raises Refused where an option says otherwise than the contract, which partners go by."""
    for option, said, held in _pairs(told, choice.contract, sample, facts):
        if said != held:
            names = f"{_shown(held)}, not {_shown(said)}"
            raise Refused(f"{choice.origin} is there already and names {names}: correct the contract, or leave {option} out")


def _pairs(
    told: Told, contract: Contract, sample: Sample | None, facts: Callable[[], "EstimatorFacts"]
) -> Iterator[tuple[str, Sequence[str], Sequence[str]]]:
    """Option, what it says, what the contract holds."""
    # columns of a sample under other names than the contract's are told by --features in the estimator's order
    if told.features and not (sample and set(told.features) <= set(sample.columns)):
        yield "--features", valid_names(told.features), contract.names
    if told.targets:
        yield "--targets", valid_names(told.targets), tuple(target.name for target in contract.output.targets)
    if told.labels:
        held = tuple(_labels(output, classes) for output, classes in zip(_classified(contract), facts().classes or (), strict=False))
        yield "--labels", [name for names in told.labels for name in names], [name for names in held for name in names]


def _classified(contract: Contract) -> tuple[Output, ...]:
    return tuple(target.output for target in contract.output.targets) or (contract.output,)


def _labels(output: Output, classes: Sequence[object]) -> tuple[str, ...]:
    """The contract's names in the order of the estimator's classes."""
    names: dict[object, str] = {label.cls: label.name for label in output.labels}
    return tuple(names[cls] for cls in classes if cls in names)


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_SHOWN]) + (", …" if len(names) > MOST_SHOWN else "") if names else "none"
