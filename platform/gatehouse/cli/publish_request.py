"""What `models publish` was asked for, and what follows from it: the contract to use and where to try it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from gatehouse.cli.contract_choice import ContractChoice, draft_kept, named_contract, usual_contract
from gatehouse.cli.contradiction import check_told
from gatehouse.cli.drafting import Told, draft_contract, facts_of_artifact, model_name, renamed_sample
from gatehouse.cli.given_file import read_file
from gatehouse.cli.publishing import PublishWish
from gatehouse.cli.sample import Sample, number_ranges, read_sample
from gatehouse.errors import Refused
from gatehouse.serving.names import NameInvalid, parse_version
from gatehouse.serving.options import PublishOptions
from gatehouse.settings import Settings

if TYPE_CHECKING:
    from gatehouse.serving.facts import EstimatorFacts


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """The command's options; None where one was not given."""

    file: Path
    told: Told
    options: PublishOptions
    model: str | None = None
    version: str | None = None
    contract: Path | None = None
    sample: Path | None = None
    publishing_key: Path | None = None


def wish_of(request: PublishRequest, settings: Settings, show: Callable[[ContractChoice], None]) -> PublishWish:
    """Reads the files, drafts the contract where it is missing, and shows that one before it is used. Raises Refused."""
    artifact = read_file(request.file)
    sample = None if request.sample is None else read_sample(read_file(request.sample), str(request.sample))

    @cache
    def facts() -> "EstimatorFacts":
        return facts_of_artifact(artifact, request.options)

    choice = _contract(request, settings, sample, facts)
    if choice.drafted:
        show(choice)
    else:
        check_told(request.told, choice, sample, facts)
    options = request.options
    if sample is not None:
        with draft_kept(choice):
            renamed = renamed_sample(sample, choice.contract, facts, request.told)
            options = replace(options, ranges=number_ranges(renamed, choice.contract, choice.origin))
    return PublishWish(artifact, choice, request.version, request.publishing_key, options)


def _contract(request: PublishRequest, settings: Settings, sample: Sample | None, facts: Callable[[], "EstimatorFacts"]) -> ContractChoice:
    if request.contract is not None:
        return named_contract(request.contract, request.model)
    model = request.model or model_name(request.file.stem)
    api_version = _api_version(request.version)
    return usual_contract(settings, model, api_version, lambda: draft_contract(facts(), model, api_version, sample, request.told))


def _api_version(version: str | None) -> str:
    """A version's major number is its API version."""
    try:
        return f"v{parse_version(version)[0]}" if version else "v1"
    except NameInvalid as error:
        raise Refused(str(error)) from None
