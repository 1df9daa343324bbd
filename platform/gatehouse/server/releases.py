"""Keeps what callers see and what is loaded at what is released: one load at a time, off the event loop, and no change is lost."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Generic, TypeVar

from gatehouse.db.revision import EVERYTHING, Change
from gatehouse.db.session import GONE, Database
from gatehouse.errors import EndpointUnavailable
from gatehouse.migration.bridging import bridges_to
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.lifecycle import Endpoints
from gatehouse.migration.release import CanaryShare
from gatehouse.migration.store import list_endpoints
from gatehouse.server.bridges import Bridges
from gatehouse.server.loading import Answering, Loaded, Loader, answering
from gatehouse.server.retries import Retries
from gatehouse.server.shown import as_shown
from gatehouse.serving.registry import NotServable, Registry, Release, Served

LOGGER = logging.getLogger("gatehouse.releases")
DATABASE_RETRY_S = 1.0
C = TypeVar("C")
T = TypeVar("T")


class Releases(Generic[C]):
    """All but `start` is called on the event loop."""

    def __init__(self, database: Database, endpoints: Endpoints, registry: Registry[C], bridges: Bridges[C], share: CanaryShare) -> None:
        self._database = database
        self._endpoints = endpoints
        self._registry = registry
        self._bridges = bridges
        self._loader = Loader(registry, bridges)
        self._share = share
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="loading")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="releases")
        self.retries = Retries()
        self._changed: set[str] = set()
        self._following: asyncio.Task[None] | None = None
        self._shown: Callable[[], None] = lambda: None
        self._released: dict[str, Endpoint] = {}
        """All endpoints by name, as they were read last; callers may still see an older state of one."""
        self._waiting: dict[str, None] = {}
        """Names of what changed and is to be loaded, in order."""
        self._taken: dict[str, Answering] = {}
        """By endpoint, what was taken over without a failure."""
        self._taking_over: asyncio.Task[None] | None = None
        self._loading: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._broken: set[tuple[str, str]] = set()

    def start(self, *, lazy: bool) -> None:
        """Blocks: load what is released, or with `lazy` and where memory is full only read the contracts."""
        endpoints = self._read()
        self._released = {endpoint.name: endpoint for endpoint in endpoints}
        for endpoint in sorted(endpoints, key=lambda each: each.bridged_to is not None):  # what bridges lead to comes first
            if endpoint.state == "retired":
                continue
            if endpoint.bridged_to is None and (lazy or self._registry.full):
                self._announce(endpoint)
            else:
                self._take_over(endpoint, self._loader.load(endpoint))
        self._endpoints.replace(endpoints)

    def close(self) -> None:
        """Load nothing more."""
        self._thread.shutdown(cancel_futures=True)
        self._reader.shutdown(cancel_futures=True)

    def find(self, endpoint: Endpoint, key_id: str) -> tuple[C, Served[C]] | None:
        """The stable contract and the version that answers this key; None where that is not loaded."""
        name = endpoint.model, endpoint.api_version
        sole = self._registry.sole.get(name)
        if sole is not None and endpoint.bridged_to is None:
            return sole
        release = self._registry.release(*name)
        if release is None:
            return None
        if endpoint.bridged_to is not None:
            served = self._bridges.find(endpoint, release)
        else:
            served = self._registry.use(endpoint.model, self._version(release, endpoint, key_id))
        return (release.contract, served) if served else None

    async def load(self, endpoint: Endpoint, key_id: str, deadline_s: float) -> tuple[C, Served[C]]:
        """The same, loaded first; calls that come meanwhile share the load. Raises EndpointUnavailable."""
        for _ in ("the version asked for", "the stable one, where the canary could not be loaded"):
            serving = self._serving(endpoint)
            release = self._registry.release(serving.model, serving.api_version)
            if release is None:
                raise EndpointUnavailable.because("not_served")
            version = self._version(release, endpoint, key_id) if serving is endpoint else release.stable
            name = (endpoint.model, version)
            if name in self._broken:
                raise EndpointUnavailable.because("cannot_be_loaded")
            if name not in self._loading:
                self._loading[name] = asyncio.get_running_loop().create_task(self._load(serving, version))
            await asyncio.wait((self._loading[name],), timeout=deadline_s)
            found = self.find(endpoint, key_id)
            if found is not None:
                return found
        raise EndpointUnavailable.because("not_loaded")

    def follow(self, changes: Iterable[Change], shown: Callable[[], None]) -> None:
        """Take over what changed, in the background; called several times a second, also where nothing has.

        `shown` is called once callers see all of it but what is still to be loaded: at once where nothing is to be read, else of those
        that wait the last.
        """
        for change in changes:
            if change == EVERYTHING:
                self._changed.update(endpoint.name for endpoint in self._endpoints.all())
            if change == EVERYTHING or change.kind == "endpoint":
                self._changed.add(change.id)
        if self.retries.due(failing=bool(self._registry.failures)):
            self._changed.update("/".join(name) for name in self._registry.failures)
        if self._changed and (self._following is None or self._following.done()):
            self._following = asyncio.get_running_loop().create_task(self._follow())
        if self._following is None or self._following.done():
            shown()
        else:
            self._shown = shown

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
                self._taken.pop(name, None)
            self._show()
            if self._waiting and (self._taking_over is None or self._taking_over.done()):
                self._taking_over = asyncio.get_running_loop().create_task(self._load_waiting())
        self._shown()

    async def _load_waiting(self) -> None:
        while self._waiting:
            name = next(iter(self._waiting))
            del self._waiting[name]  # a change that comes during the load is loaded after it
            endpoint = self._released.get(name)
            if endpoint is None:
                continue
            try:
                taken = await self._load_changed(endpoint)
            except Exception as error:  # one endpoint keeps no other from being loaded
                LOGGER.exception("%s could not be taken over", name)
                self._fail(endpoint, f"it could not be taken over ({type(error).__name__}): see the log, then release it again")
                taken = False
            self._show(name, taken=taken)

    async def _load_changed(self, endpoint: Endpoint) -> bool:
        """Whether it answers by now as it is released. Where just its deprecation or the like changed, nothing is loaded."""
        if endpoint.bridged_to is None:
            self._broken = {broken for broken in self._broken if broken[0] != endpoint.model}
        if self._taken.get(endpoint.name) == answering(endpoint):
            return True
        bridged = self._bridges_to(endpoint)
        for each in bridged:  # whether they hold is seen anew
            self._taken.pop(each.name, None)
            self._waiting[each.name] = None
        return self._take_over(endpoint, await self._in_thread(partial(self._loader.load, endpoint, bridged)))

    def _show(self, tried: str | None = None, *, taken: bool = False) -> None:
        """What callers see: the new state of things.

        But an endpoint that begins to answer stays as it is known until its load was `tried`, and one whose bridge begins or ends
        is answered as before until what is to answer was `taken` over.
        """
        known = {endpoint.name: endpoint for endpoint in self._endpoints.all()}
        shown = (
            as_shown(known.get(name), endpoint, tried=name == tried, taken=name == tried and taken)
            for name, endpoint in self._released.items()
        )
        self._endpoints.replace([endpoint for endpoint in shown if endpoint is not None])

    def _take_over(self, endpoint: Endpoint, loaded: Loaded[C]) -> bool:
        """Whether what was loaded answers from now on; where it does not, what answered before goes on."""
        model, api_version = endpoint.model, endpoint.api_version
        self._taken[endpoint.name] = answering(endpoint)
        if endpoint.state == "retired":
            self._registry.drop(model, api_version)
            return True
        taken = loaded.stable is not None
        if loaded.stable is not None:
            self._registry.switch(loaded.stable, loaded.canary)
        elif loaded.bridge is not None and (loaded.reason is None or self._registry.release(model, api_version) is None):
            self._registry.bridge(model, api_version, loaded.bridge)
            taken = True
        if loaded.reason is not None:
            self._fail(endpoint, loaded.reason)
        return taken

    def _announce(self, endpoint: Endpoint) -> None:
        model, api_version = endpoint.model, endpoint.api_version
        try:
            contract = self._registry.read_contract(model, api_version, endpoint.stable_version)
        except NotServable as refusal:
            self._fail(endpoint, refusal.reason)
            return
        self._registry.announce(model, api_version, Release(endpoint.stable_version, endpoint.canary_version, contract))
        self._taken[endpoint.name] = answering(endpoint)

    async def _load(self, endpoint: Endpoint, version: str) -> None:
        """One version that is called and not loaded."""
        try:
            served = await self._in_thread(partial(self._loader.load_version, endpoint, version))
        except NotServable as refusal:
            self._broken.add((endpoint.model, version))
            release = self._registry.release(endpoint.model, endpoint.api_version)
            if release is not None and version == release.canary:
                self._registry.announce(endpoint.model, endpoint.api_version, replace(release, canary=None))
            self._fail(endpoint, refusal.reason)
            for each in self._bridges_to(endpoint):
                self._fail(each, f"it is bridged to {endpoint.name}, whose version {version} cannot be loaded")
        else:
            self._registry.keep(served)
        finally:
            del self._loading[endpoint.model, version]

    def _serving(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint whose versions answer: itself, or the other end of its bridge. Raises EndpointUnavailable."""
        if endpoint.bridged_to is None:
            return endpoint
        other = self._released.get(f"{endpoint.model}/{endpoint.bridged_to}")
        release = self._registry.release(endpoint.model, endpoint.api_version)
        if other is None or release is None or self._bridges.obstacle(endpoint, release) is not None:
            raise EndpointUnavailable.because("not_bridged")
        return other

    def _bridges_to(self, endpoint: Endpoint) -> list[Endpoint]:
        return bridges_to(endpoint, self._released.values())

    def _read(self) -> list[Endpoint]:
        with self._database.read() as session:
            return list_endpoints(session)

    def _version(self, release: Release[C], endpoint: Endpoint, key_id: str) -> str:
        if release.canary is not None and release.canary == endpoint.canary_version and self._share.includes(endpoint, key_id):
            return release.canary
        return release.stable

    def _fail(self, endpoint: Endpoint, reason: str) -> None:
        if self._registry.failures.get((endpoint.model, endpoint.api_version)) != reason:  # said once, however often it is tried
            LOGGER.error("%s cannot be served as released: %s", endpoint.name, reason)
        self._taken.pop(endpoint.name, None)  # so that it is tried again
        self._registry.fail(endpoint.model, endpoint.api_version, reason)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
