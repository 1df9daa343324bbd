"""Many rows of an older contract made into rows of a newer one in steps, so that no step takes long."""

from collections.abc import Sequence
from dataclasses import replace
from math import nan

import numpy as np

from gatehouse.contracts.fast_decode import FLOAT64, OBJECT, Matrix
from gatehouse.contracts.findings import MOST_COUNTED
from gatehouse.contracts.pause import Pause, no_pause
from gatehouse.contracts.upgrade import Failed, Upgrade, Upgraded
from gatehouse.contracts.upgrade_columns import cells_of, columns_of

STEP_CELLS = 2_000
"""To upgrade so many, or to write them, takes about a millisecond where the cells are texts, and less where they are numbers."""
FEW_ROWS = 16
"""So many are upgraded one by one: a row of four numbers takes 5 µs, and whole columns of any length 70 µs at least."""
INLINE_UPGRADED_CELLS = 1_000
"""So many may be upgraded on the event loop."""


def upgraded_values(upgrade: Upgrade, values: Matrix, sent: Sequence[str] | None = None, pause: Pause = no_pause) -> Matrix:
    """The rows of the newer contract. `pause` is called between steps; `sent` are the names of a body in the columns shape.

    Raises InvalidInput with pointers into the body of the older contract.
    """
    if 0 < len(values) <= FEW_ROWS:
        few = _one_by_one(upgrade, values)
        if few is not None:
            return few
    step = max(1, STEP_CELLS // widest(upgrade))
    made: Matrix = np.empty((len(values), len(upgrade.new.features)), FLOAT64 if upgrade.new.numeric else OBJECT)
    failed: list[Failed] = []
    for at in range(0, len(values), step):
        part = upgrade.columns(values[at : at + step])
        made[at : at + step] = part.values
        failed += [replace(each, rows=each.rows + at) for each in part.failed]
        if sum(len(each.rows) for each in failed) >= MOST_COUNTED:
            break  # what is refused is counted no further
        pause()
    Upgraded(made, tuple(failed)).refuse(sent)
    return made


def _one_by_one(upgrade: Upgrade, values: Matrix) -> Matrix | None:
    """The same rows; None where one of them fails."""
    columns = [
        cells_of(feature, column) for feature, column in zip(upgrade.old.features, columns_of(upgrade.old.features, values), strict=True)
    ]
    rows = []
    for cells in zip(*columns, strict=True):
        made, failures = upgrade.row(cells)
        if failures:
            return None
        rows.append([nan if cell is None else cell for cell in made] if upgrade.new.numeric else made)
    matrix: Matrix = np.empty((len(rows), len(upgrade.new.features)), FLOAT64 if upgrade.new.numeric else OBJECT)
    matrix[:] = rows
    return matrix


def widest(upgrade: Upgrade) -> int:
    """The features of the wider contract."""
    return max(len(upgrade.old.features), len(upgrade.new.features))
