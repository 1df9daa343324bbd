"""The manifest: what one published model version consists of and how it was checked. Signed as it stands, byte by byte."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from gatehouse.serving.engine import Classes
from gatehouse.serving.names import NameInvalid, check_model, parse_api_version, parse_version
from gatehouse.serving.shape import Cell

MANIFEST_FORMAT = 1
CONTRACT_FILE = "contract.toml"
CODE_FILE = "code.py"
"""What a pickle refers to beyond installed packages; beside it only where scikit-learn serves it."""
ARTIFACT_FILES = {"onnx": "model.onnx", "sklearn": "model.joblib"}
"""Engine to the name of the one file that it loads."""

EngineName = Literal["onnx", "sklearn"]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$", max_length=64)]


class ManifestInvalid(Exception):
    """The manifest cannot be used; the message names the remedy."""


class FileDigest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file beside the manifest."""

    sha256: Sha256
    bytes: Annotated[int, msgspec.Meta(ge=1)]


class WorstRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The drawn row on which the two differ most. Fields drawn from the range of the publisher's sample are left out of `inputs`."""

    inputs: dict[str, Cell]
    expected: tuple[float | None, ...]
    """scikit-learn's scores; None for one that is not finite."""
    found: tuple[float | None, ...]


class Parity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """ONNX held against scikit-learn over rows of the contract's own space.

    `worst_difference` is absolute for probabilities and relative for values, None where one of the two was not finite.
    """

    rows: int
    seed: int
    label_flips: int
    worst_difference: float | None
    worst_units: int | None
    """Largest distance of two rounded numbers, in units of the contract's last decimal."""
    passed: bool
    worst_row: WorstRow | None = None


class GoldenRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The contract's examples and what the engine must score for them: probabilities in the order of `classes`, or values."""

    inputs: tuple[Cell, ...]
    scores: tuple[float, ...]


class EmbeddedData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Training rows that the estimator keeps: `place` is a dotted path with class names, `rows` how many it holds."""

    place: str
    what: str
    rows: Annotated[int, msgspec.Meta(ge=0)]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model version. `engine_reason` says why scikit-learn was kept, and is None for ONNX."""

    format: int
    model: str
    version: str
    api_version: str
    engine: EngineName
    engine_reason: str | None
    files: dict[str, FileDigest]
    contract_digest: Sha256
    classes: Classes
    """The estimator's classes in the order of its probabilities, of several targets one list each; None for a regression."""
    libraries: dict[str, str]
    parity: Parity | None
    golden_row: GoldenRow
    publishing_key: str
    created_at: datetime
    revision_digest: Sha256 | None = None
    """Digest of the contract with which this revision (major and minor) was first published: what it means to callers is frozen."""
    embedded_data: tuple[EmbeddedData, ...] | None = None
    """What the estimator keeps of its training rows, accepted by the publisher, whatever the engine; None: nobody has looked."""
    estimator_digest: Sha256 | None = None
    """Digest of the file that was published, which ONNX serving does not keep; the publisher's machine has it."""
    own_labels: bool = False
    """Whether the label is the estimator's own answer, because that need not be its most probable class."""
    code_digest: Sha256 | None = None
    """Digest of the code that the publisher attached, also where the version is served without it."""

    @property
    def listed_code(self) -> FileDigest | None:
        """The code that is run before the artifact is loaded."""
        return self.files.get(CODE_FILE)

    @property
    def artifact_file(self) -> str:
        return ARTIFACT_FILES[self.engine]


class _Head(msgspec.Struct):
    format: int


def encode_manifest(manifest: Manifest) -> bytes:
    """The one spelling of a manifest: members in a fixed order, indented for people."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=2) + b"\n"


def decode_manifest(source: bytes) -> Manifest:
    """Strict: unknown members, other formats and contradictions are refused. Raises ManifestInvalid."""
    try:
        written = msgspec.json.decode(source, type=_Head).format
        if written != MANIFEST_FORMAT:
            newer = "serve it with the newer Gatehouse that wrote it, or " if written > MANIFEST_FORMAT else ""
            raise ManifestInvalid(
                f"the manifest has format {written}, this program reads format {MANIFEST_FORMAT}: {newer}publish the model again"
            )
        manifest = msgspec.json.decode(source, type=Manifest)
    except msgspec.MsgspecError as error:
        raise ManifestInvalid(f"the manifest cannot be read ({error}): publish the model again") from None
    _check(manifest)
    return manifest


def _check(manifest: Manifest) -> None:
    try:
        check_model(manifest.model)
        major = parse_version(manifest.version)[0]
        if major != parse_api_version(manifest.api_version):
            raise NameInvalid(f"version {manifest.version} does not belong to {manifest.api_version}")
    except NameInvalid as error:
        raise ManifestInvalid(f"the manifest is refused: {error}; publish the model again") from None
    # exact names, so that a manifest cannot point outside its own folder
    names = [CONTRACT_FILE, manifest.artifact_file]
    if manifest.code_digest is not None and manifest.engine == "sklearn":
        names.append(CODE_FILE)
    if set(manifest.files) != set(names):
        raise ManifestInvalid(f"the manifest must list {' and '.join(names)} and nothing else: publish the model again")
    if manifest.listed_code is not None and manifest.listed_code.sha256 != manifest.code_digest:
        raise ManifestInvalid("the manifest names two digests for its code: publish the model again")
    if manifest.files[CONTRACT_FILE].sha256 != manifest.contract_digest:
        raise ManifestInvalid("the manifest names two digests for its contract: publish the model again")
    _check_classes(manifest)


def _check_classes(manifest: Manifest) -> None:
    classes = manifest.classes
    if classes is not None:
        several = {isinstance(each, tuple) for each in classes}
        if len(several) != 1 or () in classes or (True in several and len(classes) < 2):
            raise ManifestInvalid("the manifest must list the classes of one target, or those of each of several: publish the model again")
    if manifest.own_labels and (classes is None or manifest.engine != "sklearn"):
        raise ManifestInvalid("only a classifier that scikit-learn serves tells labels of its own: publish the model again")
