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

from gatehouse.serving import parity
from gatehouse.serving.engine_choice import EngineChoice, choose_engine
from gatehouse.serving.facts import facts_of
from gatehouse.serving.fit import PublishRefused, check_fit
from gatehouse.serving.leak_check import check_embedded_data
from gatehouse.serving.manifest import (
    ARTIFACT_FILES,
    CODE_FILE,
    CONTRACT_FILE,
    MANIFEST_FORMAT,
    EmbeddedData,
    EngineName,
    FileDigest,
    GoldenRow,
    Manifest,
    Parity,
)
from gatehouse.serving.names import NameInvalid, check_model, parse_api_version, parse_version
from gatehouse.serving.opening import open_estimator
from gatehouse.serving.options import PublishOptions
from gatehouse.serving.reference import ask_reference, serving_engine
from gatehouse.serving.repository import Repository, VersionExists, VersionInvalid
from gatehouse.serving.shape import ContractShape
from gatehouse.serving.signing import Signer
from gatehouse.serving.space import draw_rows, example_row, to_values, widened

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
    estimator_digest: str
    embedded_data: tuple[EmbeddedData, ...]
    """What the estimator keeps of its training rows, accepted by the publisher."""


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

    `revision_digest` is that of the contract with which this revision was first published, None for the first.
    Raises PublishRefused, whose message names the remedy.
    """
    _check_names(contract, contract_source, version, repository)
    opened = open_estimator(artifact, options, progress)
    estimator = opened.estimator
    for note in check_fit(estimator, contract):
        progress(note)
    embedded = check_embedded_data(estimator, options)
    known = facts_of(estimator).known
    rows = draw_rows(contract.features, parity.ROWS, parity.SEED, options.ranges, known)
    hidden = {feature.name for feature in contract.features if widened(feature, options.ranges, known)}
    values = to_values(contract.features, rows)
    progress(f"scoring {len(rows):,} rows of the contract's space with scikit-learn")
    reference = ask_reference(estimator, values, contract)
    choice = choose_engine(opened.artifact, opened.runtime, contract, rows, reference, hidden, progress)
    engine = reference.engine if choice.engine == "onnx" else serving_engine(estimator, reference, contract)
    opened.check_engine(choice.engine, choice.reason)
    code = opened.code if choice.engine == "sklearn" else None
    golden = example_row(contract.features)
    manifest = Manifest(
        format=MANIFEST_FORMAT,
        model=contract.model,
        version=version,
        api_version=contract.api_version,
        engine=choice.engine,
        engine_reason=choice.reason,
        files={name: _digest(content) for name, content in _files(contract_source, choice, code).items()},
        contract_digest=contract.digest,
        revision_digest=revision_digest or contract.digest,
        classes=engine.classes,
        own_labels=engine.own_labels,
        libraries=_libraries() | opened.libraries,
        parity=choice.parity,
        golden_row=GoldenRow(golden, _flat(engine.score(to_values(contract.features, [golden])))),
        publishing_key=signer.key_id,
        created_at=now,
        embedded_data=embedded,
        estimator_digest=hashlib.sha256(artifact).hexdigest(),
        code_digest=hashlib.sha256(opened.code).hexdigest() if opened.code is not None else None,
    )
    try:
        folder = repository.write(manifest, contract_source, choice.artifact, signer, code=code)
    except (VersionExists, VersionInvalid) as error:
        raise PublishRefused(str(error)) from None
    return Publication(
        contract.model,
        version,
        contract.api_version,
        choice.engine,
        choice.reason,
        choice.parity,
        signer.key_id,
        folder,
        hashlib.sha256(artifact).hexdigest(),
        embedded,
    )


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


def _files(contract: bytes, choice: EngineChoice, code: bytes | None) -> dict[str, bytes]:
    files = {CONTRACT_FILE: contract, ARTIFACT_FILES[choice.engine]: choice.artifact}
    return files if code is None else files | {CODE_FILE: code}


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
