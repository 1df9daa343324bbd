"""The folder of published versions: `<root>/<model>/<version>/{manifest.json,manifest.sig,contract.toml,model.onnx|model.joblib}`,
and code.py where scikit-learn needs the publisher's code to load the model.

What is read is verified first, and the very bytes that were verified are what the caller gets.
"""

import errno
import hashlib
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gatehouse.serving.manifest import CODE_FILE, CONTRACT_FILE, FileDigest, Manifest, ManifestInvalid, decode_manifest, encode_manifest
from gatehouse.serving.names import NameInvalid, check_model, parse_version
from gatehouse.serving.new_folder import OPEN_FOLDER, remove_half_written, write_folder
from gatehouse.serving.scratch import OLD_S
from gatehouse.serving.signing import SignatureInvalid, Signer, TrustedKeys

MANIFEST_FILE = "manifest.json"
SIGNATURE_FILE = "manifest.sig"
MAX_ARTIFACT_BYTES = 2 * 1024**3
_MAX_SMALL_FILE_BYTES = 4 * 1024 * 1024
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # NONBLOCK: opening a pipe must not hang


class VersionMissing(Exception):
    """There is no such version; the message names the remedy."""


class VersionInvalid(Exception):
    """The version is there but must not be used; the message names the remedy."""


class VersionExists(Exception):
    """A published version is never changed; the message names the remedy."""


@dataclass(frozen=True, slots=True)
class VerifiedVersion:
    """Bytes whose digests stand in a manifest that a trusted key signed."""

    manifest: Manifest
    contract: bytes
    artifact: bytes
    code: bytes | None = None


class Repository:
    """Reads and writes published versions below `root`."""

    def __init__(self, root: Path, trusted_keys: TrustedKeys, *, max_artifact_bytes: int = MAX_ARTIFACT_BYTES) -> None:
        self.root = root
        self._trusted_keys = trusted_keys
        self._max_artifact_bytes = max_artifact_bytes

    def trusts(self, key_id: str) -> bool:
        """Whether what this publishing key signs would be loaded."""
        return key_id in self._trusted_keys.ids

    def read(self, model: str, version: str) -> VerifiedVersion:
        """Raises VersionMissing or VersionInvalid."""
        with self._opened(model, version) as folder:
            manifest, contract = self._read_contract(folder, model, version)
            artifact = _read_listed(folder, manifest.artifact_file, manifest.files[manifest.artifact_file], self._max_artifact_bytes)
            listed = manifest.listed_code
            code = None if listed is None else _read_listed(folder, CODE_FILE, listed, _MAX_SMALL_FILE_BYTES)
            return VerifiedVersion(manifest, contract, artifact, code)

    def read_contract(self, model: str, version: str) -> tuple[Manifest, bytes]:
        """Manifest and contract, verified; the artifact is not read. Raises VersionMissing or VersionInvalid."""
        with self._opened(model, version) as folder:
            return self._read_contract(folder, model, version)

    @contextmanager
    def _opened(self, model: str, version: str) -> Iterator[int]:
        try:
            check_model(model)
            parse_version(version)
        except NameInvalid as error:
            raise VersionMissing(f"no such version: {error}") from None
        try:
            with _folder(self.root, model, version) as folder:
                yield folder
        except FileNotFoundError:
            known = ", ".join(self.versions(model)) or "none"
            raise VersionMissing(f"{model} {version} is not in the repository (published: {known}): publish it, or name another") from None
        except (SignatureInvalid, ManifestInvalid, _FileRefused) as error:
            raise VersionInvalid(f"{model} {version}: {error}") from None
        except OSError as error:
            raise VersionInvalid(f"{model} {version}: {_explain(error)}") from None

    def _read_contract(self, folder: int, model: str, version: str) -> tuple[Manifest, bytes]:
        source = _read_file(folder, MANIFEST_FILE, _MAX_SMALL_FILE_BYTES)
        key_id = self._trusted_keys.verify(source, _read_file(folder, SIGNATURE_FILE, _MAX_SMALL_FILE_BYTES))
        manifest = decode_manifest(source)
        if manifest.publishing_key != key_id:
            raise ManifestInvalid("the manifest names another publishing key than the one that signed it: publish the model again")
        if (manifest.model, manifest.version) != (model, version):
            raise ManifestInvalid(
                f"the folder holds {manifest.model} {manifest.version}: put back the folder that was published, or publish the model again"
            )
        return manifest, _read_listed(folder, CONTRACT_FILE, manifest.files[CONTRACT_FILE], _MAX_SMALL_FILE_BYTES)

    def write(self, manifest: Manifest, contract: bytes, artifact: bytes, signer: Signer, *, code: bytes | None = None) -> Path:
        """Sign and publish; the version is there whole or not at all. Returns its folder.

        Raises VersionExists, or VersionInvalid where the folder above cannot be used.
        """
        model, version = check_model(manifest.model), manifest.version
        parse_version(version)
        source = encode_manifest(manifest)
        decode_manifest(source)
        content = {CONTRACT_FILE: contract, manifest.artifact_file: artifact}
        if code is not None:
            content[CODE_FILE] = code
        content |= {SIGNATURE_FILE: signer.sign(source), MANIFEST_FILE: source}
        try:
            (self.root / model).mkdir(parents=True, exist_ok=True)
            with _folder(self.root, model) as parent:
                remove_half_written(parent, time.time() - OLD_S, os.getuid())
                write_folder(parent, version, content)
        except FileExistsError:
            raise VersionExists(f"{model} {version} is published already and is never changed: publish the next version") from None
        except OSError as error:
            raise VersionInvalid(f"{model} {version} cannot be written: {_why_unwritten(error, self.root / model)}") from None
        return self.root / model / version

    def models(self) -> tuple[str, ...]:
        """Names of all published models, in alphabetical order."""
        return tuple(sorted(name for name in _folders_in(self.root) if _is_model(name) and self.versions(name)))

    def versions(self, model: str) -> tuple[str, ...]:
        """Published versions of a model, oldest number first; whether they are sound shows only when they are read."""
        if not _is_model(model):
            return ()
        return tuple(sorted((name for name in _folders_in(self.root / model) if _is_version(name)), key=parse_version))

    def next_version(self, model: str, major: int) -> str:
        """The first free patch of a major, `<major>.0.0` where there is none."""
        taken = [number for number in map(parse_version, self.versions(model)) if number[0] == major]
        if not taken:
            return f"{major}.0.0"
        _, minor, patch = taken[-1]
        return f"{major}.{minor}.{patch + 1}"


class _FileRefused(Exception):
    pass


@contextmanager
def _folder(root: Path, *names: str) -> Iterator[int]:
    """An open folder below `root`, reached name by name without following a link."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names:
            inner = os.open(name, OPEN_FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _read_file(folder: int, name: str, limit: int) -> bytes:
    """The whole of one regular file, which is opened once."""
    try:
        descriptor = os.open(name, _OPEN_FILE, dir_fd=folder)
    except FileNotFoundError:
        raise _FileRefused(f"{name} is missing: publish the model again") from None
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode):
        os.close(descriptor)
        raise _FileRefused(f"{name} is not a regular file: publish the model again")
    with os.fdopen(descriptor, "rb") as file:
        if state.st_size > limit:
            raise _FileRefused(f"{name} is larger than {limit:,} bytes: publish a smaller model")
        # a file that grows while it is read is cut here and fails its digest
        return file.read(limit + 1)


def _read_listed(folder: int, name: str, listed: FileDigest, limit: int) -> bytes:
    content = _read_file(folder, name, limit)
    if len(content) != listed.bytes or hashlib.sha256(content).hexdigest() != listed.sha256:
        raise _FileRefused(f"{name} was changed after it was signed: put back the file that was published, or publish the model again")
    return content


def _folders_in(path: Path) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_model(name: str) -> bool:
    try:
        check_model(name)
    except NameInvalid:
        return False
    return True


def _is_version(name: str) -> bool:
    try:
        parse_version(name)
    except NameInvalid:
        return False
    return True


def _explain(error: OSError) -> str:
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
        return f"{error.filename} is a link or no folder: put the published files themselves there"
    return f"{error.filename} cannot be read ({error.strerror}): check the folder's owner and permissions"


def _why_unwritten(error: OSError, folder: Path) -> str:
    """The folder is named, since a full disk names no file and a name that was tried beside the version says nothing."""
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
        return _explain(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"there is no room left in {folder} ({error.strerror}): make room, then publish again"
    return f"{folder} takes no files ({error.strerror}): check its owner and permissions, then publish again"
