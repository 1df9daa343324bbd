"""What another version's answers are counted as: the same together and apart, and against serving itself."""

from pathlib import Path

import numpy as np
import pytest
from contract_text import head
from estimators import NAN_SIZE, RAISING_SIZE, Wicked
from hypothesis import given, settings
from hypothesis import strategies as st
from line_versions import GROWN, TOML, publish_line, publish_newer, write_version
from sklearn.linear_model import LinearRegression
from stage import MIXED_ROW, MIXED_TOML, Stage, mixed_estimator

from gatehouse.server.shadow_book import sums_of
from gatehouse.server.shadow_scoring import Comparison, add, load_comparison
from gatehouse.server.shadow_wire import Pair, Result, matrix_of, parts_of
from gatehouse.serving.manifest import GoldenRow
from gatehouse.serving.registry import NotServable
from gatehouse.serving.repository import Repository
from gatehouse.serving.signing import TrustedKeys

TO_NEWER = Pair("line", "v1", "1.0.0", "v2", "2.0.0")
TO_WICKED = Pair("line", "v1", "1.0.0", "v1", "1.5.0")


@pytest.fixture(scope="module")
def repository(published: Path, module_stage: Stage) -> Repository:
    publish_newer(published, module_stage, 0, most=1000)
    publish_line(published, module_stage, 1, GROWN)
    write_version(published, module_stage, "line", "1.5.0", Wicked(5).fit([[1.5]], [1]), TOML, GoldenRow((1.5,), (6.5,)))
    return Repository(module_stage.state_dir / "models", TrustedKeys.load(module_stage.state_dir / "trusted-keys"))


@pytest.fixture(scope="module")
def newer(repository: Repository) -> Comparison:
    return load_comparison(repository, TO_NEWER)


def column(*sizes: float) -> np.ndarray:
    return np.array(sizes, np.float64).reshape(-1, 1)


def results(comparison: Comparison, sizes: list[float], calls: list[tuple[int, int]]) -> list[Result]:
    return comparison.results(column(*sizes), np.array(sizes), calls, 5.0)


SIZES = st.floats(0, 200).map(lambda size: round(size, 2))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.lists(SIZES, min_size=1, max_size=4)), min_size=1, max_size=8))
def test_calls_come_to_the_same_together_and_apart(newer: Comparison, calls: list[tuple[int, list[float]]]) -> None:
    together = results(newer, [size for _, sizes in calls for size in sizes], [(tenant, len(sizes)) for tenant, sizes in calls])
    for tenant, found in enumerate(together):
        apart = [results(newer, sizes, [(0, len(sizes))])[0] for owner, sizes in calls if owner == tenant]
        assert found.rows == sum(each.rows for each in apart)
        assert found.not_upgraded == sum(each.not_upgraded for each in apart) == sum(s > 100 for o, c in calls if o == tenant for s in c)
        assert found.disagreed == sum(each.disagreed for each in apart)
        assert found.shift_sum == pytest.approx(sum(each.shift_sum for each in apart))
        assert sum(found.shifts.values()) == found.rows - found.not_upgraded
        assert sum(count for *_, count in found.failures) == found.not_upgraded


def test_only_the_calls_to_blame_fail(repository: Repository) -> None:
    wicked = load_comparison(repository, TO_WICKED)
    sizes = [1.0, 2.0, NAN_SIZE, 3.0, RAISING_SIZE]
    first, second = results(wicked, sizes, [(0, 2), (1, 1), (1, 1), (0, 1)])
    assert (first.failed, first.rows, first.disagreed, first.shift_sum) == (1, 2, 2, 10.0)
    assert (second.failed, second.rows, second.disagreed, second.shift_sum) == (1, 1, 1, 5.0)


def test_calls_that_raise_together_are_taken_apart_for_a_while_only(repository: Repository) -> None:
    """A version that raises on each of a thousand calls may not hold the other endpoints up, or be killed for it."""
    wicked = load_comparison(repository, TO_WICKED)
    calls = [(number % 2, 1) for number in range(1000)]
    first, second = wicked.results(column(*[RAISING_SIZE] * 1000), np.full(1000, RAISING_SIZE), calls, 0.0)
    assert (first.dropped, second.dropped, first.failed, first.rows) == (500, 500, 0, 0)
    sizes = [1.0] * 999 + [RAISING_SIZE]
    first, second = wicked.results(column(*sizes), np.array(sizes), calls, 60.0)
    assert (first.dropped, first.failed, first.rows) == (0, 0, 500)
    assert (second.dropped, second.failed, second.rows) == (0, 1, 499)


def test_a_row_that_cannot_be_upgraded_is_not_scored(newer: Comparison) -> None:
    [found] = results(newer, [150.0, 199.0], [(0, 2)])
    assert (found.rows, found.not_upgraded, found.failed, found.shifts) == (2, 2, 0, {})
    assert found.failures == [("size", "upgrade_out_of_range", 2)]


def test_reasons_are_added_up_by_field_and_code_not_call_by_call() -> None:
    """Else so many reasons of true calls are more than a server believes."""
    fields = [(f"field_{number}", "upgrade_out_of_range", 1) for number in range(12)]
    found = Result(failed=1)
    for _ in range(999):
        add(found, Result(rows=1, not_upgraded=1, failures=fields))
    assert sorted(found.failures) == sorted((field, code, 999) for field, code, _ in fields)
    assert sums_of(found, 1000, 1000) is not None


def test_a_version_without_a_way_back_or_of_another_answer_is_not_comparable(published: Path, repository: Repository, stage: Stage) -> None:
    one_way = TOML.replace('"v1"', '"v2"') + "[upgrade.from.v1]\none_way = true\nrules = []\n"
    publish_line(published, stage, 0, one_way, major=2)
    own = Repository(stage.state_dir / "models", TrustedKeys.load(stage.state_dir / "trusted-keys"))
    with pytest.raises(NotServable, match="one-way"):
        load_comparison(own, TO_NEWER)
    with pytest.raises(NotServable, match="goes nowhere"):
        load_comparison(repository, Pair("line", "v1", "1.1.0", "v1", "1.0.0"))


def test_rows_of_texts_and_nulls_are_compared_as_they_are(published: Path, stage: Stage) -> None:
    model, row = mixed_estimator(), list(MIXED_ROW.values())
    golden = GoldenRow(tuple(row), tuple(model.predict_proba(np.array([row], object))[0].tolist()))
    write_version(published, stage, "mixed", "1.1.0", model, MIXED_TOML, golden, classes=("no", "yes"))
    repository = Repository(stage.state_dir / "models", TrustedKeys.load(stage.state_dir / "trusted-keys"))
    values = np.array([row, [None, 7, False, "blue", "é"]], object)
    scores = model.predict_proba(values)
    [found] = load_comparison(repository, Pair("mixed", "v1", "1.0.0", "v1", "1.1.0")).results(values, scores, [(0, 2)], 5.0)
    assert (found.rows, found.failed, found.disagreed, found.shift_sum, found.shifts) == (2, 0, 0, 0.0, {0: 2})


def test_of_several_targets_rows_disagree_where_any_does_and_the_first_shifts(published: Path, stage: Stage) -> None:
    toml = head("twins", size=(0, 200, 1.5)) + '[output]\ntask = "multioutput"\nreturns = ["price", "age"]\n'
    toml += '[output.targets.age]\ntask = "regression"\n[output.targets.price]\ntask = "regression"\ndecimals = 1\n'
    for minor in (0, 1):
        fitted = LinearRegression()
        fitted.coef_, fitted.intercept_, fitted.n_features_in_ = np.array([[1.0], [2.0]]), np.array([0.0, minor * 0.5]), 1
        golden = GoldenRow((1.5,), (1.5, 3.0 + minor * 0.5))
        write_version(published, stage, "twins", f"1.{minor}.0", fitted, toml, golden)
    repository = Repository(stage.state_dir / "models", TrustedKeys.load(stage.state_dir / "trusted-keys"))
    comparison = load_comparison(repository, Pair("twins", "v1", "1.0.0", "v1", "1.1.0"))
    [found] = comparison.results(column(1.0, 2.0), np.array([[1.0, 2.0], [2.0, 4.0]]), [(0, 2)], 5.0)
    assert (found.disagreed, found.shift_sum) == (2, 1.0), "price is the first that is answered"


@pytest.mark.parametrize(
    "values",
    [
        np.array([[1.5, np.nan], [-0.0, 1e300]]),
        np.array([[None, "é", 3], [2.5, "", True]], object),
        np.array([[n, "x" * n] for n in range(3000)], object),
    ],
)
def test_a_matrix_arrives_as_it_was_sent(values: np.ndarray) -> None:
    parts = [bytes(part) for part in parts_of(np.split(values, [1]))]
    found = matrix_of(parts, numeric=values.dtype != object, rows=len(values))
    assert (found.dtype, found.tolist() == values.tolist() or np.array_equal(found, values, equal_nan=True)) == (values.dtype, True)
