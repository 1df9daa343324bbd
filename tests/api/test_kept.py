"""What a call that is to be shadowed holds while it waits: its own rows and scores, and nothing of others."""

from typing import Any

import numpy as np
import pytest

from gatehouse.api.predict import keep
from gatehouse.call import Call, Kept

WHOLE = np.array([[float(row), row + 0.5] for row in range(6)])


@pytest.mark.parametrize(
    ("sent", "copied"),
    [
        (np.split(WHOLE, 3)[1], True),
        (WHOLE.astype(object)[2:4], True),
        (np.frombuffer(b"8 bytes " * 4, np.float64)[1:], True),
        (WHOLE, False),
        (WHOLE.copy(), False),
        (np.zeros(12).reshape(6, 2), False),
    ],
)
def test_a_part_of_a_batch_does_not_keep_the_whole_batch_in_memory(sent: Any, copied: bool) -> None:
    call = Call("r1", 0, kept=Kept(values=sent))
    assert keep(call, sent) is sent
    assert call.kept is not None
    for kept in (call.kept.values, call.kept.scores):
        assert np.array_equal(kept, sent)
        assert (kept is not sent) is copied
        assert kept.base is None or not copied


def test_other_calls_keep_nothing() -> None:
    call = Call("r1", 0)
    assert keep(call, WHOLE) is WHOLE
    assert call.kept is None
