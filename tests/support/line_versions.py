"""Versions of the model `line`, written by hand, which is quicker than to publish them; and their releases, as the commands do them."""

import hashlib
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import sklearn
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression
from stage import ACTOR, ONE_NUMBER_TOML, Stage

from gatehouse.cli.deployment import Deployment
from gatehouse.migration.store import activate, create_endpoint
from gatehouse.operating import releasing
from gatehouse.serving.manifest import ARTIFACT_FILES, CONTRACT_FILE, MANIFEST_FORMAT, FileDigest, GoldenRow, Manifest
from gatehouse.serving.repository import Repository
from gatehouse.serving.signing import Signer, TrustedKeys

LINE = "/v1/models/line/predict"
TOML = ONE_NUMBER_TOML.format(model="line")
NEWER = (
    TOML.replace('"v1"', '"v2"').replace("[features.size]", "[features.size_mm]").replace("maximum = 200", "maximum = {most}")
    + """[upgrade.from.v1]
rules = [{{scale = "size", to = "size_mm", factor = 10, partial = true}}]
[upgrade.from.v1.answer]
factor = 0.1
"""
)
"""v2 takes tenths of what v1 takes, and answers in them."""
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


def publish_line(published: Path, stage: Stage, offset: int, toml: str = TOML, engine: str | None = None, *, major: int = 1) -> Path:
    """Writes `line MAJOR.OFFSET.0`, which answers its columns' sum plus OFFSET: in turn for either engine. Returns its folder."""
    engine = engine or ("onnx", "sklearn")[offset % 2]
    example = (1.5, 2)[: toml.count("[features.")]
    golden = GoldenRow(example, (float(sum(example) + offset),))
    return write_version(published, stage, "line", f"{major}.{offset}.0", estimator(offset, len(example)), toml, golden, engine=engine)


def write_version(
    published: Path,
    stage: Stage,
    model: str,
    version: str,
    fitted: Any,
    toml: str,
    golden: GoldenRow,
    *,
    engine: str = "sklearn",
    **more: Any,
) -> Path:
    """Writes and signs a version as it is, without trying it. Returns its folder."""
    contract = toml.encode()
    artifact, digest = artifact_of(fitted, engine), hashlib.sha256(contract).hexdigest()
    signer = Signer.load(published / "publishing-key.pem")
    manifest = Manifest(
        format=MANIFEST_FORMAT,
        model=model,
        version=version,
        api_version=f"v{version[0]}",
        engine=engine,  # type: ignore[arg-type]
        engine_reason=None if engine == "onnx" else "made by hand",
        files={
            CONTRACT_FILE: FileDigest(digest, len(contract)),
            ARTIFACT_FILES[engine]: FileDigest(hashlib.sha256(artifact).hexdigest(), len(artifact)),
        },
        contract_digest=digest,
        **({"classes": None} | more),
        libraries={"scikit-learn": sklearn.__version__},
        parity=None,
        golden_row=golden,
        publishing_key=signer.key_id,
        created_at=datetime(2026, 11, 21, tzinfo=UTC),
    )
    repository = Repository(stage.state_dir / "models", TrustedKeys.load(stage.state_dir / "trusted-keys"))
    return repository.write(manifest, contract, artifact, signer)


def deployment(stage: Stage) -> Deployment:
    return Deployment(settings=stage.settings, database=stage.database, actor=ACTOR)


def release(stage: Stage, offset: int, canary: int | None = None) -> None:
    releasing.release(deployment(stage), "line", "v1", f"1.{offset}.0", canary, force=False)


def publish_newer(published: Path, stage: Stage, offset: int, most: int = 2000, **more: str) -> Path:
    """Writes `line 2.OFFSET.0`, which answers rows of v1 up to `most` tenths with their size plus a tenth of OFFSET."""
    return publish_line(published, stage, offset, NEWER.format(most=most), major=2, **more)


def open_newer(stage: Stage) -> None:
    """The endpoint of what `publish_newer` wrote first, as version 2.0.0."""
    with stage.database.write() as session:
        create_endpoint(session, ACTOR, "line", "2.0.0")
        activate(session, ACTOR, "line", "v2")


def rollback(stage: Stage) -> None:
    releasing.rollback(deployment(stage), "line", "v1", force=False)
