"""The folder of published versions: whole or not at all, verified before use, nothing outside it is ever opened."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from gatehouse.serving.manifest import ManifestInvalid
from gatehouse.serving.new_folder import remove_half_written
from gatehouse.serving.repository import Repository, VersionExists, VersionInvalid, VersionMissing
from gatehouse.serving.scratch import OLD_S
from gatehouse.serving.signing import TrustedKeys, create_publishing_key

FILES = ("manifest.json", "manifest.sig", "contract.toml", "model.joblib")


def _flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_what_was_written_is_read_back_byte_for_byte(workshop, pair, pair_toml):
    folder = workshop.write(pair)
    read = workshop.repository.read("pair", "1.0.0")
    assert (read.artifact, read.contract) == (pair, pair_toml.encode())
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert read.manifest == workshop.manifest(pair)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_row_83_one_changed_byte_is_refused(workshop, pair, name, share):
    path = workshop.write(pair) / name
    _flip(path, int(path.stat().st_size * share))
    with pytest.raises(VersionInvalid, match=r"^pair 1\.0\.0: .*(publish the model again|publish it again|trusted key)"):
        workshop.repository.read("pair", "1.0.0")


@pytest.mark.parametrize("name", FILES)
def test_row_83_missing_shortened_or_lengthened_file_is_refused(workshop, pair, name):
    path = workshop.write(pair) / name
    whole = path.read_bytes()
    for content in (whole[:-1], whole + b" ", b""):
        path.write_bytes(content)
        with pytest.raises(VersionInvalid, match="publish the model again"):
            workshop.repository.read("pair", "1.0.0")
    path.unlink()
    with pytest.raises(VersionInvalid, match=f"{name} is missing: publish the model again"):
        workshop.repository.read("pair", "1.0.0")


def test_row_83_signature_of_another_model_is_refused(workshop, pair, pair_toml):
    folder = workshop.write(pair)
    other = workshop.write(pair, pair_toml.encode(), model="other")
    (folder / "manifest.sig").write_bytes((other / "manifest.sig").read_bytes())
    with pytest.raises(VersionInvalid, match="changed after signing"):
        workshop.repository.read("pair", "1.0.0")


def test_row_83_folder_of_another_model_or_version_is_refused(workshop, pair):
    workshop.write(pair, model="other")
    workshop.write(pair, version="1.0.1")
    root = workshop.repository.root
    (root / "other" / "1.0.0").rename(root / "pair" / "1.0.0")
    (root / "pair" / "1.0.1").rename(root / "pair" / "1.0.2")
    for version in ("1.0.0", "1.0.2"):
        with pytest.raises(VersionInvalid, match="the folder holds"):
            workshop.repository.read("pair", version)


def test_row_83_version_of_an_untrusted_key_is_refused(workshop, pair, pair_toml, tmp_path):
    stranger = create_publishing_key(tmp_path / "stranger.pem", tmp_path / "elsewhere")
    workshop.repository.write(workshop.manifest(pair, publishing_key=stranger.key_id), pair_toml.encode(), pair, stranger)
    with pytest.raises(VersionInvalid, match="not trusted here"):
        workshop.repository.read("pair", "1.0.0")


def test_row_83_manifest_that_names_another_publishing_key_is_refused(workshop, pair):
    workshop.write(pair, publishing_key="0123456789abcdef")
    with pytest.raises(VersionInvalid, match="another publishing key"):
        workshop.repository.read("pair", "1.0.0")


@pytest.mark.parametrize("name", FILES)
def test_row_85_link_in_place_of_a_file_is_refused_on_load(workshop, pair, tmp_path, name):
    path = workshop.write(pair) / name
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    with pytest.raises(VersionInvalid, match="is a link or no folder"):
        workshop.repository.read("pair", "1.0.0")


@pytest.mark.parametrize("level", ["pair", "pair/1.0.0"])
def test_row_85_link_in_place_of_a_folder_is_refused_on_load(workshop, pair, tmp_path, level):
    workshop.write(pair)
    folder = workshop.repository.root / level
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    with pytest.raises(VersionInvalid, match="is a link or no folder"):
        workshop.repository.read("pair", "1.0.0")


def test_row_85_link_in_place_of_a_model_folder_is_refused_on_publish(workshop, pair, tmp_path):
    (tmp_path / "outside").mkdir()
    workshop.repository.root.mkdir()
    (workshop.repository.root / "pair").symlink_to(tmp_path / "outside")
    with pytest.raises(VersionInvalid, match="is a link or no folder"):
        workshop.write(pair)
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("name", FILES)
def test_row_85_pipe_or_device_in_place_of_a_file_is_refused_at_once(workshop, pair, name):
    path = workshop.write(pair) / name
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(VersionInvalid, match="is not a regular file"):
        workshop.repository.read("pair", "1.0.0")
    path.unlink()
    path.mkdir()
    with pytest.raises(VersionInvalid, match="is not a regular file"):
        workshop.repository.read("pair", "1.0.0")


BAD_NAMES = ["..", ".", "", "/etc", "../pair", "pair/", "Pair", "pa ir", "pair\0", "pair\n", "CON", "%2e%2e", "x" * 64, "1pair", "pаir"]
BAD_VERSIONS = ["..", "", "1", "1.0", "1.0.0-rc1", "1.0.0+build", "01.0.0", "1.0.0\n", "0.1.0", "../1.0.0", "1.0.0/..", "١.0.0", "v1.0.0"]


class _Opened:
    """Paths opened while it is on, seen by an audit hook (which Python can never take off again)."""

    def __init__(self):
        self.on, self.paths = False, []
        sys.addaudithook(self._hook)

    def _hook(self, event, arguments):
        if self.on and event in ("open", "os.scandir", "os.listdir", "os.mkdir"):
            self.paths.append(arguments[0])


def test_row_76_malformed_names_open_no_file_at_all(workshop, pair):
    workshop.write(pair)
    opened = _Opened()
    for model, version in [(name, "1.0.0") for name in BAD_NAMES] + [("pair", version) for version in BAD_VERSIONS]:
        opened.on = True
        try:
            with pytest.raises(VersionMissing):
                workshop.repository.read(model, version)
        finally:
            opened.on = False
    assert opened.paths == []


def test_a_missing_version_is_told_with_the_published_ones(workshop, pair):
    workshop.write(pair)
    workshop.write(pair, version="1.0.1")
    with pytest.raises(VersionMissing, match=r"pair 1\.2\.0 is not in the repository \(published: 1\.0\.0, 1\.0\.1\)"):
        workshop.repository.read("pair", "1.2.0")
    with pytest.raises(VersionMissing, match=r"published: none"):
        workshop.repository.read("nothing", "1.0.0")


def test_a_file_beyond_the_size_limit_is_refused(workshop, pair):
    workshop.write(pair)
    small = Repository(workshop.repository.root, TrustedKeys.load(workshop.folder / "trusted"), max_artifact_bytes=len(pair) - 1)
    with pytest.raises(VersionInvalid, match="is larger than"):
        small.read("pair", "1.0.0")


def test_a_published_version_is_never_changed(workshop, pair):
    folder = workshop.write(pair)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(VersionExists, match="never changed: publish the next version"):
        workshop.write(pair)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["1.0.0"]


def test_of_two_publishers_of_one_version_the_second_is_refused(workshop, pair, monkeypatch):
    real = os.rename

    def rename_after_the_other(*names, **places):
        monkeypatch.setattr(os, "rename", real)
        workshop.write(pair)
        real(*names, **places)

    monkeypatch.setattr(os, "rename", rename_after_the_other)
    with pytest.raises(VersionExists):
        workshop.write(pair)
    assert [path.name for path in (workshop.repository.root / "pair").iterdir()] == ["1.0.0"]


def test_a_crash_while_writing_leaves_no_version(workshop, pair, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        VersionInvalid, match=r"there is no room left in .*/pair \(No space left on device\): make room, then publish again"
    ):
        workshop.write(pair)
    monkeypatch.undo()
    assert workshop.repository.versions("pair") == ()
    assert list((workshop.repository.root / "pair").iterdir()) == []
    workshop.write(pair)
    assert workshop.repository.read("pair", "1.0.0").artifact == pair


def test_what_a_killed_publish_left_goes_with_the_next_one_when_it_is_old(workshop, pair):
    model = workshop.repository.root / "pair"
    model.mkdir(parents=True)
    killed = """
import os, signal, sys
from gatehouse.serving.new_folder import write_folder
os.rename = lambda *_names, **_places: os.kill(os.getpid(), signal.SIGKILL)
write_folder(os.open(sys.argv[1], os.O_RDONLY), "1.0.2", {"model.joblib": b"half"})
"""
    ended = subprocess.run([sys.executable, "-c", killed, str(model)], check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = model.iterdir()
    assert (left / "model.joblib").read_bytes() == b"half"
    workshop.write(pair)
    assert left.is_dir()  # it may still be at work
    os.utime(left, (time.time() - OLD_S - 60,) * 2)
    workshop.write(pair, version="1.0.1")
    assert sorted(path.name for path in model.iterdir()) == ["1.0.0", "1.0.1"]


def test_nothing_else_is_taken_for_a_half_written_version(tmp_path):
    kept = [".1.0.2.abc", "1.0.2", ".1.0.2.0123456789abcdeX", ".notes.0123456789abcdef"]
    for name in (*kept, ".1.0.2.0123456789abcdef"):
        (tmp_path / name).mkdir()
    (tmp_path / ".1.0.3.0123456789abcdef").write_text("a file")
    (tmp_path / ".1.0.4.0123456789abcdef").symlink_to(tmp_path / "1.0.2")
    folder = os.open(tmp_path, os.O_RDONLY)
    later = time.time() + 60
    remove_half_written(folder, later, os.getuid() + 1)
    assert (tmp_path / ".1.0.2.0123456789abcdef").is_dir()
    remove_half_written(folder, later, os.getuid())
    os.close(folder)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*kept, ".1.0.3.0123456789abcdef", ".1.0.4.0123456789abcdef"}


def test_a_folder_that_takes_no_files_is_named(workshop, pair, monkeypatch):
    opened = os.open

    def read_only(name, flags, *rest, **where):
        if flags & os.O_CREAT:
            raise OSError(30, "Read-only file system", name)
        return opened(name, flags, *rest, **where)

    (workshop.repository.root / "pair").mkdir(parents=True)
    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(
        VersionInvalid, match=r"written: /.*/pair takes no files \(Read-only file system\): check its owner and permissions"
    ):
        workshop.write(pair)


def test_versions_are_ordered_by_number_and_the_next_one_is_free(workshop, pair):
    for version in ("1.10.0", "1.2.0", "1.2.10", "1.2.9"):
        workshop.write(pair, version=version)
    (workshop.repository.root / "pair" / ".1.3.0.abc").mkdir()
    (workshop.repository.root / "pair" / "notes").mkdir()
    (workshop.repository.root / "stray.txt").write_text("x")
    assert workshop.repository.versions("pair") == ("1.2.0", "1.2.9", "1.2.10", "1.10.0")
    assert workshop.repository.models() == ("pair",)
    assert workshop.repository.next_version("pair", 1) == "1.10.1"
    assert workshop.repository.next_version("pair", 2) == "2.0.0"
    assert workshop.repository.next_version("new", 1) == "1.0.0"


def test_a_manifest_of_another_version_than_its_files_cannot_be_written(workshop, pair, pair_toml):
    manifest = msgspec.structs.replace(workshop.manifest(pair), version="2.0.0")
    with pytest.raises(ManifestInvalid, match="does not belong to v1"):
        workshop.repository.write(manifest, pair_toml.encode(), pair, workshop.signer)
