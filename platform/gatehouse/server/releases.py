"""Keeps what callers see and what is loaded at what is released: one load at a time, off the event loop, and no change is lost."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

from gatehouse.db.revision import EVERYTHING, Change
from gatehouse.db.session import GONE, Database
from gatehouse.errors import EndpointUnavailable
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.lifecycle import Endpoints
from gatehouse.migration.release import CanaryShare
from gatehouse.migration.store import list_endpoints
from gatehouse.serving.registry import NotServable, Registry, Release, Served

LOGGER = logging.getLogger("gatehouse.releases")
DATABASE_RETRY_S = 1.0
RETRY_AFTER_S = "5"
C = TypeVar("C")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Loaded(Generic[C]):
    """What a release could be loaded of; `reason` says what could not."""

    stable: Served[C] | None
    canary: Served[C] | None
    reason: str | None


class Releases(Generic[C]):
    """All but `start` is called on the event loop."""

    def __init__(self, database: Database, endpoints: Endpoints, registry: Registry[C], share: CanaryShare) -> None:
        self._database = database
        self._endpoints = endpoints
        self._registry = registry
        self._share = share
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="loading")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="releases")
        self._changed: set[str] = set()
        self._following: asyncio.Task[None] | None = None
        self._released: dict[str, Endpoint] = {}
        """All endpoints by name, as they were read last; callers may still see an older state of one."""
        self._waiting: dict[str, None] = {}
        """Names of what changed and is to be loaded, in order."""
        self._taking_over: asyncio.Task[None] | None = None
        self._loading: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._broken: set[tuple[str, str]] = set()

    def start(self, *, lazy: bool) -> None:
        """Blocks: load what is released, or with `lazy` and where memory is full only read the contracts."""
        endpoints = self._read()
        for endpoint in endpoints:
            if endpoint.state == "retired":
                continue
            if lazy or self._registry.full:
                self._announce(endpoint)
            else:
                self._take_over(endpoint, self._load_release(endpoint))
        self._endpoints.replace(endpoints)

    def close(self) -> None:
        """Load nothing more."""
        self._thread.shutdown(cancel_futures=True)
        self._reader.shutdown(cancel_futures=True)

    def find(self, endpoint: Endpoint, key_id: str) -> tuple[C, Served[C]] | None:
        """The stable contract and the version that answers this key; None where that is not loaded."""
        release = self._registry.release(endpoint.model, endpoint.api_version)
        if release is None:
            return None
        served = self._registry.use(endpoint.model, self._version(release, endpoint, key_id))
        return (release.contract, served) if served else None

    async def load(self, endpoint: Endpoint, key_id: str, deadline_s: float) -> tuple[C, Served[C]]:
        """The same, loaded first; calls that come meanwhile share the load. Raises EndpointUnavailable."""
        for _ in ("the version asked for", "the stable one, where the canary could not be loaded"):
            release = self._registry.release(endpoint.model, endpoint.api_version)
            if release is None:
                raise _unavailable("not_served")
            name = (endpoint.model, self._version(release, endpoint, key_id))
            if name in self._broken:
                raise _unavailable("cannot_be_loaded")
            if name not in self._loading:
                self._loading[name] = asyncio.get_running_loop().create_task(self._load(endpoint, name[1]))
            await asyncio.wait((self._loading[name],), timeout=deadline_s)
            found = self.find(endpoint, key_id)
            if found is not None:
                return found
        raise _unavailable("not_loaded")

    def follow(self, changes: Iterable[Change]) -> None:
        """Take over what changed, in the background."""
        for change in changes:
            if change == EVERYTHING:
                self._changed.update(endpoint.name for endpoint in self._endpoints.all())
            if change == EVERYTHING or change.kind == "endpoint":
                self._changed.add(change.id)
        if self._changed and (self._following is None or self._following.done()):
            self._following = asyncio.get_running_loop().create_task(self._follow())

    async def _follow(self) -> None:
        """Read and show at once what changed, and have it loaded: no deprecation waits behind a model that is slow to load."""
        while self._changed:
            changed, self._changed = self._changed, set()
            try:
                endpoints = await asyncio.get_running_loop().run_in_executor(self._reader, self._read)
            except GONE as error:
                LOGGER.warning("releases cannot be read; what is loaded goes on (%s)", type(error).__name__)
                self._changed |= changed
                await asyncio.sleep(DATABASE_RETRY_S)
                continue
            known = {endpoint.name: endpoint for endpoint in self._endpoints.all()}
            changed |= {endpoint.name for endpoint in endpoints} - set(known)  # without a change only where the database was put back
            self._released = {endpoint.name: endpoint for endpoint in endpoints}
            self._waiting.update(dict.fromkeys(endpoint.name for endpoint in endpoints if endpoint.name in changed))
            for name in known.keys() - self._released.keys():  # only where the database was put back
                self._registry.drop(known[name].model, known[name].api_version)
            self._show()
            if self._waiting and (self._taking_over is None or self._taking_over.done()):
                self._taking_over = asyncio.get_running_loop().create_task(self._load_waiting())

    async def _load_waiting(self) -> None:
        while self._waiting:
            name = next(iter(self._waiting))
            del self._waiting[name]  # a change that comes during the load is loaded after it
            endpoint = self._released.get(name)
            if endpoint is None:
                continue
            self._broken = {broken for broken in self._broken if broken[0] != endpoint.model}
            self._take_over(endpoint, await self._in_thread(partial(self._load_release, endpoint)))
            self._show(name)

    def _show(self, loaded: str | None = None) -> None:
        """What callers see: the new state of things, but an endpoint that begins to answer stays as it is known until it is `loaded`."""
        known = {endpoint.name: endpoint for endpoint in self._endpoints.all()}
        shown = (
            endpoint if name == loaded or not _comes(known.get(name), endpoint) else known.get(name)
            for name, endpoint in self._released.items()
        )
        self._endpoints.replace([endpoint for endpoint in shown if endpoint is not None])

    def _take_over(self, endpoint: Endpoint, loaded: Loaded[C]) -> None:
        if endpoint.state == "retired":
            self._registry.drop(endpoint.model, endpoint.api_version)
            return
        if loaded.stable is not None:
            self._registry.switch(loaded.stable, loaded.canary)
        if loaded.reason is not None:
            self._fail(endpoint, loaded.reason)

    def _announce(self, endpoint: Endpoint) -> None:
        model, api_version = endpoint.model, endpoint.api_version
        try:
            contract = self._registry.read_contract(model, api_version, endpoint.stable_version)
        except NotServable as refusal:
            self._fail(endpoint, refusal.reason)
            return
        self._registry.announce(model, api_version, Release(endpoint.stable_version, endpoint.canary_version, contract))

    async def _load(self, endpoint: Endpoint, version: str) -> None:
        """One version that is called and not loaded."""
        try:
            served = await self._in_thread(partial(self._load_version, endpoint, version))
        except NotServable as refusal:
            self._broken.add((endpoint.model, version))
            release = self._registry.release(endpoint.model, endpoint.api_version)
            if release is not None and version == release.canary:
                self._registry.announce(endpoint.model, endpoint.api_version, replace(release, canary=None))
            self._fail(endpoint, refusal.reason)
        else:
            self._registry.keep(served)
        finally:
            del self._loading[endpoint.model, version]

    def _load_release(self, endpoint: Endpoint) -> Loaded[C]:
        """In the loading thread: the versions of a release. Without its stable one the canary is worth nothing."""
        if endpoint.state == "retired":
            return Loaded(None, None, None)
        try:
            stable = self._load_version(endpoint, endpoint.stable_version)
        except NotServable as refusal:
            return Loaded(None, None, refusal.reason)
        if endpoint.canary_version is None:
            return Loaded(stable, None, None)
        try:
            return Loaded(stable, self._load_version(endpoint, endpoint.canary_version), None)
        except NotServable as refusal:
            return Loaded(stable, None, f"canary: {refusal.reason}")

    def _load_version(self, endpoint: Endpoint, version: str) -> Served[C]:
        """Raises NotServable, whatever goes wrong."""
        loaded = self._registry.loaded.get((endpoint.model, version))
        if loaded is not None:
            return loaded
        try:
            return self._registry.load(endpoint.model, endpoint.api_version, version)
        except (Exception, SystemExit) as error:  # a model runs code of its own when it is loaded
            if isinstance(error, NotServable):
                raise
            raise NotServable(f"{endpoint.model} {version} cannot be loaded ({type(error).__name__}): publish it again") from error

    def _read(self) -> list[Endpoint]:
        with self._database.read() as session:
            return list_endpoints(session)

    def _version(self, release: Release[C], endpoint: Endpoint, key_id: str) -> str:
        if release.canary is not None and release.canary == endpoint.canary_version and self._share.includes(endpoint, key_id):
            return release.canary
        return release.stable

    def _fail(self, endpoint: Endpoint, reason: str) -> None:
        LOGGER.error("%s cannot be served as released: %s", endpoint.name, reason)
        self._registry.fail(endpoint.model, endpoint.api_version, reason)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _comes(known: Endpoint | None, endpoint: Endpoint) -> bool:
    """Whether an endpoint begins to answer: until it is loaded, 404 or 410 is truer than 503."""
    return endpoint.state != "retired" and (known is None or known.state == "retired")


def _unavailable(reason: str) -> EndpointUnavailable:
    return EndpointUnavailable(reason=reason, headers=[("Retry-After", RETRY_AFTER_S)])
