"""Shifts of answers counted in buckets, so that their quantiles stay known when the shifts are gone.

The scheme is that of DDSketch (Masson, Rim, Lee: VLDB 2019): each bucket is 4 % wider than the one before it, so a quantile read
back is within 2 % of the shift that it stands for. Shifts of less than 1e-9 count as none.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

ACCURACY = 0.02
SMALLEST, LARGEST = 1e-9, 1e100
"""What is nearer to 0 counts as 0; what is further away counts as the largest."""
PERCENTS = (5, 50, 95)
_RATIO = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_RATIO = float(np.log(_RATIO))
FURTHEST = int(np.ceil(np.log(LARGEST / SMALLEST) / _LOG_RATIO)) + 1
"""No bucket is further from 0."""


def bounded_shifts(shifts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shifts as they are counted and summed: no further from 0 than the largest, so that no sum of them overflows."""
    return np.clip(shifts, -LARGEST, LARGEST)


def bucket_counts(shifts: NDArray[np.float64]) -> dict[int, int]:
    """How many of the shifts (finite, any shape) are in each bucket; bucket 0 is no shift, those of falls are negative."""
    sizes = np.abs(bounded_shifts(shifts))
    steps = np.ceil(np.log(np.maximum(sizes, SMALLEST) / SMALLEST) / _LOG_RATIO).astype(np.int64) + 1
    buckets = np.where(sizes < SMALLEST, 0, np.sign(shifts).astype(np.int64) * steps)
    found, rows = np.unique(buckets, return_counts=True)
    return {int(bucket): int(count) for bucket, count in zip(found, rows, strict=True)}


def shift_of(bucket: int) -> float:
    """The shift that a bucket stands for: within 2 % of each that it holds."""
    if bucket == 0:
        return 0.0
    size = SMALLEST * _RATIO ** (abs(bucket) - 1) * 2 / (1 + _RATIO)
    return size if bucket > 0 else -size


def shift_quantiles(rows_by_bucket: Mapping[int, int]) -> dict[int, float]:
    """By percent: the shift that so many of a hundred rows do not exceed (nearest rank); empty where there are no rows."""
    total = sum(rows_by_bucket.values())
    if total == 0:
        return {}
    buckets = sorted(rows_by_bucket)
    up_to = np.cumsum([rows_by_bucket[bucket] for bucket in buckets])
    ranks = [max(1, -(-total * percent // 100)) for percent in PERCENTS]
    return {percent: shift_of(buckets[int(np.searchsorted(up_to, rank))]) for percent, rank in zip(PERCENTS, ranks, strict=True)}
