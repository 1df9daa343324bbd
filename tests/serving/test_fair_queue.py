"""The queue of all who take turns, held against one that only counts when an owner last had a turn."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse.fair_queue import FairQueue

OWNERS = st.sampled_from(["", "a", "b", "c"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), OWNERS),
        st.tuples(st.just("take"), st.just("")),
        st.tuples(st.sampled_from(["take_of", "drop_newest", "remove"]), OWNERS),
    ),
    max_size=60,
)


class Oracle:
    """A list, and for each owner the moment of its last turn, or of its coming where it had nothing here."""

    def __init__(self) -> None:
        self.items: list[tuple[str, int]] = []
        self.since: dict[str, int] = {}
        self._moments = count()

    def owners(self) -> list[str]:
        return sorted({owner for owner, _ in self.items}, key=self.since.__getitem__)

    def add(self, owner: str, item: int) -> None:
        if owner not in self.owners():
            self.since[owner] = next(self._moments)
        self.items.append((owner, item))

    def take_of(self, owner: str) -> int:
        self.since[owner] = next(self._moments)
        return self.drop(owner, 0)

    def drop(self, owner: str, place: int) -> int:
        item = [item for of, item in self.items if of == owner][place]
        self.items.remove((owner, item))
        return item


@given(STEPS)
def test_owners_take_turns_and_each_ones_own_is_first_come_first_served(steps: list[tuple[str, str]]) -> None:
    queue, oracle = FairQueue[int](), Oracle()
    for item, (step, owner) in enumerate(steps):
        own = [each for of, each in oracle.items if of == owner]
        if step == "add":
            queue.add(owner, item)
            oracle.add(owner, item)
        elif step == "take" and oracle.items:
            turn = oracle.owners()[0]
            assert queue.take() == (turn, oracle.take_of(turn))
        elif step == "remove":
            middle = own[len(own) // 2] if own else -1
            assert queue.remove(owner, middle) is bool(own)
            if own:
                oracle.items.remove((owner, middle))
        elif step == "take":
            with pytest.raises(KeyError):
                queue.take()
        elif own:
            assert getattr(queue, step)(owner) == (oracle.take_of(owner) if step == "take_of" else oracle.drop(owner, -1))
        else:
            with pytest.raises(KeyError):
                getattr(queue, step)(owner)
        assert list(queue.owners()) == oracle.owners()
        assert queue.numbers() == {of: queue.of(of) for of in oracle.owners()}
        assert (len(queue), bool(queue)) == (len(oracle.items), bool(oracle.items))
    assert sorted(queue.drain()) == sorted(item for _, item in oracle.items)
    assert (len(queue), list(queue.owners())) == (0, [])
