"""The parity gate: nothing that answers differently takes the place of scikit-learn."""

import numpy as np
import pytest

from gatehouse.serving.parity import compare

PROBABILITIES = np.array([[0.2, 0.8], [0.7, 0.3]])
VALUES = np.array([100.0, -2.0])


def _passed(reference, candidate, decimals=4):
    return compare(reference, np.asarray(candidate), decimals, 1).passed


def test_equal_scores_pass_and_the_result_is_recorded():
    result = compare(PROBABILITIES, PROBABILITIES + np.array([[0, 1e-6], [0, 0]]), 4, 5)
    assert (result.rows, result.seed, result.label_flips, result.worst_units, result.passed) == (2, 5, 0, 0, True)
    assert result.worst_difference == pytest.approx(1e-6)


def test_a_probability_off_by_more_than_1e_5_fails():
    assert _passed(PROBABILITIES, PROBABILITIES + 0.9e-5)
    assert not _passed(PROBABILITIES, PROBABILITIES + 1.1e-5)


def test_a_value_off_by_more_than_1e_5_of_itself_fails():
    assert _passed(VALUES, VALUES * (1 + 0.9e-5), decimals=2)
    assert not _passed(VALUES, VALUES * (1 + 1.1e-5), decimals=2)


def test_a_flipped_label_fails_however_small_the_difference():
    result = compare(np.array([[0.5, 0.5]]), np.array([[0.5, 0.5 + 1e-9]]), 4, 1)
    assert result.label_flips == 1
    assert not result.passed


def test_more_than_one_unit_of_the_last_decimal_fails_also_within_the_tolerance():
    assert not _passed(PROBABILITIES, PROBABILITIES + 5e-6, decimals=6)
    assert not _passed(np.array([1e7]), np.array([1e7 + 5]), decimals=1)


def test_zero_admits_nothing_but_zero():
    assert _passed(np.array([0.0]), [0.0])
    assert not _passed(np.array([0.0]), [1e-12])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_number_that_is_not_finite_fails(bad):
    result = compare(VALUES, np.array([100.0, bad]), 4, 1)
    assert not result.passed
    assert result.worst_difference is None


def test_another_shape_fails():
    assert not _passed(VALUES, [100.0])
