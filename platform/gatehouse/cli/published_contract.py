"""Contracts of published versions and of files, with every complaint as a refusal."""

from pathlib import Path

from gatehouse.contracts.contract import Contract, ContractInvalid, parse_contract
from gatehouse.errors import Refused
from gatehouse.serving.repository import Repository, VersionInvalid, VersionMissing
from gatehouse.serving.signing import PublishingKeyUnusable, TrustedKeys
from gatehouse.settings import Settings


def repository_of(settings: Settings) -> Repository:
    """The deployment's folder of published versions. Raises Refused."""
    try:
        trusted = TrustedKeys.load(settings.under_state(settings.trusted_keys_dir))
    except PublishingKeyUnusable as error:
        raise Refused(str(error)) from None
    return Repository(settings.under_state(settings.models_dir), trusted)


def contract_of(settings: Settings, model: str, version: str) -> Contract:
    """The contract of a published version, whose artifact is not read. Raises Refused."""
    try:
        _, source = repository_of(settings).read_contract(model, version)
    except (VersionMissing, VersionInvalid) as error:
        raise Refused(str(error)) from None
    return read_contract(source, f"contract of {model} {version}")


def check_loadable(settings: Settings, model: str, version: str) -> None:
    """Raises Refused for a version that a server would not load: each of its files is verified."""
    try:
        repository_of(settings).read(model, version)
    except (VersionMissing, VersionInvalid) as error:
        raise Refused(str(error)) from None


def read_contract(source: bytes, origin: str) -> Contract:
    """The contract; all complaints, one a line, as Refused."""
    try:
        return parse_contract(source, origin)
    except ContractInvalid as error:
        raise Refused(str(error)) from None


def read_file(file: Path) -> bytes:
    """The whole file. Raises Refused."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}") from None
