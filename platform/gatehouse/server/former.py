"""Versions that no release names any more, loaded for a while for repeats of calls that they answered first."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from gatehouse.errors import EndpointUnavailable, IdempotencyVersionGone
from gatehouse.migration.endpoint import api_version_of
from gatehouse.server.bridges import Bridges
from gatehouse.serving.registry import NotServable, Registry, Served

LOGGER = logging.getLogger("gatehouse.releases")
KEPT = 2
KEPT_S = 600.0
TRY_AGAIN_S = 30.0
C = TypeVar("C")
Name = tuple[str, str]
"""Model and version."""


class FormerVersions(Generic[C]):
    """Used on the event loop. Loads one at a time in a thread of its own, so that no release waits for a repeat."""

    def __init__(self, registry: Registry[C], bridges: Bridges[C]) -> None:
        self._registry = registry
        self._bridges = bridges
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="former")
        self._loads: dict[Name, asyncio.Task[Served[C] | None]] = {}
        """The one that was asked for longest ago first."""

    def close(self) -> None:
        """Load nothing more."""
        self._thread.shutdown(cancel_futures=True)

    async def load(self, model: str, api_version: str, version: str, deadline_s: float) -> Served[C]:
        """A version, whether it is released or not; one of a later API version by the contract of the endpoint, as over a bridge.

        Raises IdempotencyVersionGone, EndpointUnavailable.
        """
        served = self._registry.use(model, version) or await self._loaded((model, version), deadline_s)
        return served if served.manifest.api_version == api_version else self._across(api_version, served)

    def _across(self, api_version: str, served: Served[C]) -> Served[C]:
        release = self._registry.release(served.manifest.model, api_version)
        try:
            if release is not None:
                return self._bridges.over(release, served)
        except NotServable as refusal:
            LOGGER.warning("a repeated call cannot be answered over a bridge any more: %s", refusal.reason)
        raise IdempotencyVersionGone()

    async def _loaded(self, name: Name, deadline_s: float) -> Served[C]:
        loading = self._loads.pop(name, None) or asyncio.get_running_loop().create_task(self._load(name))
        self._loads[name] = loading
        self._make_room()
        await asyncio.wait((loading,), timeout=deadline_s)
        if not loading.done():
            raise EndpointUnavailable.because("former_not_loaded")
        served = loading.result()
        if served is None:
            raise IdempotencyVersionGone()
        return served

    async def _load(self, name: Name) -> Served[C] | None:
        loop = asyncio.get_running_loop()
        served = await loop.run_in_executor(self._thread, self._load_now, name)
        loop.call_later(TRY_AGAIN_S if served is None else KEPT_S, self._loads.pop, name, None)
        return served

    def _load_now(self, name: Name) -> Served[C] | None:
        model, version = name
        try:
            return self._registry.load(model, api_version_of(version), version)
        except (Exception, SystemExit) as error:  # a model runs code of its own when it is loaded
            reason = error.reason if isinstance(error, NotServable) else type(error).__name__
            LOGGER.warning("%s %s, which repeated calls want, cannot be loaded: %s", model, version, reason)
            return None

    def _make_room(self) -> None:
        """With a limit of memory that is reached, what the releases need comes first."""
        done = [name for name, load in self._loads.items() if load.done()]
        for name in done[: max(0, len(self._loads) - (1 if self._registry.full else KEPT))]:
            del self._loads[name]
