"""A backup of a deployment that may be serving: spool, database, published versions, keys and settings as of one moment."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NoReturn

from gatehouse.db.dump import Snapshot, snapshot
from gatehouse.db.migrate import newest_migration
from gatehouse.db.session import Database
from gatehouse.errors import Refused
from gatehouse.operating.backup_archive import (
    CHUNK_BYTES,
    DATABASE,
    FORMAT,
    MAX_SETTINGS_BYTES,
    PUBLISHING_KEY,
    SETTINGS,
    ArchiveWriter,
    DumpedTable,
    Manifest,
    More,
    is_member,
)
from gatehouse.settings import Settings
from gatehouse.usage.held_spool import HeldSpool, held_spool
from gatehouse.usage.segment_store import taken_bytes

MOST_TRIES = 20
"""Each is in vain only where a recorder removes another file within the same milliseconds."""

OF_PROCESSES = ("process", "recent_calls")
"""Tables that go without their rows: no process of here serves there, and a new one would give them their share of every limit."""

BELONGS_TO_THE_DISK = {"lost+found"}
"""What is in a folder that is a volume of its own."""

Bar = Callable[[str, int], AbstractContextManager[More]]
"""Shows how far something is: its name and how much there is of it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What goes into a backup beside database and spool. `settings` is the text of the file; None where there is none."""

    settings: str | None
    secrets: bool
    version: str
    """Of this Gatehouse."""
    left_out: Sequence[str] = ()
    """Settings that hold secrets and do not go into it."""


def make_backup(target: BinaryIO, settings: Settings, database: Database, wanted: Wanted, bar: Bar) -> Manifest:
    """Write the archive. Raises Refused, OperationalError, OSError."""
    text = None if wanted.settings is None else wanted.settings.encode()
    if text and len(text) > MAX_SETTINGS_BYTES:
        raise Refused(f"{settings.state_dir / SETTINGS} is longer than 1 MiB: shorten it")
    with ArchiveWriter(target) as writer:
        with _one_moment(settings, database) as (spool, view):
            if view.migration > newest_migration():
                raise Refused(f"a newer Gatehouse has brought the database to migration {view.migration}: make the backup with that one")
            tables = _add_tables(writer, view, bar)
            for file in spool.files:
                writer.add(f"spool/{file.name}", [file.read()])
        _add_files(writer, settings, wanted, bar)  # after the database: whatever version that names was published before
        if text is not None:
            writer.add(SETTINGS, [text])
        made_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        facts = (FORMAT, made_at, wanted.version, view.dialect, view.migration, wanted.secrets, tables, writer.members)
        manifest = Manifest(*facts, secrets_left_out=list(wanted.left_out))
        writer.finish(manifest)
    return manifest


@contextmanager
def _one_moment(settings: Settings, database: Database) -> Iterator[tuple[HeldSpool, Snapshot]]:
    """The spool's files held, then the database seen: each call that was answered before is in one of both, and how far is told."""
    folder = settings.under_state(settings.spool_dir)
    with held_spool(folder) as held:
        for _ in range(MOST_TRIES):
            gone = held.gone()
            with snapshot(database) as view:
                if view is None:
                    raise Refused("there is nothing to back up: the database has no tables; gatehouse doctor says which database that is")
                spool = held.waiting(taken_bytes(view.session), gone)
                if spool is not None:
                    yield spool, view
                    return
    raise Refused(f"files of {folder} come and go too quickly to be read: give the command again")


def _add_tables(writer: ArchiveWriter, view: Snapshot, bar: Bar) -> list[DumpedTable]:
    counts = [0 if table.name in OF_PROCESSES else view.count(table) for table in view.tables]
    with bar("database", sum(counts)) as more:
        for table, count in zip(view.tables, counts, strict=True):
            writer.add(f"{DATABASE}/{table.name}.ndjson", _told(view.lines(table), more) if count else [])
    columns = [[str(column.name) for column in table.columns] for table in view.tables]
    return [DumpedTable(str(table.name), names, rows) for table, names, rows in zip(view.tables, columns, counts, strict=True)]


def _told(portions: Iterator[tuple[int, bytes]], more: More) -> Iterator[bytes]:
    for rows, lines in portions:
        yield lines
        more(rows)


def _add_files(writer: ArchiveWriter, settings: Settings, wanted: Wanted, bar: Bar) -> None:
    found = [(name, path) for area, folder in folders(settings).items() if area != "spool" for name, path in _files(area, folder)]
    private = settings.state_dir / PUBLISHING_KEY
    if wanted.secrets and private.is_file():
        found.append((PUBLISHING_KEY, private))
    with bar("models", sum(path.stat().st_size for _, path in found)) as more:
        for name, path in found:
            writer.add(name, _content(path, more))


def folders(settings: Settings) -> dict[str, Path]:
    """Where each folder of an archive lies in a deployment."""
    named = {"models": settings.models_dir, "trusted-keys": settings.trusted_keys_dir, "spool": settings.spool_dir}
    return {"estimators": settings.state_dir / "estimators"} | {area: settings.under_state(path) for area, path in named.items()}


def _files(area: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Files that a backup may have; what begins with a dot stays, such as what a publisher has not finished.

    A trusted key may be a link, as a mounted secret is. Raises Refused for other links, OSError for a folder that cannot be listed.
    """
    for place, inner, names in os.walk(folder, onerror=_raised) if folder.is_dir() else ():
        inner[:] = [each for each in inner if not each.startswith(".") and each not in BELONGS_TO_THE_DISK]
        for path in (Path(place, each) for each in sorted([*inner, *names]) if not each.startswith(".")):
            if path.is_symlink() and not (area == "trusted-keys" and path.is_file()):
                raise Refused(f"{path} is a link, and a backup holds files: put what it leads to in its place")
            name = f"{area}/{path.relative_to(folder).as_posix()}"
            if path.is_file() and is_member(name):
                yield name, path


def _raised(error: OSError) -> NoReturn:
    raise error


def _content(path: Path, more: More) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
            more(len(chunk))
