"""Random bytes of the system, fetched many at a time: a system call for those of each call would cost more than all else of an id."""

import os
import weakref
from io import BytesIO

FETCHED_BYTES = 4096


class RandomPool:
    """Belongs to one thread. No byte is given out twice, not even where the process forks."""

    def __init__(self) -> None:
        self._left = BytesIO()
        _POOLS.add(self)

    def take(self, count: int) -> bytes:
        """So many bytes of os.urandom; at most FETCHED_BYTES."""
        taken = self._left.read(count)
        if len(taken) < count:
            self._left = BytesIO(os.urandom(FETCHED_BYTES))
            taken = self._left.read(count)
        return taken

    def bits(self, count: int) -> int:
        """A number of so many random bits, as `secrets.randbits` gives."""
        return int.from_bytes(self.take(-(-count // 8))) >> (-count % 8)

    def forget(self) -> None:
        """Fetch anew before the next byte is given out."""
        self._left = BytesIO()


_POOLS: "weakref.WeakSet[RandomPool]" = weakref.WeakSet()


def _forget_all() -> None:
    for pool in list(_POOLS):
        pool.forget()


os.register_at_fork(after_in_child=_forget_all)
