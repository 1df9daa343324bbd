"""Recipes trained once, published once; and small hand-made versions for tests that tamper with them."""

import hashlib
import importlib.util
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn
from contract_text import pair_contract
from sklearn.linear_model import LogisticRegression

from gatehouse.contracts.contract import Contract, parse_contract
from gatehouse.serving.manifest import ARTIFACT_FILES, CONTRACT_FILE, MANIFEST_FORMAT, FileDigest, GoldenRow, Manifest
from gatehouse.serving.options import PublishOptions
from gatehouse.serving.publish import DEFAULTS, Publication, publish
from gatehouse.serving.recipes import train_recipe
from gatehouse.serving.registry import Registry
from gatehouse.serving.repository import Repository
from gatehouse.serving.signing import Signer, TrustedKeys, create_publishing_key

RECIPES = (("iris", "v1"), ("iris", "v2"), ("breast_cancer", "v1"), ("diabetes", "v1"))
MODELS = Path(__file__).parents[2] / "models"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PAIR_TOML = pair_contract()


@dataclass(frozen=True)
class Recipe:
    """One recipe's contract, its trained artifact and the rows it was trained on."""

    contract: Contract
    source: bytes
    artifact: bytes
    rows: Any

    @property
    def estimator(self) -> Any:
        return joblib.load(io.BytesIO(self.artifact))


@dataclass(frozen=True)
class Workshop:
    """A repository with a trusted publishing key."""

    repository: Repository
    signer: Signer
    folder: Path

    def registry(self) -> Registry[Contract]:
        return Registry(self.repository, compiled)

    def manifest(self, artifact: bytes, contract: bytes = PAIR_TOML.encode(), **changes: Any) -> Manifest:
        """The manifest of a hand-made scikit-learn version `pair 1.0.0`."""
        engine = changes.get("engine", "sklearn")
        digest = hashlib.sha256(contract).hexdigest()
        members: dict[str, Any] = {
            "format": MANIFEST_FORMAT,
            "model": "pair",
            "version": "1.0.0",
            "api_version": "v1",
            "engine": engine,
            "engine_reason": "made by hand",
            "files": {
                CONTRACT_FILE: FileDigest(digest, len(contract)),
                ARTIFACT_FILES[engine]: FileDigest(hashlib.sha256(artifact).hexdigest(), len(artifact)),
            },
            "contract_digest": digest,
            "classes": (0, 1),
            "libraries": {"scikit-learn": sklearn.__version__},
            "parity": None,
            "golden_row": GoldenRow((0.5, -1.5), tuple(pair_estimator().predict_proba([[0.5, -1.5]])[0].tolist())),
            "publishing_key": self.signer.key_id,
            "created_at": NOW,
        }
        return Manifest(**(members | changes))

    def write(self, artifact: bytes, contract: bytes = PAIR_TOML.encode(), **changes: Any) -> Path:
        """A hand-made version, signed and written."""
        return self.repository.write(self.manifest(artifact, contract, **changes), contract, artifact, self.signer)


def compiled(source: bytes) -> tuple[Contract, Contract]:
    contract = parse_contract(source, "contract.toml")
    return contract, contract


def pair_estimator() -> LogisticRegression:
    random = np.random.default_rng(7)
    rows = random.normal(size=(80, 2))
    return LogisticRegression().fit(rows, (rows[:, 0] > rows[:, 1]).astype(int))


def dumped(estimator: Any) -> bytes:
    target = io.BytesIO()
    joblib.dump(estimator, target)
    return target.getvalue()


def make_workshop(folder: Path) -> Workshop:
    signer = create_publishing_key(folder / "publishing-key.pem", folder / "trusted")
    return Workshop(Repository(folder / "models", TrustedKeys.load(folder / "trusted")), signer, folder)


def recipe_module(model: str) -> Any:
    path = MODELS / model / "train.py"
    spec = importlib.util.spec_from_file_location(f"recipe_{model}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return make_workshop(tmp_path)


@pytest.fixture
def pair() -> bytes:
    """A fitted estimator of two features as a joblib file."""
    return dumped(pair_estimator())


@pytest.fixture
def dump() -> Callable[[Any], bytes]:
    return dumped


@pytest.fixture(scope="session")
def recipes() -> dict[tuple[str, str], Recipe]:
    found = {}
    for model, api_version in RECIPES:
        source = (MODELS / model / f"{api_version}.toml").read_bytes()
        rows = np.asarray(recipe_module(model).data(api_version)[0], dtype=float)
        artifact = train_recipe(MODELS / model, api_version)
        found[model, api_version] = Recipe(parse_contract(source, model), source, artifact, rows)
    return found


@dataclass(frozen=True)
class Published:
    workshop: Workshop
    registry: Registry[Contract]
    publications: dict[tuple[str, str], Publication]
    said: list[str]


@pytest.fixture(scope="session")
def published(recipes: dict[tuple[str, str], Recipe], tmp_path_factory: pytest.TempPathFactory) -> Published:
    """All recipes, published and loaded."""
    workshop = make_workshop(tmp_path_factory.mktemp("published"))
    registry = workshop.registry()
    publications, said = {}, []
    for (model, api_version), recipe in recipes.items():
        publications[model, api_version] = publish(
            recipe.artifact,
            recipe.contract,
            recipe.source,
            version=f"{api_version[1:]}.0.0",
            repository=workshop.repository,
            signer=workshop.signer,
            progress=said.append,
            now=NOW,
        )
        registry.switch(registry.load(model, api_version, f"{api_version[1:]}.0.0"))
    return Published(workshop, registry, publications, said)


@pytest.fixture(params=RECIPES, ids=lambda pair: "-".join(pair))
def endpoint(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Every shipped endpoint in turn."""
    found: tuple[str, str] = request.param
    return found


@pytest.fixture
def publish_pair(workshop: Workshop) -> Callable[..., Publication]:
    """Publish an estimator under a contract in TOML; `said` gets the progress lines."""

    def run(
        estimator: Any,
        toml: str = PAIR_TOML,
        version: str = "1.0.0",
        said: list[str] | None = None,
        options: PublishOptions = DEFAULTS,
    ) -> Publication:
        artifact = estimator if isinstance(estimator, bytes) else dumped(estimator)
        return publish(
            artifact,
            parse_contract(toml.encode(), "test"),
            toml.encode(),
            version=version,
            repository=workshop.repository,
            signer=workshop.signer,
            progress=(said if said is not None else []).append,
            now=NOW,
            options=options,
        )

    return run


@pytest.fixture
def pair_toml() -> str:
    return PAIR_TOML
