"""Published versions of this deployment and their contracts, with every complaint as a refusal."""

from gatehouse.contracts.contract import Contract, ContractInvalid, parse_contract
from gatehouse.errors import Refused
from gatehouse.serving.names import parse_api_version, parse_version
from gatehouse.serving.repository import Repository, VersionInvalid, VersionMissing
from gatehouse.serving.signing import PublishingKeyUnusable, TrustedKeys
from gatehouse.settings import Settings


def repository_of(settings: Settings) -> Repository:
    """The deployment's folder of published versions. Raises Refused."""
    try:
        trusted = TrustedKeys.load(settings.under_state(settings.trusted_keys_dir))
    except PublishingKeyUnusable as error:
        raise Refused(str(error), fact="the folder of trusted publishing keys cannot be used, so nothing can be verified") from None
    return Repository(settings.under_state(settings.models_dir), trusted)


def contract_of(settings: Settings, model: str, version: str) -> Contract:
    """The contract of a published version, whose artifact is not read. Raises Refused."""
    try:
        _, source = repository_of(settings).read_contract(model, version)
    except (VersionMissing, VersionInvalid) as error:
        raise _not_usable(model, version, error) from None
    return read_contract(source, f"contract of {model} {version}")


def check_loadable(settings: Settings, model: str, version: str) -> None:
    """Raises Refused for a version that a server would not load: each of its files is verified."""
    try:
        repository_of(settings).read(model, version)
    except (VersionMissing, VersionInvalid) as error:
        raise _not_usable(model, version, error) from None


def read_contract(source: bytes, origin: str) -> Contract:
    """The contract; all complaints, one a line, as Refused."""
    try:
        return parse_contract(source, origin)
    except ContractInvalid as error:
        raise Refused(str(error)) from None


def newest_contract(repository: Repository, model: str, api_version: str) -> tuple[str, Contract] | None:
    """Of the newest published version of an API version, with its name; it covers all earlier ones. Raises Refused, NameInvalid."""
    major = parse_api_version(api_version)
    for version in reversed(repository.versions(model)):
        if parse_version(version)[0] != major:
            continue
        name = f"{model} {version}"
        try:
            _, source = repository.read_contract(model, version)
        except (VersionMissing, VersionInvalid) as error:
            raise Refused(f"{error}; so its upgrade rules cannot be proved", fact=_not_usable(model, version, error).fact) from None
        return name, read_contract(source, f"contract of {name}")
    return None


def _not_usable(model: str, version: str, error: VersionMissing | VersionInvalid) -> Refused:
    """The repository names files and keys, which are for those who may read its folder."""
    if isinstance(error, VersionMissing):
        return Refused(str(error), fact=f"{model} has no version of this number in this server's repository")
    return Refused(str(error), fact=f"{model} {version} cannot be verified here, so no server would load it")
