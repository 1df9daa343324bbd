"""Versions of the model `line`, written by hand, which is quicker than to publish them; and their releases, as the commands do them."""

import hashlib
import io
from datetime import UTC, datetime
from pathlib import Path

import joblib
import numpy as np
import sklearn
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression
from stage import ACTOR, ONE_NUMBER_TOML, Stage

from gatehouse.cli import releasing
from gatehouse.cli.deployment import Deployment
from gatehouse.serving.manifest import ARTIFACT_FILES, CONTRACT_FILE, MANIFEST_FORMAT, FileDigest, GoldenRow, Manifest
from gatehouse.serving.repository import Repository
from gatehouse.serving.signing import Signer, TrustedKeys

LINE = "/v1/models/line/predict"
TOML = ONE_NUMBER_TOML.format(model="line")
GROWN = TOML.replace(
    "[output]", '[features.weight]\ntype = "number"\nminimum = 0\nmaximum = 100\nrequired = false\ndefault = 4\nexample = 2\n[output]'
)


def estimator(offset: int, features: int) -> LinearRegression:
    """Answers the sum of its columns and `offset`."""
    fitted = LinearRegression()
    fitted.coef_, fitted.intercept_, fitted.n_features_in_ = np.ones(features), float(offset), features
    return fitted


def artifact_of(fitted: LinearRegression, engine: str) -> bytes:
    if engine == "onnx":
        graph: bytes = to_onnx(fitted, np.zeros((1, fitted.n_features_in_), np.float32)).SerializeToString()
        return graph
    target = io.BytesIO()
    joblib.dump(fitted, target)
    return target.getvalue()


def publish_line(published: Path, stage: Stage, offset: int, toml: str = TOML, engine: str | None = None) -> Path:
    """Writes `line 1.OFFSET.0`, which answers its columns' sum plus OFFSET: in turn for either engine. Returns its folder."""
    engine = engine or ("onnx", "sklearn")[offset % 2]
    example = (1.5, 2)[: toml.count("[features.")]
    fitted, contract = estimator(offset, len(example)), toml.encode()
    artifact, digest = artifact_of(fitted, engine), hashlib.sha256(contract).hexdigest()
    signer = Signer.load(published / "publishing-key.pem")
    manifest = Manifest(
        format=MANIFEST_FORMAT,
        model="line",
        version=f"1.{offset}.0",
        api_version="v1",
        engine=engine,  # type: ignore[arg-type]
        engine_reason=None if engine == "onnx" else "made by hand",
        files={
            CONTRACT_FILE: FileDigest(digest, len(contract)),
            ARTIFACT_FILES[engine]: FileDigest(hashlib.sha256(artifact).hexdigest(), len(artifact)),
        },
        contract_digest=digest,
        classes=None,
        libraries={"scikit-learn": sklearn.__version__},
        parity=None,
        golden_row=GoldenRow(example, (float(sum(example) + offset),)),
        publishing_key=signer.key_id,
        created_at=datetime(2026, 11, 21, tzinfo=UTC),
    )
    repository = Repository(stage.state_dir / "models", TrustedKeys.load(stage.state_dir / "trusted-keys"))
    return repository.write(manifest, contract, artifact, signer)


def deployment(stage: Stage) -> Deployment:
    return Deployment(stage.settings, stage.database, ACTOR)


def release(stage: Stage, offset: int, canary: int | None = None) -> None:
    releasing.release(deployment(stage), "line", "v1", f"1.{offset}.0", canary, force=False)


def rollback(stage: Stage) -> None:
    releasing.rollback(deployment(stage), "line", "v1", force=False)
