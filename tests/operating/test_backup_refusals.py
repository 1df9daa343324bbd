"""What `gatehouse backup` does not do: one line says why and what to do, and nothing is written or left."""

import ctypes
import hashlib
import json
import os
import resource
import shutil
import signal
import stat
import struct
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from audit_keys import AUDIT_KEY
from commanded import Said, commanded
from database_content import content_of, fill
from ended_within import ended_within
from serving_process import GATEHOUSE, environment_of
from sqlalchemy import text
from stage import wait_until

from gatehouse.cli.ended_by_signals import ended_by_signals
from gatehouse.db.migrate import LOCK
from gatehouse.db.session import open_database
from gatehouse.errors import Refused
from gatehouse.operating.backup_archive import opened_archive

SETTINGS = {
    "GATEHOUSE_SECRET_KEY": "qL5wNxZ0bH8rT2vYk7mPd4sJfG9aCe6U",
    "GATEHOUSE_KEY_PEPPER": "Wz3uRk8nXb1cVt6yMh0pLq5jDs9gFa2E",
    "GATEHOUSE_AUDIT_KEY": AUDIT_KEY,
}
PLAIN = {"GATEHOUSE_LISTEN_PORT": "8123", "GATEHOUSE_PUBLIC_URL": "https://api.example.org", "GATEHOUSE_ALLOWED_HOSTS": "a, *.b"}
LARGE = os.urandom(100_000)
MODEL = "models/iris/1.0.0/model.onnx"
Entries = dict[str, tuple[bytes, int]]
"""Content and mode by name."""


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Path:
    """A state folder with a row in every table, settings, keys and a version."""
    folder = tmp_path_factory.mktemp("used") / "state"
    files = {
        "settings.env": "# GATEHOUSE_SECRET_KEY=of-old\n" + "".join(f"{name}={value}\n" for name, value in (SETTINGS | PLAIN).items()),
        "publishing-key.pem": "private",
        "trusted-keys/k1.pem": "public",
        "trusted-keys/retired/k0.pem": "public of old",
        "models/iris/1.0.0/manifest.json": "{}",
        "models/iris/.1.1.0.0123456789abcdef/model.onnx": "half written by a publisher that was killed",
        "models/README": "of no version",
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / MODEL).write_bytes(LARGE)
    (folder / "trusted-keys" / "..data").symlink_to(folder / "trusted-keys" / "retired")
    (folder / "trusted-keys" / "linked.pem").symlink_to("..data/k0.pem")
    (folder / "spool").mkdir()
    shutil.copyfile(sqlite_template, folder / "gatehouse.db")
    database = open_database(f"sqlite:///{folder / 'gatehouse.db'}")
    fill(database)
    database.close()
    folder.chmod(0o700)
    return folder


@pytest.fixture(scope="module")
def made(used: Path) -> Path:
    """Its backup."""
    commanded(used, "backup", "create", str(used.parent / "made.backup"))
    return used.parent / "made.backup"


@pytest.fixture
def altered(made: Path, tmp_path: Path) -> Callable[[Callable[[Entries], None]], Path]:
    """A copy of the backup whose entries somebody has changed."""

    def alter(change: Callable[[Entries], None]) -> Path:
        with zipfile.ZipFile(made) as archive:
            entries: Entries = {entry.filename: (archive.read(entry), entry.external_attr >> 16) for entry in archive.infolist()}
        change(entries)
        with zipfile.ZipFile(tmp_path / "altered.backup", "w") as archive:
            for name, (content, mode) in entries.items():
                entry = zipfile.ZipInfo(name)
                entry.external_attr = mode << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, content)
        return tmp_path / "altered.backup"

    return alter


def refused(file: Path, folder: Path, **settings: str) -> str:
    """What a restore says that does nothing."""
    before = sorted(folder.rglob("*")) if folder.exists() else None
    said = commanded(folder, "backup", "restore", str(file), code=1, **settings)
    assert (sorted(folder.rglob("*")) if folder.exists() else None) == before
    return said.error


def with_manifest(entries: Entries, **members: Any) -> None:
    content, mode = entries["manifest.json"]
    entries["manifest.json"] = json.dumps(json.loads(content) | members).encode(), mode


def test_what_is_restored_has_every_row_of_every_table_and_no_stray_file(used: Path, made: Path, tmp_path: Path) -> None:
    said = commanded(tmp_path / "new", "backup", "restore", str(made), "--json").json
    contents = []
    for folder in (used, tmp_path / "new"):
        database = open_database(f"sqlite:///{folder / 'gatehouse.db'}")
        contents.append({name: rows for name, rows in content_of(database).items() if name not in ("process", "recent_calls")})
        database.close()
    assert contents[0] == contents[1]
    assert all(contents[0].values())
    assert (said["rows"], said["model_versions"], said["secrets_missing"]) == (sum(map(len, contents[0].values())), 1, [])
    found = {path.relative_to(tmp_path / "new").as_posix() for path in (tmp_path / "new").rglob("*") if path.is_file()}
    names = {"settings.env", "publishing-key.pem", "trusted-keys/k1.pem", "trusted-keys/retired/k0.pem", MODEL, "gatehouse.db"}
    names |= {"models/iris/1.0.0/manifest.json", "trusted-keys/linked.pem"}
    assert {name for name in found if not name.startswith("gatehouse.db-")} == names
    linked = tmp_path / "new" / "trusted-keys" / "linked.pem"
    assert (linked.read_text(), linked.is_symlink()) == ("public of old", False)


def test_a_place_that_is_not_empty_is_left_as_it_is(made: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "notes.txt").write_text("mine")
    assert "there is not empty, and a backup is restored into an empty place: name another by GATEHOUSE_STATE_DIR\n" in refused(
        made, tmp_path / "there"
    )
    (tmp_path / "a.db").touch()
    assert "a.db is there already" in refused(made, tmp_path / "new", GATEHOUSE_DATABASE_URL=f"sqlite:///{tmp_path / 'a.db'}")
    (tmp_path / "used" / "iris").mkdir(parents=True)
    for variable in ("GATEHOUSE_MODELS_DIR", "GATEHOUSE_SPOOL_DIR", "GATEHOUSE_TRUSTED_KEYS_DIR"):
        said = refused(made, tmp_path / "new", **{variable: str(tmp_path / "used")})
        assert f"used is not empty, and a backup is restored into an empty place: name another by {variable}\n" in said
    assert (tmp_path / "a.db").read_bytes() == b""


@pytest.mark.parametrize(
    ("variable", "outside"),
    [
        ("GATEHOUSE_MODELS_DIR", "{}/elsewhere"),
        ("GATEHOUSE_MODELS_DIR", "../elsewhere"),
        ("GATEHOUSE_SPOOL_DIR", "{}/elsewhere"),
        ("GATEHOUSE_TRUSTED_KEYS_DIR", "{}/elsewhere"),
        ("GATEHOUSE_DATABASE_URL", "sqlite:///{}/elsewhere"),
        ("GATEHOUSE_DATABASE_URL", "sqlite+pysqlite:///{}/elsewhere"),
    ],
)
def test_the_settings_of_a_backup_put_nothing_outside(altered: Any, tmp_path: Path, variable: str, outside: str) -> None:
    line = f"{variable}={outside.format(tmp_path)}\n".encode()
    file = altered(lambda entries: with_content(entries, "settings.env", entries["settings.env"][0] + line))
    said = refused(file, tmp_path / "new")
    assert f"by the settings of the backup {variable} lies outside of {tmp_path / 'new'}: set {variable} in the environment" in said
    assert [path.name for path in tmp_path.iterdir()] == ["altered.backup"]
    given = f"sqlite:///{tmp_path / 'chosen'}" if variable == "GATEHOUSE_DATABASE_URL" else str(tmp_path / "chosen")
    commanded(tmp_path / "new", "backup", "restore", str(file), **{variable: given})
    assert (tmp_path / "chosen").exists() or variable == "GATEHOUSE_SPOOL_DIR"
    assert not (tmp_path / "elsewhere").exists()


def test_a_volumes_own_folder_does_not_count(made: Path, tmp_path: Path) -> None:
    (tmp_path / "volume" / "lost+found").mkdir(parents=True)
    commanded(tmp_path / "volume", "backup", "restore", str(made))
    assert (tmp_path / "volume" / "settings.env").is_file()


def test_a_database_that_is_not_empty_is_left_as_it_is(made: Path, tmp_path: Path, postgresql_url: str) -> None:
    assert "the database is not empty" in refused(made, tmp_path / "new", GATEHOUSE_DATABASE_URL=postgresql_url)


@pytest.mark.parametrize("part", [0, 100, 0.5, 0.999])
def test_a_file_that_is_cut_short_is_refused(made: Path, tmp_path: Path, part: float) -> None:
    whole = made.read_bytes()
    (tmp_path / "cut.backup").write_bytes(whole[: int(part * len(whole)) if part < 1 else int(part)])
    assert "is no backup, or it is cut short: take another one" in refused(tmp_path / "cut.backup", tmp_path / "new")


def test_a_file_that_is_missing_or_no_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read: No such file or directory" in refused(tmp_path / "missing", tmp_path / "new")
    assert "cannot be read: Is a directory" in refused(tmp_path, tmp_path / "new")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "../evil",
            "models/../../evil/x",
            "/etc/cron.d/evil",
            "models/iris/1.0.0/../../../../evil",
            "models//x/y",
            "database/../x.ndjson",
        ),
        *(
            "extra.txt",
            "models/iris/1.0.0/.hidden",
            "spool/a/b",
            "models\\..\\..\\evil/1/x",
            "trusted-keys/./k.pem",
            "estimators/a\nb/1.py",
        ),
    ],
)
def test_a_name_that_does_not_belong_is_refused(altered: Any, tmp_path: Path, name: str) -> None:
    file = altered(lambda entries: entries.update({name: (b"x", stat.S_IFREG | 0o600)}))
    assert "which is no file of a backup: nothing of it is used" in refused(file, tmp_path / "new")


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFCHR | 0o600, stat.S_IFDIR | 0o700, 0])
def test_a_link_or_device_by_the_name_of_a_file_is_refused(altered: Any, tmp_path: Path, mode: int) -> None:
    file = altered(lambda entries: entries.update({MODEL: (b"/etc/passwd", mode)}))
    assert "which is no file of a backup" in refused(file, tmp_path / "new")


def test_more_or_fewer_files_than_the_manifest_names_are_refused(altered: Any, tmp_path: Path) -> None:
    more = altered(lambda entries: entries.update({"models/iris/1.0.0/more": (b"x", stat.S_IFREG | 0o600)}))
    assert "holds other files than its manifest names" in refused(more, tmp_path / "new")
    fewer = altered(lambda entries: entries.pop(MODEL))
    assert "holds other files than its manifest names" in refused(fewer, tmp_path / "new")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_there_twice_is_refused(made: Path, tmp_path: Path) -> None:
    twice = Path(shutil.copy(made, tmp_path / "twice.backup"))
    with zipfile.ZipFile(twice, "a") as archive:
        entry = zipfile.ZipInfo(MODEL)
        entry.external_attr = (stat.S_IFREG | 0o600) << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, LARGE)
    assert "holds other files than its manifest names" in refused(twice, tmp_path / "new")


@pytest.mark.parametrize("content", [LARGE[:-1] + b"\0", LARGE[:-1], LARGE + b"\0" * 3_000_000], ids=["changed", "shorter", "longer"])
def test_content_of_another_digest_is_refused(altered: Any, tmp_path: Path, content: bytes) -> None:
    file = altered(lambda entries: entries.update({MODEL: (content, stat.S_IFREG | 0o600)}))
    assert f"{MODEL} is damaged (its digest is not that of the manifest): take another backup" in refused(file, tmp_path / "new")


def test_a_flipped_bit_is_refused_wherever_it_is_in_the_content(made: Path, tmp_path: Path) -> None:
    whole = bytearray(made.read_bytes())
    whole[len(whole) // 2] ^= 1
    (tmp_path / "flipped.backup").write_bytes(whole)
    with files_up_to(10):  # all is verified before the first file is written
        assert "is damaged" in refused(tmp_path / "flipped.backup", tmp_path / "new")


def test_what_a_newer_gatehouse_made_is_refused(altered: Any, tmp_path: Path) -> None:
    newer = altered(lambda entries: with_manifest(entries, format=2, more="unknown"))
    assert "newer Gatehouse (format 2; this one knows 1): install that one, then restore" in refused(newer, tmp_path / "new")
    newer = altered(lambda entries: with_manifest(entries, migration="9999"))
    assert "holds a database of migration 9999, this Gatehouse knows up to 0" in refused(newer, tmp_path / "new")


@pytest.mark.parametrize("manifest", [b"", b"{", b"[]", b'{"format": 1}', b'{"format": "1"}'])
def test_a_manifest_that_is_none_is_refused(altered: Any, tmp_path: Path, manifest: bytes) -> None:
    file = altered(lambda entries: entries.update({"manifest.json": (manifest, stat.S_IFREG | 0o600)}))
    assert "has no manifest that can be read" in refused(file, tmp_path / "new")


@pytest.mark.parametrize("migration", ["", "1", "00011", "0001\n", "\x1b[2J", "٠٠٠١", None])
def test_a_migration_that_is_no_number_is_never_printed(altered: Any, tmp_path: Path, migration: str | None) -> None:
    said = refused(altered(lambda entries: with_manifest(entries, migration=migration)), tmp_path / "new")
    assert said == f"gatehouse: {tmp_path / 'altered.backup'} is no backup: it has no manifest that can be read; take another one\n"


def test_a_migration_that_never_was_is_refused(altered: Any, tmp_path: Path) -> None:
    file = altered(lambda entries: with_manifest(entries, migration="0000"))
    assert "holds a database of migration 0000, which no Gatehouse has: take another backup" in refused(file, tmp_path / "new")


def with_content(entries: Entries, name: str, content: bytes) -> None:
    """Another file, and its digest in the manifest."""
    members = json.loads(entries["manifest.json"][0])["members"]
    members[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    entries[name] = content, entries[name][1]
    with_manifest(entries, members=members)


def test_rows_that_do_not_fit_leave_nothing(altered: Any, tmp_path: Path) -> None:
    def change(entries: Entries) -> None:
        with_content(entries, "database/tenant.ndjson", entries["database/tenant.ndjson"][0].replace(b'"1"', b"17", 1))

    assert "a row of table 'tenant' does not fit" in refused(altered(change), tmp_path / "new")


@pytest.mark.parametrize("content", [b"GATEHOUSE_DOCS=\xff\n", b"#" * (1024 * 1024 + 1)], ids=["no text", "too long"])
def test_settings_that_are_none_are_refused(altered: Any, tmp_path: Path, content: bytes) -> None:
    file = altered(lambda entries: with_content(entries, "settings.env", content))
    assert "settings.env is no UTF-8 text of at most 1 MiB: take another backup" in refused(file, tmp_path / "new")


def test_settings_that_could_not_be_restored_are_not_taken(used: Path, tmp_path: Path) -> None:
    state = Path(shutil.copytree(used, tmp_path / "state", symlinks=True))
    with (state / "settings.env").open("a") as settings:
        settings.write("#" * 1024 * 1024)
    said = commanded(state, "backup", "create", str(tmp_path / "b.backup"), code=1)
    assert "settings.env is longer than 1 MiB: shorten it" in said.error


@pytest.mark.parametrize("way", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("name", [MODEL, "manifest.json"])
def test_a_file_that_is_packed_in_another_way_is_refused(made: Path, tmp_path: Path, name: str, way: int) -> None:
    with zipfile.ZipFile(made) as archive, zipfile.ZipFile(tmp_path / "other.backup", "w") as other:
        for entry in archive.infolist():
            content = archive.read(entry)
            entry.compress_type = way if entry.filename == name else entry.compress_type
            other.writestr(entry, content)
    assert f"holds {name!r}, which is no file of a backup" in refused(tmp_path / "other.backup", tmp_path / "new")


def test_damage_in_the_table_of_files_ends_in_one_line(made: Path, tmp_path: Path) -> None:
    """Each byte of the first entry, of the manifest's and of the end of the file, set to what is large, small or negative."""
    whole = made.read_bytes()
    first, last, end = whole.find(b"PK\x01\x02"), whole.rfind(b"PK\x01\x02"), whole.rfind(b"PK\x05\x06")
    for place in [*range(first, first + 80), *range(last, last + 59), *range(end, len(whole))]:
        for value in (0x00, 0x7F, 0xFF):
            if whole[place] != value:
                (tmp_path / "forged.backup").write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
                with suppress(Refused), opened_archive(tmp_path / "forged.backup") as archive:
                    archive.verify(lambda _: None)


def test_a_beginning_of_a_file_outside_of_the_archive_is_refused(made: Path, tmp_path: Path) -> None:
    whole = bytearray(made.read_bytes())
    place = whole.find(b"PK\x01\x02")
    whole[place + 42 : place + 46] = struct.pack("<I", len(whole) - 5)
    (tmp_path / "forged.backup").write_bytes(whole)
    assert "is damaged (its digest is not that of the manifest)" in refused(tmp_path / "forged.backup", tmp_path / "new")
    end = made.read_bytes().rfind(b"PK\x05\x06")
    whole = bytearray(made.read_bytes())
    whole[end + 16 : end + 20] = struct.pack("<I", end + 4_000)
    (tmp_path / "forged.backup").write_bytes(whole)
    assert "is no backup: it has no manifest that can be read" in refused(tmp_path / "forged.backup", tmp_path / "new")


def test_no_room_is_said_before_anything_is_written(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=1000, f_frsize=4096))
    assert f"4,096,000 bytes are free on the disk of {tmp_path}, about " in refused(made, tmp_path / "new")


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file becomes larger: writing beyond fails, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [50_000, 110_000], ids=["a model", "the database"])
def test_a_disk_that_fills_up_leaves_nothing(made: Path, tmp_path: Path, size: int) -> None:
    with files_up_to(size):
        refused(made, tmp_path / "new")
    with files_up_to(50_000):
        said = commanded(made.parent / "state", "backup", "create", str(tmp_path / "b.backup"), code=1)
    assert "b.backup cannot be written: File too large" in said.error
    assert list(tmp_path.iterdir()) == []


@contextmanager
def command_of_its_own(state_dir: Path, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = environment_of({"GATEHOUSE_STATE_DIR": str(state_dir)} | settings)
    with subprocess.Popen([GATEHOUSE, "backup", *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_backup_that_is_ended_from_outside_leaves_nothing(used: Path, tmp_path: Path, number: signal.Signals) -> None:
    state = Path(shutil.copytree(used, tmp_path / "state", symlinks=True))
    os.truncate(state / MODEL, 64 * 1024**3)  # takes long; without blocks of its own
    (tmp_path / "backups").mkdir()
    with command_of_its_own(state, "create", str(tmp_path / "backups" / "b")) as process:
        wait_until(lambda: any((tmp_path / "backups").iterdir()))
        process.send_signal(number)
        assert process.wait(60) == 128 + number
    assert list((tmp_path / "backups").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_restore_that_is_ended_from_outside_leaves_nothing(
    made: Path, tmp_path: Path, number: signal.Signals, empty_postgresql_url: str
) -> None:
    url = {"GATEHOUSE_DATABASE_URL": empty_postgresql_url}
    waiting = (
        "SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database "
        "WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
    )
    with psycopg.connect(empty_postgresql_url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))  # as a process that migrates; the restore waits for it
        with command_of_its_own(tmp_path / "new", "restore", str(made), **url) as process:
            wait_until(lambda: other.execute(waiting).fetchone() is not None)
            assert (tmp_path / "new" / MODEL).exists()
            process.send_signal(number)
            assert process.wait(60) == 128 + number
    assert not (tmp_path / "new").exists()
    commanded(tmp_path / "new", "backup", "restore", str(made), **url)


@pytest.mark.parametrize("call", ["open", "mkdir"])
def test_a_restore_that_is_ended_within_a_call_leaves_nothing(
    made: Path, tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "new"
    with monkeypatch.context() as patched:
        patched.setattr(os, call, ended_within(getattr(os, call)))
        commanded(state, "backup", "restore", str(made), code=143)
    assert list(tmp_path.iterdir()) == []


def test_a_backup_goes_on_where_the_end_of_a_terminal_is_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_signals():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_backup_never_takes_the_place_of_a_file(used: Path, made: Path, tmp_path: Path) -> None:
    before = made.read_bytes()
    assert "made.backup is there already: name another file" in commanded(used, "backup", "create", str(made), code=1).error
    assert made.read_bytes() == before
    assert "cannot be written: No such file" in commanded(used, "backup", "create", str(tmp_path / "no" / "b"), code=1).error


@contextmanager
def bound_by_modes() -> Iterator[None]:
    """Also where root runs the tests, a folder that is closed is closed."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, held = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, held) == 0
    less = (ctypes.c_uint32 * 6)(held[0] & ~0b110, *held[1:])  # without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    assert libc.capset(header, less) == 0
    try:
        yield
    finally:
        assert libc.capset(header, held) == 0


@pytest.mark.parametrize("closed", ["models/iris", "models/iris/1.0.0", "trusted-keys", "trusted-keys/retired"])
def test_a_folder_that_cannot_be_listed_is_named_and_nothing_is_made(used: Path, tmp_path: Path, closed: str) -> None:
    state = Path(shutil.copytree(used, tmp_path / "state", symlinks=True))
    for passing in (state / "models" / "iris" / ".1.1.0.0123456789abcdef", state / "models" / "lost+found"):
        passing.mkdir(exist_ok=True)
        passing.chmod(0)
    with bound_by_modes():
        commanded(state, "backup", "create", str(tmp_path / "a.backup"))
        (state / closed).chmod(0)
        said = commanded(state, "backup", "create", str(tmp_path / "b.backup"), code=1)
        (state / closed).chmod(0o700)
    assert f"{state / closed}: Permission denied; run the command as the user whose it is" in said.error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.backup", "state"]


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("models/linked", "iris"),
        ("models/iris/1.0.0/linked.onnx", "model.onnx"),
        ("trusted-keys/old", "retired"),
        ("trusted-keys/k2.pem", "nowhere"),
    ],
)
def test_a_link_that_is_not_a_trusted_key_is_named_and_nothing_is_made(used: Path, tmp_path: Path, link: str, target: str) -> None:
    state = Path(shutil.copytree(used, tmp_path / "state", symlinks=True))
    (state / link).symlink_to(target)
    said = commanded(state, "backup", "create", str(tmp_path / "b.backup"), code=1)
    assert f"{state / link} is a link, and a backup holds files: put what it leads to in its place" in said.error
    assert not (tmp_path / "b.backup").exists()


def test_where_there_is_nothing_nothing_is_made(tmp_path: Path) -> None:
    said = commanded(tmp_path / "new", "backup", "create", str(tmp_path / "b"), code=1, **SETTINGS)
    assert "there is nothing to back up" in said.error
    url = {"GATEHOUSE_DATABASE_URL": f"sqlite:///{tmp_path / 'empty.db'}"}
    (tmp_path / "empty.db").touch()
    assert (
        "the database has no tables"
        in commanded(tmp_path / "new", "backup", "create", str(tmp_path / "b"), code=1, **SETTINGS, **url).error
    )
    assert [path.name for path in tmp_path.iterdir()] == ["empty.db"]


def test_the_database_of_a_newer_gatehouse_is_for_that_one(used: Path, tmp_path: Path) -> None:
    shutil.copyfile(used / "gatehouse.db", tmp_path / "newer.db")
    url = f"sqlite:///{tmp_path / 'newer.db'}"
    database = open_database(url)
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    said = commanded(tmp_path, "backup", "create", str(tmp_path / "b"), code=1, **SETTINGS, GATEHOUSE_DATABASE_URL=url)
    assert "a newer Gatehouse has brought the database to migration 9999: make the backup with that one" in said.error
    assert not (tmp_path / "b").exists()


def backed_up_without(used: Path, folder: Path) -> tuple[Said, Path]:
    file = folder / "without.backup"
    return commanded(used, "backup", "create", str(file), "--without-secrets"), file


def test_without_secrets_none_is_in_it_and_the_place_says_what_it_lacks(used: Path, tmp_path: Path) -> None:
    said, file = backed_up_without(used, tmp_path)
    assert "IT HOLDS SECRETS" not in said.out
    assert all(name in said.out for name in SETTINGS)
    with zipfile.ZipFile(file) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
        assert "publishing-key.pem" not in archive.namelist()
    assert not [value for value in [*SETTINGS.values(), "of-old"] if value.encode() in content]
    restored = commanded(tmp_path / "new", "backup", "restore", str(file))
    assert f"next: put {', '.join(SETTINGS)} of that deployment into" in restored.out
    lines = (tmp_path / "new" / "settings.env").read_text()
    assert all(f"{name}='{value}'\n" in lines for name, value in PLAIN.items())
    commanded(tmp_path / "new", "plans", "list", code=1)
    (tmp_path / "new" / "settings.env").write_text(lines + "".join(f"{name}={value}\n" for name, value in SETTINGS.items()))
    commanded(tmp_path / "new", "plans", "list")


def test_a_secret_of_the_environment_is_not_in_it_and_is_named(used: Path, tmp_path: Path) -> None:
    other = "e5Kx9Tq2Mv7Wz4Rb8Nc1Yf6Lj3Hg0PdS"
    said = commanded(used, "backup", "create", str(tmp_path / "b"), "--json", GATEHOUSE_KEY_PEPPER=other).json
    assert (said["secrets_left_out"], said["secrets"]) == (["GATEHOUSE_KEY_PEPPER"], True)


def test_every_secret_that_was_set_and_is_not_in_it_is_named_where_it_is_restored(used: Path, tmp_path: Path) -> None:
    older = {"GATEHOUSE_OTHER_KEY_PEPPERS": "7:e5Kx9Tq2Mv7Wz4Rb8Nc1Yf6Lj3Hg0PdS", "GATEHOUSE_REDIS_URL": "redis://:word@127.0.0.1:1/0"}
    commanded(used, "backup", "create", str(tmp_path / "b"), **older)
    said = commanded(tmp_path / "one", "backup", "restore", str(tmp_path / "b")).out
    assert "next: put GATEHOUSE_OTHER_KEY_PEPPERS, GATEHOUSE_REDIS_URL of that deployment there too" in said
    assert commanded(tmp_path / "two", "backup", "restore", str(tmp_path / "b"), "--json").json["secrets_missing"] == sorted(older)
    assert "there too" not in commanded(tmp_path / "three", "backup", "restore", str(tmp_path / "b"), **older).out


def test_a_backup_of_postgresql_is_not_put_into_sqlite_by_mistake(tmp_path: Path, postgresql_url: str) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    file = tmp_path / "b"
    commanded(tmp_path / "state", "backup", "create", str(file), **SETTINGS, GATEHOUSE_DATABASE_URL=postgresql_url)
    assert "the backup is of PostgreSQL, and its GATEHOUSE_DATABASE_URL is not in it: set it to" in refused(
        file, tmp_path / "new", **SETTINGS
    )


def test_a_place_that_only_this_command_knows_is_named(made: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'other.db'}"
    said = commanded(tmp_path / "new", "backup", "restore", str(made), GATEHOUSE_DATABASE_URL=url)
    assert "next: set GATEHOUSE_DATABASE_URL for the servers too, as for this command" in said.out
    assert "for the servers too" not in commanded(tmp_path / "plain", "backup", "restore", str(made)).out
