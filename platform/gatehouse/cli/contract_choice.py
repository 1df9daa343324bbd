"""The contract that a file is published with: named, or `models/<name>/v1.toml`, which is drafted where it is missing."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gatehouse.cli.given_file import read_file
from gatehouse.contracts.contract import Contract
from gatehouse.errors import Refused
from gatehouse.operating.published import read_contract
from gatehouse.serving.names import NameInvalid, check_model, parse_api_version
from gatehouse.settings import Settings

MODELS_FOLDER = "models"


@dataclass(frozen=True, slots=True)
class ContractChoice:
    """`source` is what the file holds; `drafted`: it was made just now."""

    origin: str
    source: bytes
    contract: Contract
    drafted: bool


@contextmanager
def draft_kept(choice: ContractChoice) -> Iterator[None]:
    """A refusal within says that the draft stays, since it is the publisher's from now on."""
    try:
        yield
    except Refused as refusal:
        if not choice.drafted:
            raise
        raise Refused(f"{refusal}; the draft {choice.origin} stays: correct it there") from None


def named_contract(file: Path, model: str | None) -> ContractChoice:
    """A contract in a file that the publisher names. Raises Refused."""
    source = read_file(file)
    contract = read_contract(source, str(file))
    if model is not None and contract.model != model:
        raise Refused(f"{file} is the contract of {contract.model}, not of {model}: leave --model out, or name the contract of {model}")
    return ContractChoice(str(file), source, contract, drafted=False)


def usual_contract(settings: Settings, model: str, api_version: str, draft: Callable[[], str]) -> ContractChoice:
    """`models/<model>/<api version>.toml` of the deployment's folder; drafted and kept there where it is missing. Raises Refused."""
    try:
        check_model(model)
        parse_api_version(api_version)
    except NameInvalid as error:
        raise Refused(f"{error}; --model gives another name") from None
    file = _project(settings) / MODELS_FOLDER / model / f"{api_version}.toml"
    shown = os.path.relpath(file)
    drafted = not file.exists()
    if drafted:
        _write_new(file, draft(), shown)
    source = read_file(file)
    contract = read_contract(source, shown)
    if (contract.model, contract.api_version) != (model, api_version):
        raise Refused(f"{shown} is the contract of {contract.model}/{contract.api_version}, not of {model}/{api_version}: correct it there")
    return ContractChoice(shown, source, contract, drafted)


def _project(settings: Settings) -> Path:
    """The folder that the state folder lies in, where this is a part of it; else this one."""
    above, here = settings.state_dir.parent, Path.cwd()
    return above if here.is_relative_to(above) else here


def _write_new(file: Path, text: str, shown: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        target = file.open("x", encoding="utf-8")
    except OSError as error:
        if file.exists():
            raise Refused(f"{shown} was drafted by another command meanwhile: read it, then publish again") from None
        raise Refused(_unwritten(shown, error)) from None
    try:
        with target:
            target.write(text)
    except OSError as error:
        file.unlink()  # half a contract would be taken for the author's
        raise Refused(_unwritten(shown, error)) from None


def _unwritten(shown: str, error: OSError) -> str:
    return f"{shown} cannot be written: {error.strerror}; --contract names a contract elsewhere"
