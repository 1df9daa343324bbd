"""When a caller has moved to the successor."""

import pytest

from gatehouse.migration.moves import has_moved, share_moved


@pytest.mark.parametrize(
    ("old", "new", "moved"),
    [
        (0, 0, False),
        (0, 1, True),
        (1, 0, False),
        (1, 98, False),
        (1, 99, True),
        (2, 198, True),
        (2, 197, False),
        (10**12, 99 * 10**12, True),
    ],
)
def test_moved_is_at_least_one_call_there_and_at_most_one_in_a_hundred_here(old: int, new: int, moved: bool) -> None:
    assert has_moved(old, new) is moved


@pytest.mark.parametrize(("old", "new", "share"), [(0, 0, None), (1, 0, 0.0), (0, 2, 1.0), (1, 3, 0.75)])
def test_share_of_the_calls_on_the_successor(old: int, new: int, share: float | None) -> None:
    assert share_moved(old, new) == share
