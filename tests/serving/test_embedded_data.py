"""The leak check: what a fitted estimator keeps of its training rows is found and named, and what is none is not."""

import functools
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array, issparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import DBSCAN, AffinityPropagation, Birch, FeatureAgglomeration, KMeans, MeanShift
from sklearn.compose import ColumnTransformer
from sklearn.covariance import EllipticEnvelope
from sklearn.decomposition import PCA, KernelPCA
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression, LogisticRegression, RANSACRegressor, RidgeCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KernelDensity, KNeighborsClassifier, LocalOutlierFactor, NearestCentroid, RadiusNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, OneHotEncoder, QuantileTransformer, StandardScaler
from sklearn.semi_supervised import LabelPropagation
from sklearn.svm import SVC, SVR, LinearSVC, NuSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from gatehouse.serving.embedded_data import Finding, embedded_data

N = 61
ROWS = np.random.default_rng(11).uniform(0, 1, (N, 3))
CLASSES = (ROWS[:, 0] > 0.5).astype(int)


def fit(estimator: Any, rows: Any = ROWS, targets: Any = CLASSES) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(rows, targets)


def named(estimator: Any, training_rows: int | None = None) -> dict[str, int]:
    return {found.place: found.rows for found in embedded_data(estimator, training_rows)}


KEEPING: dict[str, tuple[Callable[[], Any], str, int | None]] = {
    "neighbours": (lambda: KNeighborsClassifier(algorithm="brute"), "KNeighborsClassifier._fit_X", N),
    "neighbours in a KDTree": (lambda: KNeighborsClassifier(algorithm="kd_tree"), "KNeighborsClassifier._tree", N),
    "neighbours in a BallTree": (lambda: RadiusNeighborsRegressor(algorithm="ball_tree"), "RadiusNeighborsRegressor._tree", N),
    "SVC": (SVC, "SVC.support_vectors_", None),
    "NuSVC": (NuSVC, "NuSVC.support_vectors_", None),
    "SVR": (SVR, "SVR.support_vectors_", None),
    "OneClassSVM": (OneClassSVM, "OneClassSVM.support_vectors_", None),
    "Gaussian process": (GaussianProcessRegressor, "GaussianProcessRegressor.X_train_", N),
    "Gaussian process classifier": (
        GaussianProcessClassifier,
        "GaussianProcessClassifier.base_estimator_._BinaryGaussianProcessClassifierLaplace.X_train_",
        N,
    ),
    "KernelRidge": (KernelRidge, "KernelRidge.X_fit_", N),
    "KernelPCA": (KernelPCA, "KernelPCA.X_fit_", N),
    "KernelDensity": (KernelDensity, "KernelDensity.tree_", N),
    "LabelPropagation": (LabelPropagation, "LabelPropagation.X_", N),
    "KNNImputer": (KNNImputer, "KNNImputer._fit_X", N),
    "Nystroem": (lambda: Nystroem(n_components=20), "Nystroem.components_", 20),
    "DBSCAN": (DBSCAN, "DBSCAN.components_", None),
    "AffinityPropagation": (AffinityPropagation, "AffinityPropagation.cluster_centers_", None),
    "MeanShift": (lambda: MeanShift(bandwidth=0.1), "MeanShift.cluster_centers_", None),
    "LocalOutlierFactor": (LocalOutlierFactor, "LocalOutlierFactor._fit_X", N),
    "Birch": (lambda: Birch(threshold=0.01), "Birch.subcluster_centers_", None),
    "labels of clusters": (lambda: KMeans(3, n_init=1), "KMeans.labels_", N),
    "quantiles of few rows": (QuantileTransformer, "QuantileTransformer.quantiles_", N),
    "out-of-bag scores": (lambda: RandomForestClassifier(oob_score=True), "RandomForestClassifier.oob_decision_function_", N),
    "RANSAC": (RANSACRegressor, "RANSACRegressor.inlier_mask_", N),
    "cross-validation of each row": (lambda: RidgeCV(store_cv_results=True), "RidgeCV.cv_results_", N),
    "outlier distances": (EllipticEnvelope, "EllipticEnvelope.dist_", N),
}


@pytest.mark.parametrize("case", KEEPING)
def test_an_estimator_that_keeps_training_rows_is_named(case: str) -> None:
    make, place, rows = KEEPING[case]
    found = named(fit(make()))
    assert place in found
    assert found[place] == rows if rows is not None else 0 < found[place] <= N


def test_isotonic_regression_and_calibration_by_it_are_named() -> None:
    assert "IsotonicRegression.X_thresholds_" in named(fit(IsotonicRegression(), ROWS[:, 0]))
    calibrated = fit(CalibratedClassifierCV(LogisticRegression(), method="isotonic", cv=2))
    assert all(place.endswith("IsotonicRegression.X_thresholds_") for place in named(calibrated))
    assert len(named(calibrated)) == 2
    assert named(fit(CalibratedClassifierCV(LogisticRegression(), cv=2))) == {}


NESTED: dict[str, tuple[Callable[[], Any], str]] = {
    "pipeline": (lambda: make_pipeline(StandardScaler(), SVC()), "Pipeline.steps[1][1].SVC.support_vectors_"),
    "voting": (
        lambda: VotingClassifier([("a", LogisticRegression()), ("b", Pipeline([("k", KNeighborsClassifier())]))]),
        "VotingClassifier.estimators_[1].Pipeline.steps[0][1].KNeighborsClassifier._fit_X",
    ),
    "stacking": (lambda: StackingClassifier([("s", SVC())], cv=2), "StackingClassifier.estimators_[0].SVC.support_vectors_"),
    "bagging": (
        lambda: BaggingClassifier(KNeighborsClassifier(), n_estimators=2),
        "BaggingClassifier.estimators_[1].KNeighborsClassifier._fit_X",
    ),
    "columns": (
        lambda: make_pipeline(ColumnTransformer([("i", KNNImputer(), [0, 1])]), LogisticRegression()),
        "Pipeline.steps[0][1].ColumnTransformer.transformers_[0][1].KNNImputer._fit_X",
    ),
    "multi-output": (
        lambda: MultiOutputClassifier(SVC()),
        "MultiOutputClassifier.estimators_[1].SVC.support_vectors_",
    ),
    "a function's arguments": (
        lambda: make_pipeline(FunctionTransformer(functools.partial(nearest, rows=ROWS)), StandardScaler()),
        "Pipeline.steps[0][1].FunctionTransformer.func.partial.keywords['rows']",
    ),
}


def nearest(values: Any, rows: Any) -> Any:
    return values if len(rows) else rows


@pytest.mark.parametrize("case", NESTED)
def test_what_is_kept_is_found_through_every_nesting(case: str) -> None:
    make, place = NESTED[case]
    targets = np.c_[CLASSES, 1 - CLASSES] if case == "multi-output" else CLASSES
    assert place in named(fit(make(), targets=targets))


class Slotted:
    """A plain object without a dictionary."""

    __slots__ = ("table",)

    def __init__(self, table: Any) -> None:
        self.table = table


class Keeper(ClassifierMixin, BaseEstimator):
    """An estimator of a user's own that keeps something under a name that says nothing."""

    def __init__(self, kept: Any = None) -> None:
        self.kept = kept


WITHIN: dict[str, tuple[Callable[[], Any], str]] = {
    "dense": (lambda: ROWS, ""),
    "sparse": (lambda: csr_array(ROWS), ""),
    "list of lists": (ROWS.tolist, ""),
    "list in a dictionary": (lambda: {"a": {"b": [*range(N)]}}, "['a']['b']"),
    "plain object": (lambda: SimpleNamespace(deep=SimpleNamespace(table=ROWS)), ".SimpleNamespace.deep.SimpleNamespace.table"),
    "object with slots": (lambda: Slotted(ROWS), ".Slotted.table"),
    "array of objects": (lambda: np.array([None, SimpleNamespace(rows=ROWS)], dtype=object), "[1].SimpleNamespace.rows"),
    "rows of text": (lambda: np.array([["a", 1, None]] * N, dtype=object), ""),
}


@pytest.mark.parametrize("case", WITHIN)
def test_an_array_of_as_many_entries_as_rows_is_found_where_the_publisher_tells_their_number(case: str) -> None:
    make, place = WITHIN[case]
    kept = make()
    assert issparse(kept) == (case == "sparse")
    assert embedded_data(Keeper(kept)) == ()
    assert embedded_data(Keeper(kept), N) == (Finding(f"Keeper.kept{place}", "entries, as many as training rows", N),)
    assert embedded_data(Keeper(kept), N + 1) == ()


TELLING = {
    "scaler": (lambda: StandardScaler(), True),
    "principal components": (lambda: PCA(2), True),
    "forest": (lambda: RandomForestClassifier(n_estimators=3), True),
    "linear model": (lambda: LinearRegression(), False),
}


@pytest.mark.parametrize("case", TELLING)
def test_an_array_in_another_part_is_found_where_one_part_tells_the_number_of_rows(case: str) -> None:
    make, tells = TELLING[case]
    both = Pipeline([("one", fit(make())), ("two", Keeper(ROWS))])
    assert (named(both) == {"Pipeline.steps[1][1].Keeper.kept": N}) == tells


def test_a_subclass_of_an_estimator_is_known_by_what_it_inherits() -> None:
    class Own(AffinityPropagation):
        pass

    assert "Own.cluster_centers_" in named(fit(Own()))


HUNDRED = np.random.default_rng(3).normal(size=(100, 4))
SQUARE = np.random.default_rng(4).normal(size=(30, 30))
KEEPING_NONE = {
    "linear": lambda: LogisticRegression(),
    "LinearSVC": lambda: LinearSVC(),
    "naive Bayes": lambda: GaussianNB(),
    "centroids": lambda: NearestCentroid(),
    "tree": lambda: DecisionTreeClassifier(),
    "100 trees": lambda: RandomForestClassifier(n_estimators=100),
    "100 extra trees": lambda: ExtraTreesRegressor(n_estimators=100),
    "100 rounds": lambda: make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=100, max_depth=1)),
    "100 fast rounds": lambda: make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=100)),
    "100 units": lambda: make_pipeline(StandardScaler(), MLPClassifier((100, 100), max_iter=100)),
    "100 bags": lambda: BaggingClassifier(n_estimators=100),
    "isolation forest": lambda: IsolationForest(random_state=0),
    "random features": lambda: make_pipeline(RBFSampler(n_components=100), LogisticRegression()),
    "bins": lambda: make_pipeline(KBinsDiscretizer(5, quantile_method="averaged_inverted_cdf"), LogisticRegression()),
    "imputer": lambda: make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
}


@pytest.mark.parametrize("case", KEEPING_NONE)
@pytest.mark.parametrize("rows", [HUNDRED, SQUARE], ids=["100 rows", "30 rows of 30 columns"])
def test_an_estimator_that_keeps_no_rows_is_let_through(case: str, rows: Any) -> None:
    targets = np.arange(len(rows)) % 2
    assert named(fit(KEEPING_NONE[case](), rows, targets)) == {}
    assert named(fit(KEEPING_NONE[case](), rows, targets), len(rows)) == {}


def test_labels_of_columns_and_few_categories_are_no_rows() -> None:
    assert named(fit(FeatureAgglomeration())) == {}
    letters = np.array([["a"], ["b"], ["c"]] * 20)
    encoder = fit(OneHotEncoder(), letters)
    assert named(encoder, len(letters)) == {}
    every_row_its_own = fit(OneHotEncoder(), np.arange(N).reshape(-1, 1))
    assert named(every_row_its_own, N) == {"OneHotEncoder.categories_[0]": N}


def test_a_structure_that_holds_itself_comes_to_an_end() -> None:
    loop = Keeper()
    loop.kept = {"again": [loop, ROWS]}
    assert named(loop, N) == {"Keeper.kept['again'][1]": N}
