"""Whether an endpoint answers, by its life and by what lies on the disk: the steps of `gatehouse why` that look at what is called."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from gatehouse.contracts.contract import parse_contract
from gatehouse.errors import Refused
from gatehouse.migration.endpoint import Brownout, Endpoint, api_version_of
from gatehouse.operating.bridge_proof import prove_bridge
from gatehouse.operating.published import repository_of
from gatehouse.operating.why_step import Step, minute
from gatehouse.serving.reason import apart, meaning
from gatehouse.settings import Settings


class _Unfit(Exception):
    """A version that no server serves; what is wrong and the remedy."""

    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__(detail)
        self.remedy = remedy


def lifecycle_step(endpoint: Endpoint, tenant_id: str, tenant: str, key_ids: Collection[str], moved: bool, now: datetime) -> Step:
    """Whether it answers this tenant now. `moved`: the tenant is spared by brownouts."""
    state, model, version = endpoint.state_at(now, tenant_id), endpoint.model, endpoint.api_version
    if state == "retired":
        return _retired(endpoint, tenant_id, tenant)
    if state != "deprecated":
        return Step("lifecycle", True, f"{endpoint.name} is {state}")
    window = next((each for each in open_windows(endpoint, tenant_id, key_ids, now) if each.key_id or not moved), None)
    if window is None:
        return Step("lifecycle", True, f"{endpoint.name} is deprecated and answers until the end of {endpoint.last_day(tenant_id)} (UTC)")
    share = "all calls" if window.percent == 100 else f"{window.percent} of 100 calls"
    whose = f"of key {window.key_id}, which rehearses, " if window.key_id else f"of {tenant} alone " if window.tenant_id else ""
    detail = f"a brownout of {model}/{version} answers {share} {whose}with 410 until {window.ends_at:%Y-%m-%d %H:%M:%S} UTC"
    return Step("lifecycle", False, detail, f"gatehouse endpoints cancel-brownout {window.id}, or wait for its end")


def open_windows(endpoint: Endpoint, tenant_id: str, key_ids: Collection[str], now: datetime) -> list[Brownout]:
    """Brownouts that are under way for the tenant or one of the keys."""
    under_way = [each for each in endpoint.brownouts if each.starts_at <= now < each.ends_at]
    return [each for each in under_way if each.tenant_id in (None, tenant_id) and (each.key_id is None or each.key_id in key_ids)]


def _retired(endpoint: Endpoint, tenant_id: str, tenant: str) -> Step:
    ended, ending = endpoint.last_moment(tenant_id), endpoint.deprecation
    since = f" since {minute(ended)}" if ended else ""
    again = f"gatehouse endpoints undeprecate {endpoint.model} {endpoint.api_version}"
    remedy = f"{tenant} calls {ending.successor} instead; to serve it again: {again}" if ending else again
    return Step("lifecycle", False, f"{endpoint.name} is retired{since}: calls get 410", remedy)


def engine_step(settings: Settings, endpoint: Endpoint, endpoints: Sequence[Endpoint], now: datetime, *, loaded: bool) -> Step:
    """Whether what is released lies here whole: signature, digests, and the golden row answered as it was published.

    `loaded`: a process that serves has it in its memory, whatever lies here now.
    """
    if endpoint.state_at(now) == "retired" and not endpoint.extensions:
        return Step("engine", True, f"nothing is loaded for {endpoint.name}, which is retired")
    try:
        found = [_loaded(settings, each, version) for each, version in _released(settings, endpoint, endpoints)]
    except _Unfit as error:
        return Step("engine", False, f"{error}; {meaning(loaded)}", error.remedy)
    return Step("engine", True, f"{', '.join(found)}: signature and digests are right, the golden row is answered as published")


def _released(settings: Settings, endpoint: Endpoint, endpoints: Sequence[Endpoint]) -> Iterator[tuple[Endpoint, str]]:
    """Endpoints and their versions whose models answer. Raises _Unfit."""
    if endpoint.bridged_to is not None:
        target = next((each for each in endpoints if (each.model, each.api_version) == (endpoint.model, endpoint.bridged_to)), None)
        end = f"gatehouse endpoints unbridge {endpoint.model} {endpoint.api_version}"
        if target is None:
            raise _Unfit(f"it is bridged to {endpoint.bridged_to}, which is not there", end)
        try:
            prove_bridge(settings, endpoint, target.stable_version)
        except Refused as refusal:
            raise _Unfit(str(refusal), f"release another version of {target.api_version}, or {end}") from None
        endpoint = target
    yield endpoint, endpoint.stable_version
    if endpoint.canary_version:
        yield endpoint, endpoint.canary_version


def _loaded(settings: Settings, endpoint: Endpoint, version: str) -> str:
    """Loads it as a server does. Raises _Unfit."""
    # numpy and onnxruntime take a second to load; only this step needs them
    from gatehouse.serving.registry import NotServable, Registry

    def compiled(source: bytes) -> tuple[object, object]:
        contract = parse_contract(source, f"contract of {endpoint.model} {version}")
        return contract, contract

    another = f"gatehouse endpoints release {endpoint.model} {endpoint.api_version} --version X.Y.Z"
    try:
        served = Registry(repository_of(settings), compiled).load(endpoint.model, api_version_of(version), version)  # type: ignore[arg-type]
    except NotServable as error:
        what, remedy = apart(error.reason)
        raise _Unfit(what, f"{remedy or f'copy {endpoint.model} {version} here anew'}, or release another version: {another}") from None
    except Refused as refusal:
        raise _Unfit(str(refusal), "gatehouse doctor") from None
    return f"{endpoint.model} {version} ({served.manifest.engine})"
