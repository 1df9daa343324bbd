"""Which version a model becomes: the contract decides, by what callers of the published versions would notice (DESIGN §2)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gatehouse.contracts.compatibility import Change, compare, level
from gatehouse.contracts.contract import Contract
from gatehouse.errors import Refused
from gatehouse.operating.published import read_contract
from gatehouse.serving.names import NameInvalid, parse_api_version, parse_version
from gatehouse.serving.repository import Repository, VersionInvalid, VersionMissing

Number = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class VersionChoice:
    """`revision_digest`: of the contract with which the revision (major and minor) was first published; None for a new revision."""

    version: str
    revision_digest: str | None


@dataclass(frozen=True, slots=True)
class _Known:
    number: Number
    contract: Contract
    revision_digest: str

    @property
    def version(self) -> str:
        return _written(self.number)


def choose_version(repository: Repository, contract: Contract, wanted: str | None, note: Callable[[str], None]) -> VersionChoice:
    """`wanted`, or the next free one: a patch under the same contract, a minor under one that grew. Raises Refused."""
    major = parse_api_version(contract.api_version)
    if wanted is not None and _number(wanted)[0] != major:
        free = repository.next_version(contract.model, major)
        raise Refused(f"version {wanted} does not belong to {contract.api_version}, whose next free version is {free}")
    known = _known(repository, contract.model, major, note)
    number = _number(wanted) if wanted is not None else _next(repository, contract, known)
    _check(number, contract, known, repository)
    of_revision = next((each.revision_digest for each in known if each.number[:2] == number[:2]), None)
    return VersionChoice(_written(number), of_revision)


def _next(repository: Repository, contract: Contract, known: list[_Known]) -> Number:
    free = _number(repository.next_version(contract.model, parse_api_version(contract.api_version)))
    if known and level(compare(known[-1].contract, contract)) == "minor":
        return (free[0], free[1] + 1, 0)
    return free


def _check(number: Number, contract: Contract, known: list[_Known], repository: Repository) -> None:
    """Against its neighbours only: compatibility holds along the whole line."""
    below = next((each for each in reversed(known) if each.number < number), None)
    above = next((each for each in known if each.number > number), None)
    if below is not None:
        _check_pair(below.contract, contract, below, number, repository)
    if above is not None:
        _check_pair(contract, above.contract, above, number, repository)


def _check_pair(old: Contract, new: Contract, neighbour: _Known, number: Number, repository: Repository) -> None:
    changes = compare(old, new)
    breaking = [change for change in changes if not change.compatible]
    if breaking:
        raise Refused(_breaking(new, neighbour, number, breaking, repository))
    if changes and neighbour.number[:2] == number[:2]:
        raise Refused(
            f"{_written(number)} would be of revision {number[0]}.{number[1]}, whose contract is frozen since {neighbour.version}"
            f" was published, and it differs:\n{_lines(changes)}\n"
            f"leave --version out, or name one with another minor number: {number[0]}.{_last_minor(repository, new) + 1}.0"
        )


def _breaking(contract: Contract, neighbour: _Known, number: Number, changes: Iterable[Change], repository: Repository) -> str:
    first, second = (neighbour.version, _written(number)) if neighbour.number < number else (_written(number), neighbour.version)
    major = max(parse_version(version)[0] for version in repository.versions(contract.model)) + 1
    return (
        f"{_written(number)} is refused, since callers of {contract.model}/{contract.api_version} who go from {first} to {second}"
        f" would break:\n{_lines(changes)}\n"
        f'make it the next major: its contract in a file of its own, v{major}.toml, with api_version = "v{major}",'
        f" then publish with --contract that file; callers of {contract.api_version} stay where they are"
    )


def _known(repository: Repository, model: str, major: int, note: Callable[[str], None]) -> list[_Known]:
    """Versions of the major whose contract can be verified, lowest number first."""
    found: list[_Known] = []
    for version in repository.versions(model):
        if parse_version(version)[0] != major:
            continue
        try:
            manifest, source = repository.read_contract(model, version)
        except (VersionMissing, VersionInvalid) as error:
            note(f"{error}; so its contract is not compared")
            continue
        contract = read_contract(source, f"contract of {model} {version}")
        found.append(_Known(parse_version(version), contract, manifest.revision_digest or manifest.contract_digest))
    return found


def _last_minor(repository: Repository, contract: Contract) -> int:
    return _number(repository.next_version(contract.model, parse_api_version(contract.api_version)))[1]


def _lines(changes: Iterable[Change]) -> str:
    return "\n".join(f"  {change}" for change in changes)


def _number(version: str) -> Number:
    try:
        return parse_version(version)
    except NameInvalid as error:
        raise Refused(str(error)) from None


def _written(number: Number) -> str:
    return ".".join(map(str, number))
