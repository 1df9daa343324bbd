"""What waits, fairly: owners (tenants, callers) take turns, and what is of one owner is first come, first served."""

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """A queue for each owner, and whose turn it is. It knows no locks: of other threads' calls, only `len` is safe."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, deque[T]] = OrderedDict()
        """By owner, the next one first; never empty ones."""
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._queues)

    def __len__(self) -> int:
        return self._size

    def owners(self) -> Iterator[str]:
        """Whoever has something here, in the order of their turns."""
        return iter(self._queues)

    def of(self, owner: str) -> int:
        """How much of an owner waits."""
        return len(self._queues.get(owner, ()))

    def numbers(self) -> dict[str, int]:
        """How much of each owner waits, in the order of their turns."""
        return {owner: len(queue) for owner, queue in self._queues.items()}

    def add(self, owner: str, item: T) -> None:
        """Last of its owner; an owner who had nothing here comes after all others."""
        self._queues.setdefault(owner, deque()).append(item)
        self._size += 1

    def take(self) -> tuple[str, T]:
        """The first item of the owner whose turn it is. Raises KeyError where there is none."""
        owner = next(iter(self._queues), "")
        return owner, self.take_of(owner)

    def take_of(self, owner: str) -> T:
        """An owner's first item, which is its turn: all others come before its next one. Raises KeyError where it has none."""
        queue = self._queues[owner]
        item = queue.popleft()
        self._size -= 1
        if queue:
            self._queues.move_to_end(owner)
        else:
            del self._queues[owner]
        return item

    def drop_newest(self, owner: str) -> T:
        """An owner's last item; turns stay as they are. Raises KeyError where it has none."""
        item = self._queues[owner].pop()
        self._end_wait(owner)
        return item

    def remove(self, owner: str, item: T) -> bool:
        """Take an item out wherever it stands; False where it is not there. Turns stay as they are."""
        queue = self._queues.get(owner)
        if queue is None or item not in queue:
            return False
        queue.remove(item)
        self._end_wait(owner)
        return True

    def drain(self) -> Iterator[T]:
        """Everything, by owner, out of it at once."""
        queues, self._queues, self._size = self._queues, OrderedDict(), 0
        return (item for queue in queues.values() for item in queue)

    def _end_wait(self, owner: str) -> None:
        self._size -= 1
        if not self._queues[owner]:
            del self._queues[owner]
