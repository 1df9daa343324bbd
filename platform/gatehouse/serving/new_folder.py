"""A folder that is there whole or not at all: written beside its place, then renamed; and what a killed writer left of one."""

import errno
import os
import re
import secrets
import shutil
import stat

OPEN_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_BESIDE = re.compile(r"\.[0-9]+\.[0-9]+\.[0-9]+\.[0-9a-f]{16}")


def write_folder(parent: int, version: str, content: dict[str, bytes]) -> None:
    """A folder of files below the open folder `parent`. Nobody ever sees half of it. Raises FileExistsError and other OSErrors."""
    if _exists(parent, version):
        raise FileExistsError(errno.EEXIST, "exists", version)
    beside = f".{version}.{secrets.token_hex(8)}"
    os.mkdir(beside, 0o755, dir_fd=parent)
    try:
        _fill(parent, beside, content)
        os.rename(beside, version, src_dir_fd=parent, dst_dir_fd=parent)
        os.fsync(parent)
    except OSError as error:
        _remove(parent, beside, content)
        if error.errno == errno.ENOTEMPTY:  # another publisher was first
            raise FileExistsError(errno.EEXIST, "exists", version) from None
        raise


def remove_half_written(parent: int, before: float, user: int) -> None:
    """What killed writers of that user left beside, where nothing was put into it since `before`, in seconds since 1970."""
    with os.scandir(parent) as entries:
        names = [entry.name for entry in entries if _BESIDE.fullmatch(entry.name)]
    for name in names:
        try:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:  # its writer has ended, or another one was quicker
            continue
        if stat.S_ISDIR(found.st_mode) and found.st_uid == user and found.st_mtime < before:
            shutil.rmtree(name, ignore_errors=True, dir_fd=parent)


def _fill(parent: int, name: str, content: dict[str, bytes]) -> None:
    folder = os.open(name, OPEN_FOLDER, dir_fd=parent)
    try:
        for file_name, data in content.items():
            descriptor = os.open(file_name, _NEW_FILE, 0o644, dir_fd=folder)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
        os.fsync(folder)
    finally:
        os.close(folder)


def _remove(parent: int, name: str, content: dict[str, bytes]) -> None:
    if not _exists(parent, name):
        return
    folder = os.open(name, OPEN_FOLDER, dir_fd=parent)
    try:
        for file_name in content:
            if _exists(folder, file_name):
                os.unlink(file_name, dir_fd=folder)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=parent)


def _exists(parent: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
