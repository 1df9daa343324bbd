"""The publisher's own files, kept on the machine that publishes: what a version served as ONNX is held against later.

`<folder>/<model>/<version>.joblib`, and `.py` for attached code; readable by the publisher alone, never copied to a server.
"""

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from gatehouse.serving.manifest import Manifest
from gatehouse.serving.names import check_model, parse_version

FOLDER = "estimators"
"""In the state folder of a machine that publishes."""


class EstimatorMissing(Exception):
    """The file that was published is not to be had; the message names the remedy."""


@dataclass(frozen=True, slots=True)
class KeptEstimator:
    """Bytes whose digests stand in a verified manifest."""

    artifact: bytes
    code: bytes | None


def keep_estimator(folder: Path, model: str, version: str, artifact: bytes, code: bytes | None = None) -> None:
    """Raises OSError, and NameInvalid for what is no model or version."""
    check_model(model)
    parse_version(version)
    beside = folder / model
    beside.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(beside / f"{version}.joblib", artifact)
    if code is not None:
        _write(beside / f"{version}.py", code)


def kept_estimator(folder: Path, manifest: Manifest, given: Path | None = None, given_code: Path | None = None) -> KeptEstimator:
    """The file that was published as this version: `given`, else the kept one. Raises EstimatorMissing, also for any other file."""
    name = f"{manifest.model} {manifest.version}"
    if manifest.estimator_digest is None:
        raise EstimatorMissing(f"{name} was published before its estimator was recorded: publish it again to compare it")
    beside = folder / manifest.model
    artifact = _read(given or beside / f"{manifest.version}.joblib", manifest.estimator_digest, name, "--estimator FILE")
    if manifest.code_digest is None:
        return KeptEstimator(artifact, None)
    return KeptEstimator(artifact, _read(given_code or beside / f"{manifest.version}.py", manifest.code_digest, name, "--code FILE"))


def _read(file: Path, digest: str, name: str, option: str) -> bytes:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise EstimatorMissing(
            f"{file} does not exist; {name} was published elsewhere, or its file was removed: give the published one by {option}"
        ) from None
    except OSError as error:
        raise EstimatorMissing(f"{file} cannot be read ({error.strerror}): give the file that was published by {option}") from None
    # before anything loads it: whoever can write there must not be run here
    if hashlib.sha256(content).hexdigest() != digest:
        raise EstimatorMissing(f"{file} is not the file that was published as {name}: give that one by {option}")
    return content


def _write(file: Path, content: bytes) -> None:
    """Whole or not at all, mode 600."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
