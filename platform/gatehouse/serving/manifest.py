"""The manifest: what one published model version consists of and how it was checked. Signed as it stands, byte by byte."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from gatehouse.serving.names import NameInvalid, check_model, parse_api_version, parse_version
from gatehouse.serving.shape import Cell, ClassValue

MANIFEST_FORMAT = 1
CONTRACT_FILE = "contract.toml"
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


class GoldenRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The contract's examples and what scikit-learn scores for them: probabilities in the order of `classes`, or one value."""

    inputs: tuple[Cell, ...]
    scores: tuple[float, ...]


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
    classes: tuple[ClassValue, ...] | None
    """The estimator's classes in the order of its probabilities; None for a regression."""
    libraries: dict[str, str]
    parity: Parity | None
    golden_row: GoldenRow
    publishing_key: str
    created_at: datetime
    revision_digest: Sha256 | None = None
    """Digest of the contract with which this revision (major and minor) was first published: what it means to callers is frozen."""

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
            raise ManifestInvalid(
                f"the manifest has format {written}, this program reads format {MANIFEST_FORMAT}: publish the model again"
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
    if set(manifest.files) != {CONTRACT_FILE, manifest.artifact_file}:
        raise ManifestInvalid(
            f"the manifest must list {CONTRACT_FILE} and {manifest.artifact_file} and nothing else: publish the model again"
        )
    if manifest.files[CONTRACT_FILE].sha256 != manifest.contract_digest:
        raise ManifestInvalid("the manifest names two digests for its contract: publish the model again")
