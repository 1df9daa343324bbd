"""Versions that no release names, for repeats: loaded once for all that wait, kept for a while, and said to be gone where they are."""

import asyncio
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from line_versions import publish_line
from stage import Stage

from gatehouse.composition.serving import bind_contracts, compile_contract
from gatehouse.errors import EndpointUnavailable, IdempotencyVersionGone
from gatehouse.server.bridges import Bridges
from gatehouse.server.former import KEPT, FormerVersions
from gatehouse.serving.registry import Registry, Served
from gatehouse.serving.repository import Repository
from gatehouse.serving.signing import TrustedKeys


class CountingRegistry(Registry[Any]):
    """The real one, which says what it loads, and waits for `go`."""

    def __init__(self, stage: Stage, **more: int) -> None:
        repository = Repository(stage.state_dir / "models", TrustedKeys.load(stage.state_dir / "trusted-keys"))
        super().__init__(repository, compile_contract, **more)
        self.loads: list[str] = []
        self.go = threading.Event()
        self.go.set()

    def load(self, model: str, api_version: str, version: str) -> Served[Any]:
        self.loads.append(version)
        self.go.wait(20)
        return super().load(model, api_version, version)


@pytest.fixture
def versions(stage: Stage, published: Path) -> Stage:
    for offset in (2, 4):
        publish_line(published, stage, offset)
    return stage


@pytest.fixture
def registry(versions: Stage) -> CountingRegistry:
    return CountingRegistry(versions)


async def load(former: FormerVersions[Any], version: str, deadline_s: float = 20) -> str:
    served = await former.load("line", "v1", version, deadline_s)
    return served.manifest.version


def test_a_version_is_loaded_once_for_all_that_ask_and_the_last_ones_are_kept(registry: CountingRegistry) -> None:
    former = FormerVersions(registry, Bridges(registry, bind_contracts))

    async def asked() -> None:
        assert await asyncio.gather(*(load(former, "1.0.0") for _ in range(5))) == ["1.0.0"] * 5
        for version in ("1.2.0", "1.0.0", "1.4.0", "1.0.0", "1.2.0"):
            assert await load(former, version) == version
        assert registry.loads == ["1.0.0", "1.2.0", "1.4.0", "1.2.0"]

    assert KEPT == 2
    asyncio.run(asked())
    former.close()


def test_what_is_released_is_not_loaded_again_and_with_full_memory_one_is_kept(versions: Stage) -> None:
    registry = CountingRegistry(versions, memory_bytes=1)
    registry.switch(registry.load("line", "v1", "1.0.0"))
    former = FormerVersions(registry, Bridges(registry, bind_contracts))

    async def asked() -> None:
        for version in ("1.0.0", "1.2.0", "1.4.0", "1.4.0", "1.2.0"):
            assert await load(former, version) == version

    asyncio.run(asked())
    assert registry.loads == ["1.0.0", "1.2.0", "1.4.0", "1.2.0"]
    former.close()


def test_a_version_that_is_gone_or_tampered_with_is_said_to_be_gone_and_not_read_on_every_call(
    versions: Stage, registry: CountingRegistry
) -> None:
    shutil.rmtree(versions.state_dir / "models" / "line" / "1.2.0")
    (versions.state_dir / "models" / "line" / "1.4.0" / "model.onnx").write_bytes(b"other")
    former = FormerVersions(registry, Bridges(registry, bind_contracts))

    async def asked() -> None:
        for version in ("1.2.0", "1.4.0") * 2:
            with pytest.raises(IdempotencyVersionGone):
                await load(former, version)

    asyncio.run(asked())
    assert registry.loads == ["1.2.0", "1.4.0"]
    former.close()


def test_past_the_deadline_the_call_is_503_and_the_load_goes_on(registry: CountingRegistry) -> None:
    former = FormerVersions(registry, Bridges(registry, bind_contracts))
    registry.go.clear()

    async def asked() -> None:
        with pytest.raises(EndpointUnavailable) as refusal:
            await load(former, "1.2.0", 0.01)
        assert dict(refusal.value.headers) == {"Retry-After": "5"}
        registry.go.set()
        assert await load(former, "1.2.0") == "1.2.0"

    asyncio.run(asked())
    assert registry.loads == ["1.2.0"]
    former.close()
