"""What is loaded in this process: endpoint to the model versions that answer for it."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, TypeVar

import numpy as np

from gatehouse.errors import PredictionFailed
from gatehouse.serving.engine import Engine, EngineUnusable
from gatehouse.serving.engines.onnx import OnnxEngine
from gatehouse.serving.independence import MOST_ROWS, ROWS, rows_stand_alone
from gatehouse.serving.manifest import GoldenRow, Manifest
from gatehouse.serving.parity import SEED, TOLERANCE
from gatehouse.serving.predictor import Predictor
from gatehouse.serving.repository import Repository, VerifiedVersion, VersionInvalid, VersionMissing
from gatehouse.serving.shape import ContractShape, FeatureShape, text_places
from gatehouse.serving.space import draw_rows, longest_row, to_values

C = TypeVar("C")
MEMORY_FACTOR = {"onnx": 8, "sklearn": 2}
MEMORY_EACH = 384 * 1024
"""Bytes of memory for each byte of an artifact, and for each version besides. Measured by scripts/bench/memory.py: a forest of 100 trees
took 7.8 times (ONNX) and 1.1 times (scikit-learn) its artifact, one of 300 trees 5.9 and 1.1 times. A compressed joblib file takes more."""
Endpoint = tuple[str, str]
"""Model and API version."""


class NotServable(Exception):
    """The version must not take traffic; `reason` is for operators and names the remedy."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Served(Generic[C]):
    """One loaded model version. `contract` is whatever the contracts room compiles; `memory_bytes` is reckoned, see MEMORY_EACH."""

    manifest: Manifest
    contract: C
    predictor: Predictor
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Release(Generic[C]):
    """Which versions answer for an endpoint. All its calls are read by `contract`, that of the stable version."""

    stable: str
    canary: str | None
    contract: C


class Registry(Generic[C]):
    """Loads in any thread, switches in one step: a call that holds a Served goes on with it, and its memory goes with the last of them.

    Changes are made by one thread at a time. Beyond `memory_bytes` (0: no limit) the versions that were used longest ago are
    unloaded; one that is larger than the limit is served alone.
    """

    def __init__(
        self, repository: Repository, compile_contract: Callable[[bytes], tuple[C, ContractShape]], *, memory_bytes: int = 0
    ) -> None:
        """`compile_contract` raises ValueError for a contract that cannot be used."""
        self._repository = repository
        self._compile = compile_contract
        self._memory_bytes = memory_bytes
        self._releases: dict[Endpoint, Release[C]] = {}
        self._loaded: OrderedDict[tuple[str, str], Served[C]] = OrderedDict()
        self._failures: dict[Endpoint, str] = {}
        self.sole: dict[Endpoint, tuple[C, Served[C]]] = {}
        """Contract and version of each endpoint whose own stable version answers every key, and is not unloaded for want of memory."""

    def release(self, model: str, api_version: str) -> Release[C] | None:
        """What answers for an endpoint, loaded or not; None where nothing does."""
        return self._releases.get((model, api_version))

    def get(self, model: str, api_version: str) -> Served[C] | None:
        """The stable version of an endpoint; None where nothing serves it, or it is not loaded."""
        release = self._releases.get((model, api_version))
        return self.use(model, release.stable) if release else None

    def use(self, model: str, version: str) -> Served[C] | None:
        """A loaded version, which is used now; None where it is not loaded."""
        served = self._loaded.get((model, version))
        if served is not None and self._memory_bytes:
            self._loaded.move_to_end((model, version))
        return served

    @property
    def loaded(self) -> Mapping[tuple[str, str], Served[C]]:
        """By model and version, the one that was used longest ago first."""
        return MappingProxyType(self._loaded)

    @property
    def memory_bytes(self) -> int:
        """What the loaded versions take, as far as it is reckoned."""
        return sum(served.memory_bytes for served in self._loaded.values())

    @property
    def full(self) -> bool:
        """Whether a further version would drive out another."""
        return bool(self._memory_bytes) and self.memory_bytes >= self._memory_bytes

    @property
    def failures(self) -> Mapping[Endpoint, str]:
        """Why the last try to load an endpoint's version came to nothing; an older version may still be serving."""
        return MappingProxyType(self._failures)

    def load(self, model: str, api_version: str, version: str) -> Served[C]:
        """Read, verify, build, check the golden row, warm up; changes nothing here. Raises NotServable."""
        try:
            verified = self._repository.read(model, version)
        except (VersionMissing, VersionInvalid) as error:
            raise NotServable(str(error)) from None
        contract, shape = self._contract(verified.manifest, verified.contract, model, api_version, version)
        predictor = _predictor(verified, shape)
        factor = MEMORY_FACTOR[verified.manifest.engine]
        return Served(verified.manifest, contract, predictor, MEMORY_EACH + factor * len(verified.artifact))

    def read_contract(self, model: str, api_version: str, version: str) -> C:
        """The verified contract of a version whose artifact is not read. Raises NotServable."""
        try:
            manifest, source = self._repository.read_contract(model, version)
        except (VersionMissing, VersionInvalid) as error:
            raise NotServable(str(error)) from None
        return self._contract(manifest, source, model, api_version, version)[0]

    def _contract(self, manifest: Manifest, source: bytes, model: str, api_version: str, version: str) -> tuple[C, ContractShape]:
        if (manifest.model, manifest.version, manifest.api_version) != (model, version, api_version):
            raise NotServable(
                f"{model} {version} belongs to {manifest.api_version}, not to {api_version}: release a version {api_version[1:]}.x.y"
            )
        try:
            contract, shape = self._compile(source)
        except ValueError as error:
            raise NotServable(f"{model} {version}: its contract cannot be used ({error}): publish it again") from None
        if (shape.model, shape.api_version, shape.digest) != (model, api_version, manifest.contract_digest):
            raise NotServable(f"{model} {version}: its contract is that of another endpoint: publish it again")
        return contract, shape

    def switch(self, stable: Served[C], canary: Served[C] | None = None) -> None:
        """From now on these versions answer for their endpoint, and its others are unloaded."""
        for served in (stable, canary):
            if served is not None:
                self._loaded[served.manifest.model, served.manifest.version] = served
        manifest = stable.manifest
        release = Release(manifest.version, canary.manifest.version if canary else None, stable.contract)
        self.announce(manifest.model, manifest.api_version, release)
        self._make_room(manifest.model, manifest.version)

    def announce(self, model: str, api_version: str, release: Release[C]) -> None:
        """From now on these versions answer for the endpoint; what is not loaded yet can be `keep`t later."""
        self._releases[model, api_version] = release
        self._failures.pop((model, api_version), None)
        self._unload_but(model, api_version, {release.stable, release.canary})

    def bridge(self, model: str, api_version: str, release: Release[C]) -> None:
        """From now on a version of another endpoint answers; `release` says by which contract. None of its own stays loaded."""
        self.announce(model, api_version, release)
        self._unload_but(model, api_version, set())

    def keep(self, served: Served[C]) -> None:
        """Take in a version, where it still answers for its endpoint."""
        manifest = served.manifest
        release = self._releases.get((manifest.model, manifest.api_version))
        if release is not None and manifest.version in (release.stable, release.canary):
            self._loaded[manifest.model, manifest.version] = served
            self._note_sole(manifest.model, manifest.api_version, release)
            self._make_room(manifest.model, manifest.version)

    def fail(self, model: str, api_version: str, reason: str) -> None:
        """Remember why a version could not be loaded; what serves goes on."""
        self._failures[model, api_version] = reason

    def drop(self, model: str, api_version: str) -> None:
        """Serve the endpoint no more."""
        self._releases.pop((model, api_version), None)
        self._failures.pop((model, api_version), None)
        self._unload_but(model, api_version, set())

    def _unload_but(self, model: str, api_version: str, versions: Set[str | None]) -> None:
        gone = [
            name
            for name, served in self._loaded.items()
            if name[0] == model and served.manifest.api_version == api_version and name[1] not in versions
        ]
        for name in gone:
            del self._loaded[name]
        self._note_sole(model, api_version, self._releases.get((model, api_version)))

    def _note_sole(self, model: str, api_version: str, release: Release[C] | None) -> None:
        """After each change of what an endpoint is released with, or of which of its versions are loaded."""
        served = self._loaded.get((model, release.stable)) if release and release.canary is None and not self._memory_bytes else None
        if release is None or served is None:
            self.sole.pop((model, api_version), None)
        else:
            self.sole[model, api_version] = release.contract, served

    def _make_room(self, model: str, version: str) -> None:
        """Unload what was used longest ago until the rest fits, never the version that has just come."""
        if not self._memory_bytes:
            return
        self._loaded.move_to_end((model, version))
        while len(self._loaded) > 1 and self.memory_bytes > self._memory_bytes:
            self._loaded.popitem(last=False)


def _predictor(verified: VerifiedVersion, shape: ContractShape) -> Predictor:
    manifest = verified.manifest
    name = f"{manifest.model} {manifest.version}"
    try:
        engine = _engine(verified, shape.features)
        predictor = Predictor(engine, shape.output)
    except (EngineUnusable, ValueError) as error:
        raise NotServable(f"{name}: {error}") from None
    _check_golden_row(name, engine, predictor, manifest.golden_row, shape)
    predictor.joins = _joins(predictor, shape.features)
    return predictor


def _joins(predictor: Predictor, features: Sequence[FeatureShape]) -> bool:
    """A graph that may be scored on the event loop is joined or not as calls happen to come in: of it no bit may depend on that."""
    inline_rows = predictor.engine.inline_rows
    values = to_values(features, draw_rows(features, max(ROWS, min(inline_rows, MOST_ROWS)), SEED))
    return rows_stand_alone(predictor, values, exactly=inline_rows > 0)


def _engine(verified: VerifiedVersion, features: Sequence[FeatureShape]) -> Engine:
    manifest = verified.manifest
    if manifest.engine == "onnx":
        texts, longest = text_places(features), longest_row(features)
        return OnnxEngine(verified.artifact, len(longest), manifest.classes, texts=texts, longest=longest)
    # a server whose models are all ONNX never imports a pickle loader
    from gatehouse.serving.engines.sklearn import SklearnEngine

    return SklearnEngine.from_verified(
        verified.artifact,
        manifest.libraries.get("scikit-learn"),
        manifest.classes,
        own_labels=manifest.own_labels,
        code=verified.code,
        texts=text_places(features),
    )


def _check_golden_row(name: str, engine: Engine, predictor: Predictor, golden: GoldenRow, shape: ContractShape) -> None:
    """The examples must be answered as they were when the version was published. Raises NotServable."""
    failed = NotServable(f"{name}: the golden row is not answered as it was published: roll back, or publish the model again here")
    if len(golden.inputs) != len(shape.features):
        raise failed
    values = to_values(shape.features, [golden.inputs])
    try:
        predictor.answer(values, tuple(shape.output.returns))
        scores = engine.score(values)[0].ravel()
    except PredictionFailed as error:
        raise NotServable(f"{name}: the golden row is not answered ({error.reason}): roll back, or publish the model again here") from None
    expected = np.array(golden.scores)
    allowed = TOLERANCE if engine.classes is not None else TOLERANCE * np.abs(expected)
    if scores.shape != expected.shape or not (np.abs(scores - expected) <= allowed).all():
        raise failed
