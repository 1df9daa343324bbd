"""From a fitted estimator and its contract to a signed version in the repository."""

import hashlib
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import numpy as np

from gatehouse.serving import parity
from gatehouse.serving.convert import NotConvertible, convert
from gatehouse.serving.engine import EngineUnusable, Scores, Values
from gatehouse.serving.engines.onnx import OnnxEngine
from gatehouse.serving.engines.sklearn import SklearnEngine, load_estimator
from gatehouse.serving.fit import PublishRefused, check_fit
from gatehouse.serving.manifest import (
    ARTIFACT_FILES,
    CONTRACT_FILE,
    MANIFEST_FORMAT,
    EngineName,
    FileDigest,
    GoldenRow,
    Manifest,
    Parity,
)
from gatehouse.serving.names import NameInvalid, check_model, parse_api_version, parse_version
from gatehouse.serving.options import PublishOptions
from gatehouse.serving.repository import Repository, VersionExists, VersionInvalid
from gatehouse.serving.shape import ContractShape
from gatehouse.serving.signing import Signer
from gatehouse.serving.space import draw_rows, example_row, is_numeric, to_values

DEFAULTS = PublishOptions()
_LIBRARIES = ("scikit-learn", "numpy", "joblib", "onnxruntime", "onnx", "skl2onnx")

__all__ = ["Publication", "PublishRefused", "publish"]


@dataclass(frozen=True, slots=True)
class Publication:
    """What was published. `engine_reason` says why scikit-learn was kept, and is None for ONNX."""

    model: str
    version: str
    api_version: str
    engine: EngineName
    engine_reason: str | None
    parity: Parity | None
    publishing_key: str
    folder: Path


@dataclass(frozen=True, slots=True)
class _Choice:
    engine: EngineName
    artifact: bytes
    reason: str | None
    parity: Parity | None


def publish(
    artifact: bytes,
    contract: ContractShape,
    contract_source: bytes,
    *,
    version: str,
    repository: Repository,
    signer: Signer,
    progress: Callable[[str], None],
    now: datetime,
    revision_digest: str | None = None,
    options: PublishOptions = DEFAULTS,
) -> Publication:
    """Check, convert, prove parity, sign and write one version. Loads `artifact`, which must be the publisher's own file.

    `revision_digest` is that of the contract with which this revision was first published, None for the first. Raises PublishRefused, whose message names the remedy.
    """
    _check_names(contract, contract_source, version, repository)
    try:
        estimator = load_estimator(artifact)
    except EngineUnusable as error:
        raise PublishRefused(str(error)) from None
    for note in check_fit(estimator, contract):
        progress(note)
    reference = SklearnEngine(estimator, classifies=contract.output.task == "classification")
    rows = draw_rows(contract.features, parity.ROWS, parity.SEED)
    values = to_values(contract.features, rows)
    progress(f"scoring {len(rows):,} rows of the contract's space with scikit-learn")
    expected = _reference_scores(reference, values)
    choice = _choose(artifact, contract, reference, values, expected, progress)
    golden = example_row(contract.features)
    manifest = Manifest(
        format=MANIFEST_FORMAT,
        model=contract.model,
        version=version,
        api_version=contract.api_version,
        engine=choice.engine,
        engine_reason=choice.reason,
        files={CONTRACT_FILE: _digest(contract_source), ARTIFACT_FILES[choice.engine]: _digest(choice.artifact)},
        contract_digest=contract.digest,
        revision_digest=revision_digest or contract.digest,
        classes=reference.classes,
        libraries=_libraries(),
        parity=choice.parity,
        golden_row=GoldenRow(golden, _flat(reference.score(to_values(contract.features, [golden])))),
        publishing_key=signer.key_id,
        created_at=now,
    )
    try:
        folder = repository.write(manifest, contract_source, choice.artifact, signer)
    except (VersionExists, VersionInvalid) as error:
        raise PublishRefused(str(error)) from None
    return Publication(contract.model, version, contract.api_version, choice.engine, choice.reason, choice.parity, signer.key_id, folder)


def _check_names(contract: ContractShape, source: bytes, version: str, repository: Repository) -> None:
    try:
        check_model(contract.model)
        major, wanted = parse_version(version)[0], parse_api_version(contract.api_version)
    except NameInvalid as error:
        raise PublishRefused(str(error)) from None
    if major != wanted:
        free = repository.next_version(contract.model, wanted)
        raise PublishRefused(f"version {version} does not belong to {contract.api_version}, whose next free version is {free}")
    if hashlib.sha256(source).hexdigest() != contract.digest:
        raise PublishRefused("the contract changed while it was read: publish again")
    if version in repository.versions(contract.model):
        free = repository.next_version(contract.model, major)
        raise PublishRefused(f"{contract.model} {version} is published already and is never changed: publish {free}")


def _reference_scores(reference: SklearnEngine, values: Values) -> Scores:
    """scikit-learn's own answer to every drawn row. Raises PublishRefused where it has none."""
    try:
        scores = reference.score(values)
        labels = reference.predicted_labels(values) if reference.classes is not None else None
    except Exception as error:  # estimators raise what they like
        nulls = values.dtype == np.float64 and np.isnan(values).any()
        advice = "forbid null, or put an imputer in front" if nulls else "narrow the contract to what the estimator takes"
        raise PublishRefused(f"the estimator raises {type(error).__name__} on rows that the contract allows: {advice}") from None
    if not np.isfinite(scores).all():
        raise PublishRefused("the estimator answers no finite number to rows that the contract allows: narrow the contract's bounds")
    if labels is not None and reference.classes is not None:
        most_probable = [reference.classes[place] for place in scores.argmax(axis=1)]
        if most_probable != labels:
            raise PublishRefused("the estimator's label is not always its most probable class: wrap it in CalibratedClassifierCV")
    return scores


def _choose(
    artifact: bytes, contract: ContractShape, reference: SklearnEngine, values: Values, expected: Scores, progress: Callable[[str], None]
) -> _Choice:
    """ONNX where it is proven to answer the same, else the estimator itself."""
    if not is_numeric(contract.features):
        return _Choice("sklearn", artifact, "the contract has features that are not numbers", None)
    if reference.classes is not None and not reference.has_probabilities:
        return _Choice("sklearn", artifact, "the estimator has no probabilities", None)
    progress("converting to ONNX")
    try:
        graph = convert(artifact)
        candidate = OnnxEngine(graph, len(contract.features), reference.classes)
        scores = parity.score_both_ways(candidate, values)
    except (NotConvertible, EngineUnusable) as error:
        return _Choice("sklearn", artifact, str(error), None)
    except Exception as error:  # onnxruntime's own classes share no base but Exception
        return _Choice("sklearn", artifact, f"the ONNX graph raises {type(error).__name__} on rows that scikit-learn answers", None)
    result = parity.compare(parity.twice(expected), scores, contract.output.decimals, parity.SEED)
    if not result.passed:
        worst = "not finite" if result.worst_difference is None else f"{result.worst_difference:.2g}"
        reason = f"the ONNX graph answers differently ({result.label_flips} flipped labels, worst difference {worst})"
        return _Choice("sklearn", artifact, reason, result)
    progress(f"ONNX answers the same: {result.rows:,} rows, worst difference {result.worst_difference:.2g}")
    return _Choice("onnx", graph, None, result)


def _digest(content: bytes) -> FileDigest:
    return FileDigest(hashlib.sha256(content).hexdigest(), len(content))


def _flat(scores: Any) -> tuple[float, ...]:
    return tuple(scores.ravel().tolist())


def _libraries() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = installed_version(name)
        except PackageNotFoundError:
            continue
    return found
