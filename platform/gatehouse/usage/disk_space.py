"""Disk space that is taken before it is needed, so that a full disk is noticed while there is still time to say so."""

import ctypes
import errno
import os
import sys
from typing import Any

_KEEP_SIZE = 1
"""FALLOC_FL_KEEP_SIZE (linux/falloc.h): blocks behind the end of the file, which stays where it is."""
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS)


def _system_call() -> Any:
    if sys.platform != "linux":
        return None
    call = ctypes.CDLL(None, use_errno=True).fallocate
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return call


_FALLOCATE = _system_call()


def take_ahead(file: int, at: int, length: int) -> None:
    """Have `length` bytes from `at` on taken for the file; its size does not change. Raises OSError where there is no room.

    Where the system or the file system cannot do so, free space is looked at instead: nothing is taken.
    """
    failed = _UNSUPPORTED[0] if _FALLOCATE is None else _fallocate(file, at, length)
    if failed in _UNSUPPORTED:
        free = os.fstatvfs(file)
        failed = 0 if free.f_bavail * free.f_frsize >= length else errno.ENOSPC
    if failed:
        raise OSError(failed, os.strerror(failed))


def _fallocate(file: int, at: int, length: int) -> int:
    """The error's number, 0 for none."""
    while True:
        failed = ctypes.get_errno() if _FALLOCATE(file, _KEEP_SIZE, at, length) else 0
        if failed != errno.EINTR:
            return failed
