"""Two hundred published models: loaded at the start or each by its first call, and never beyond the limit of memory."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from stage import ACTOR, MIXED_ROW, Live, Stage, instances

from gatehouse.migration.store import create_endpoint
from gatehouse.serving.manifest import CONTRACT_FILE, FileDigest
from gatehouse.serving.registry import MEMORY_EACH, MEMORY_FACTOR
from gatehouse.serving.repository import Repository
from gatehouse.serving.signing import Signer, TrustedKeys

MODELS = tuple(f"a{number:03}" for number in range(200))
"""By name they come before the models that every stage has."""
FIT = 12
"""How many of them the limit of memory lets in."""


@dataclass(frozen=True)
class Many:
    """A deployment in which they are published and released, and a key that may call each of them."""

    stage: Stage
    key: str
    limit: int

    def call(self, live: Live, model: str) -> None:
        answer = live.predict(self.key, instances(MIXED_ROW), f"/v1/models/{model}/predict")
        assert answer.status_code == 200, answer.text
        assert (answer.json()["model"], answer.json()["predictions"][0]["label"]) == (model, "leaves")


@pytest.fixture(scope="module")
def many(module_stage: Stage, published: Path) -> Many:
    """Signed copies of one trained model under other names: nothing that loads them knows that they are alike."""
    repository = Repository(module_stage.state_dir / "models", TrustedKeys.load(module_stage.state_dir / "trusted-keys"))
    signer, original = Signer.load(published / "publishing-key.pem"), repository.read("mixed", "1.0.0")
    for model in MODELS:
        contract = original.contract.replace(b'"mixed"', f'"{model}"'.encode())
        digest = FileDigest(hashlib.sha256(contract).hexdigest(), len(contract))
        files = original.manifest.files | {CONTRACT_FILE: digest}
        manifest = msgspec.structs.replace(original.manifest, model=model, contract_digest=digest.sha256, files=files)
        repository.write(manifest, contract, original.artifact, signer)
    with module_stage.database.write() as session:
        for model in MODELS:
            create_endpoint(session, ACTOR, model, "1.0.0")
    each = MEMORY_EACH + MEMORY_FACTOR[original.manifest.engine] * len(original.artifact)
    return Many(module_stage, module_stage.tenant("many", *MODELS), FIT * each)


def loaded(live: Live) -> list[str]:
    """Those of them that are loaded, the one that was used longest ago first."""
    return [model for model, _ in live.app.serving.registry.loaded if model in MODELS]


def calls() -> Iterator[str]:
    """All of them in turn, and the first one again and again."""
    for place, model in enumerate(MODELS):
        yield model
        if place % 5 == 4:
            yield MODELS[0]


def test_eager_loads_all_of_them_at_the_start(many: Many) -> None:
    with many.stage.serving(load_models="eager") as live:
        assert loaded(live) == list(MODELS)
        many.call(live, MODELS[-1])


def test_lazy_loads_none_at_the_start_knows_every_contract_and_loads_what_is_called(many: Many) -> None:
    with many.stage.serving(load_models="lazy") as live:
        assert loaded(live) == []
        listed = {endpoint["model"]: endpoint for endpoint in live.get("/v1/models", many.key).json()["models"]}
        assert {model for model, endpoint in listed.items() if endpoint["model_version"] == "1.0.0"} == set(MODELS)
        for model in (MODELS[7], MODELS[150]):
            many.call(live, model)
        assert loaded(live) == [MODELS[7], MODELS[150]]


@pytest.mark.parametrize("load_models", ["eager", "lazy"])
def test_all_are_answered_within_the_limit_and_the_one_used_longest_ago_goes(many: Many, load_models: str) -> None:
    with many.stage.serving(load_models=load_models, model_memory_bytes=str(many.limit)) as live:
        expected = list(MODELS[:FIT]) if load_models == "eager" else []
        assert loaded(live) == expected
        for model in calls():
            many.call(live, model)
            expected = [*(other for other in expected if other != model), model][-FIT:]
            assert loaded(live) == expected
            assert live.app.serving.registry.memory_bytes <= many.limit
        assert MODELS[0] in expected
        assert live.get("/health/ready").json() == {"status": "ready"}
