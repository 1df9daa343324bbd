"""The file of a backup: a ZIP with a manifest of digests. Nothing of it is believed before its digest has been looked at."""

import errno
import hashlib
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec

from gatehouse.errors import Refused

FORMAT = 1
MANIFEST = "manifest.json"
SETTINGS = "settings.env"
PUBLISHING_KEY = "publishing-key.pem"
DATABASE = "database"
AREAS = {DATABASE: (2, 2), "trusted-keys": (2, 3), "models": (4, 4), "estimators": (3, 3), "spool": (2, 2)}
"""The folders of an archive, and of how many parts the names in each are."""
CHUNK_BYTES = 1024 * 1024
MAX_MANIFEST_BYTES = 256 * CHUNK_BYTES
MAX_SETTINGS_BYTES = CHUNK_BYTES
_PART = re.compile(r"[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]{0,254}")
_TABLE = re.compile(r"database/[a-z_]+\.ndjson")
_MODE = stat.S_IFREG | 0o600
_BAD = (zipfile.BadZipFile, EOFError, NotImplementedError, OverflowError, RuntimeError, ValueError, struct.error, zlib.error)
"""What reading a ZIP raises where it is damaged; and OSError for a place before its beginning."""

More = Callable[[int], None]
"""Called with how much more is done."""


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file of the archive is."""

    bytes: int
    sha256: str


class DumpedTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table, whose rows are in `database/<name>.ndjson`."""

    name: str
    columns: list[str]
    rows: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is in an archive. `migration` is that of the database, `dialect` what it was dumped from."""

    format: int
    made_at: Annotated[str, msgspec.Meta(pattern=r"\A[0-9TZ:-]{20}\Z")]
    gatehouse: str
    dialect: str
    migration: Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{4}\Z")]
    secrets: bool
    tables: list[DumpedTable]
    members: dict[str, Member]
    secrets_left_out: list[Annotated[str, msgspec.Meta(pattern=r"\AGATEHOUSE_[A-Z_]{1,60}\Z")]] = []
    """Settings that held secrets and are not in it."""

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return sum(member.bytes for member in self.members.values())


class _Format(msgspec.Struct, frozen=True):
    format: int


class ArchiveWriter:
    """Puts files into a new archive, the manifest last; to be used in a `with` block."""

    def __init__(self, target: BinaryIO) -> None:
        self._zip = zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=3)
        self.members: dict[str, Member] = {}

    def __enter__(self) -> "ArchiveWriter":
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        with suppress(*([] if failed is None else [OSError, ValueError])):
            self._zip.close()

    def add(self, name: str, chunks: Iterable[bytes]) -> None:
        """One file, whose size need not be known before."""
        digest, size = hashlib.sha256(), 0
        with self._zip.open(_entry(name), "w", force_zip64=True) as file:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
        self.members[name] = Member(size, digest.hexdigest())

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest; with the end of the block the archive is whole."""
        self._zip.writestr(_entry(MANIFEST), msgspec.json.format(msgspec.json.encode(manifest)))


class Archive:
    """An open archive whose names are known to be good; its bytes are held against the manifest whenever they are read."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._zip = archive

    def verify(self, more: More) -> None:
        """Read every file once. Raises Refused for the first that is not as the manifest says."""
        for name in self.manifest.members:
            for chunk in self.chunks(name):
                more(len(chunk))

    def chunks(self, name: str) -> Iterator[bytes]:
        """A file in portions; Refused comes after the last one. None is longer than the manifest says."""
        member = self.manifest.members[name]
        digest, size = hashlib.sha256(), 0
        try:
            with self._zip.open(name) as file:
                while chunk := file.read(CHUNK_BYTES):
                    size += len(chunk)
                    if size > member.bytes:
                        break
                    digest.update(chunk)
                    yield chunk
        except (*_BAD, OSError) as error:
            if _is_of_the_disk(error):
                raise
            raise self._damaged(name) from None
        if size != member.bytes or digest.hexdigest() != member.sha256:
            raise self._damaged(name)

    def lines(self, name: str) -> Iterator[bytes]:
        """A file line by line."""
        rest = b""
        for chunk in self.chunks(name):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
        if rest:
            yield rest

    def settings(self) -> str | None:
        """The text of the settings, if they are there. Raises Refused."""
        if SETTINGS not in self.manifest.members:
            return None
        try:
            if self.manifest.members[SETTINGS].bytes > MAX_SETTINGS_BYTES:
                raise ValueError
            return b"".join(self.chunks(SETTINGS)).decode()
        except ValueError:
            raise Refused(f"{self.path}: {SETTINGS} is no UTF-8 text of at most 1 MiB: take another backup") from None

    def named(self, area: str) -> list[str]:
        """The files of one folder."""
        return [name for name in self.manifest.members if name.startswith(f"{area}/")]

    def _damaged(self, name: str) -> Refused:
        return Refused(f"{self.path}: {name} is damaged (its digest is not that of the manifest): take another backup")


@contextmanager
def opened_archive(path: Path) -> Iterator[Archive]:
    """Raises Refused for what is no whole archive, for one of a newer Gatehouse and for every name that does not belong in one."""
    try:
        with path.open("rb") as file, _zip(path, file) as archive:
            yield Archive(path, archive, _checked_manifest(path, archive))
    except OSError as error:
        if error.filename != str(path):
            raise
        raise Refused(f"{path} cannot be read: {error.strerror}") from None


def _zip(path: Path, file: BinaryIO) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (*_BAD, OSError) as error:
        if _is_of_the_disk(error):
            raise
        raise Refused(f"{path} is no backup, or it is cut short: take another one") from None


def _is_of_the_disk(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno != errno.EINVAL


def is_member(name: str) -> bool:
    """Whether a backup may have a file of that name: no path leads out of its folder, and no file is hidden."""
    area, *rest = name.split("/")
    if not rest:
        return name in (SETTINGS, PUBLISHING_KEY)
    least, most = AREAS.get(area, (0, 0))
    if area == DATABASE:
        return _TABLE.fullmatch(name) is not None
    return least <= 1 + len(rest) <= most and all(_PART.fullmatch(part) for part in rest)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = _MODE << 16
    return entry


def _checked_manifest(path: Path, archive: zipfile.ZipFile) -> Manifest:
    entries = {entry.filename: entry for entry in archive.infolist()}
    odd = [name for name, entry in entries.items() if not _is_written_here(name, entry)]
    if odd:
        raise Refused(f"{path} holds {odd[0][:200]!r}, which is no file of a backup: nothing of it is used; take another backup")
    manifest = _read_manifest(path, archive)
    if len(entries) != len(archive.infolist()) or set(entries) != {MANIFEST, *manifest.members}:
        raise Refused(f"{path} holds other files than its manifest names: nothing of it is used; take another backup")
    if {f"{DATABASE}/{table.name}.ndjson" for table in manifest.tables} != {name for name in entries if name.startswith(f"{DATABASE}/")}:
        raise Refused(f"{path} holds other tables than its manifest names: nothing of it is used; take another backup")
    return manifest


def _is_written_here(name: str, entry: zipfile.ZipInfo) -> bool:
    known = name == MANIFEST or (is_member(name) and entry.external_attr >> 16 == _MODE)
    return known and entry.compress_type == zipfile.ZIP_DEFLATED


def _read_manifest(path: Path, archive: zipfile.ZipFile) -> Manifest:
    try:
        if archive.getinfo(MANIFEST).file_size > MAX_MANIFEST_BYTES:
            raise ValueError
        source = archive.read(MANIFEST)
        number = msgspec.json.decode(source, type=_Format).format
        if number > FORMAT:
            raise Refused(
                f"{path} was made by a newer Gatehouse (format {number}; this one knows {FORMAT}): install that one, then restore"
            )
        return msgspec.json.decode(source, type=Manifest)
    except (*_BAD, KeyError, OSError) as error:
        if _is_of_the_disk(error):
            raise
        raise Refused(f"{path} is no backup: it has no manifest that can be read; take another one") from None
