"""A backup put into an empty place: everything is verified before anything is written, and what fails leaves nothing behind."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gatehouse.db.load import DatabaseNotEmpty, DumpUnfit, Loader, loading
from gatehouse.db.migrate import migrations_folder, newest_migration
from gatehouse.db.session import Database
from gatehouse.errors import Refused
from gatehouse.operating.backup_archive import DATABASE, SETTINGS, Archive
from gatehouse.operating.backup_making import Bar
from gatehouse.operating.backup_place import Place, check_room

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PUBLIC = ("models/", "trusted-keys/")


def check_archive(archive: Archive, place: Place, bar: Bar) -> None:
    """All of it is as its manifest says, can be migrated and has room. Raises Refused; writes nothing."""
    manifest = archive.manifest
    if manifest.migration > newest_migration():
        raise Refused(
            f"{archive.path} holds a database of migration {manifest.migration}, this Gatehouse knows up to {newest_migration()}: "
            "install the newer one, then restore"
        )
    if not any((migrations_folder() / "versions").glob(f"{manifest.migration}_*.py")):
        raise Refused(f"{archive.path} holds a database of migration {manifest.migration}, which no Gatehouse has: take another backup")
    check_room(archive, place)
    with bar("verify", manifest.bytes) as more:
        archive.verify(more)


def restore(archive: Archive, place: Place, database: Database, bar: Bar) -> None:
    """Write everything that was verified. Raises Refused, OperationalError and OSError, and then nothing is left."""
    files = [name for name in archive.manifest.members if name != SETTINGS and not name.startswith(f"{DATABASE}/")]
    with _undone_on_failure() as written:
        written.folder(place.state_dir, 0o700)
        with bar("files", sum(archive.manifest.members[name].bytes for name in files)) as more:
            for name in files:
                mode = 0o644 if name.startswith(_PUBLIC) else 0o600
                more(written.file(place.path_of(name), mode, archive.chunks(name)))
        settings_file = place.state_dir / f".{SETTINGS}.restoring"
        if place.settings_text is not None:
            written.file(settings_file, 0o600, [place.settings_text.encode()])
        if place.sqlite_file is not None:
            written.file(place.sqlite_file, 0o600, [])
        _fill(archive, database, bar)
        if place.settings_text is not None:  # last, and takes no room: until then no server starts here
            settings_file.replace(place.state_dir / SETTINGS)


def _fill(archive: Archive, database: Database, bar: Bar) -> None:
    try:
        with loading(database, archive.manifest.migration) as loader:
            _load(archive, loader, bar)
    except DatabaseNotEmpty:
        raise Refused(
            "the database is not empty, and a backup is restored into an empty one: name another by GATEHOUSE_DATABASE_URL"
        ) from None
    except DumpUnfit as error:
        raise Refused(f"{archive.path}: {error}: take another backup") from None


def _load(archive: Archive, loader: Loader, bar: Bar) -> None:
    tables = archive.manifest.tables
    with bar("database", sum(table.rows for table in tables)) as more:
        for table in tables:
            rows = 0
            for portion in loader.load(table.name, table.columns, archive.lines(f"{DATABASE}/{table.name}.ndjson")):
                rows += portion
                more(portion)
            if rows != table.rows:
                raise DumpUnfit(f"table {table.name!r} has {rows} rows instead of {table.rows}")


class _Written:
    """What was put there, so that it can be taken away again."""

    def __init__(self) -> None:
        self._paths: list[Path] = []

    def folder(self, path: Path, mode: int) -> None:
        """Made, with those above it, where it is not there."""
        if not path.is_dir():
            self.folder(path.parent, mode)
            with self._noted(path):
                path.mkdir(mode=mode)

    def file(self, path: Path, mode: int, chunks: Iterable[bytes]) -> int:
        """A new file that is on the disk; its bytes. Raises FileExistsError."""
        self.folder(path.parent, 0o755 if mode & 0o044 else 0o700)
        with self._noted(path):
            descriptor = os.open(path, _NEW_FILE, mode)
        with os.fdopen(descriptor, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
            return file.tell()

    @contextmanager
    def _noted(self, path: Path) -> Iterator[None]:
        """Before it is made: a signal that ends the call which makes it leaves it known. What was there before is somebody else's."""
        self._paths.append(path)
        try:
            yield
        except FileExistsError:
            self._paths.remove(path)
            raise

    def undo(self) -> None:
        """Newest first; a folder into which somebody else has put something stays."""
        for path in reversed(self._paths):
            with suppress(OSError):
                if path.is_dir():
                    path.rmdir()
                    continue
                for suffix in ("", "-wal", "-shm"):  # a database has files beside it
                    Path(f"{path}{suffix}").unlink(missing_ok=True)


@contextmanager
def _undone_on_failure() -> Iterator[_Written]:
    written = _Written()
    try:
        yield written
    except BaseException:
        written.undo()
        raise
