"""The parity gate: nothing that answers differently takes the place of scikit-learn."""

import numpy as np
import pytest

from gatehouse.serving.classes import most_probable
from gatehouse.serving.engine_choice import difference
from gatehouse.serving.parity import compare

PROBABILITIES = np.array([[0.2, 0.8], [0.7, 0.3]])
VALUES = np.array([100.0, -2.0])


def _compared(reference, candidate, *decimals, classes=(0, 1)):
    """Labels of the reference are its most probable classes."""
    if reference.ndim == 1 or classes is None:
        return compare(reference, np.asarray(candidate), decimals, 1).parity
    return compare(reference, np.asarray(candidate), decimals, 1, classes, most_probable(reference, classes)).parity


def _passed(reference, candidate, decimals=4):
    return _compared(reference, candidate, decimals).passed


def test_equal_scores_pass_and_the_result_is_recorded():
    result = _compared(PROBABILITIES, PROBABILITIES + np.array([[0, 1e-6], [0, 0]]), 4)
    assert (result.rows, result.seed, result.label_flips, result.worst_units, result.passed) == (2, 1, 0, 0, True)
    assert result.worst_difference == pytest.approx(1e-6)


def test_a_probability_off_by_more_than_1e_5_fails():
    assert _passed(PROBABILITIES, PROBABILITIES + 0.9e-5)
    assert not _passed(PROBABILITIES, PROBABILITIES + 1.1e-5)


def test_a_value_off_by_more_than_1e_5_of_itself_fails():
    assert _passed(VALUES, VALUES * (1 + 0.9e-5), decimals=2)
    assert not _passed(VALUES, VALUES * (1 + 1.1e-5), decimals=2)


def test_a_flipped_label_fails_however_small_the_difference():
    result = _compared(np.array([[0.5, 0.5]]), np.array([[0.5, 0.5 + 1e-9]]), 4)
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
    result = _compared(VALUES, np.array([100.0, bad]), 4)
    assert not result.passed
    assert result.worst_difference is None


def test_another_shape_fails():
    assert not _passed(VALUES, [100.0])


TWO_TARGETS = ((0, 1), ("a", "b", "c"))


def test_a_flipped_label_of_any_target_fails():
    reference = np.array([[0.2, 0.8, 0.4, 0.4 + 1e-9, 0.2 - 1e-9]])
    result = _compared(reference, reference + np.array([[0, 0, 2e-9, 0, 0]]), 4, 4, classes=TWO_TARGETS)
    assert (result.label_flips, result.passed) == (1, False)
    other_target = np.array([[0.2, 0.8, 0.9, 0.05, 0.05]])  # greater than the other target's greatest, which is no matter
    assert _compared(other_target, other_target + 1e-7, 4, 4, classes=TWO_TARGETS).passed


def test_the_reference_is_scikit_learns_own_label_where_that_is_not_the_most_probable():
    own = np.array([[0], [1]])
    assert compare(PROBABILITIES, PROBABILITIES, [4], 1, (0, 1), own).parity.label_flips == 2


def test_each_of_several_targets_is_held_to_its_own_decimals():
    reference = np.array([[100.0, 100.0]])
    candidate = reference + np.array([[0.0, 5e-4]])
    assert _compared(reference, candidate, 6, 3, classes=None).passed
    assert not _compared(reference, candidate, 3, 6, classes=None).passed
    assert not _compared(reference, reference + np.array([[0.0, 2e-3]]), 2, 2, classes=None).passed


def test_the_worst_row_is_the_one_that_differs_most_and_a_flipped_label_comes_first():
    assert compare(VALUES, VALUES, [4], 1).worst is None
    assert compare(VALUES, np.array([100.1, -3.0]), [4], 1).worst == 1
    assert compare(VALUES, np.array([100.1, np.nan]), [4], 1).worst == 1
    assert compare(VALUES, VALUES[:1], [4], 1).worst is None
    labels = most_probable(PROBABILITIES, (0, 1))
    flipped = np.array([[0.9, 0.1], [0.5, 0.5 + 1e-3]])
    assert compare(PROBABILITIES, np.array([[0.1, 0.9], [0.49, 0.51]]), [4], 1, (0, 1), labels).worst == 1
    assert compare(PROBABILITIES, flipped, [4], 1, (0, 1), labels).worst == 0


def test_what_differs_is_said_with_what_is_allowed_and_of_values_without_labels():
    allowed = "; allowed are 1e-05 and one unit of the last decimal)"
    said = difference(_compared(PROBABILITIES, PROBABILITIES[::-1], 4), classifies=True)
    assert said == f"the ONNX graph answers differently (2 flipped labels, worst difference 0.5{allowed}"
    said = difference(_compared(VALUES, VALUES * 1.5, 4), classifies=False)
    assert said == f"the ONNX graph answers differently (worst relative difference 0.5{allowed}"
