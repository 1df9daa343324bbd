"""Training rows that a fitted estimator keeps: whoever gets the artifact, or enough answers, gets them too.

Two rules find them. Some attributes of scikit-learn hold training rows by design, and are known by name. Besides, any array with as many
rows as the estimator was fitted on counts, where an attribute of it tells that number or the publisher does. A length that the object
around the array needs for another reason (its features, classes, outputs, iterations, or a whole number among its own parameters) does not
count: without this a forest of 100 trees fitted on 100 rows, or a scaler of 30 columns fitted on 30 rows, would be refused for nothing.
Nodes of decision trees are not looked at: they hold thresholds and counts, never a row.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatehouse.serving.fitted_values import FittedValue, attributes_of, fitted_values, is_search_tree, length_of

_ROWS = "training rows"
_PER_ROW = "entries, one for each training row"
_KNOWN = {
    "_fit_X": _ROWS,  # neighbours, KNNImputer, LocalOutlierFactor
    "X_train_": _ROWS,  # Gaussian processes
    "X_fit_": _ROWS,  # KernelRidge, KernelPCA
    "X_": _ROWS,  # LabelPropagation, and what scikit-learn's template for own estimators keeps
    "training_data_": _ROWS,  # Isomap
    "_raw_data": _ROWS,  # HDBSCAN
    "support_vectors_": "support vectors, which are training rows",
    "X_thresholds_": "values of training rows",  # IsotonicRegression, also in calibration
    "oob_prediction_": _PER_ROW,
    "oob_decision_function_": _PER_ROW,
    "label_distributions_": _PER_ROW,
    "transduction_": _PER_ROW,
    "inlier_mask_": _PER_ROW,
    "outliers_": _PER_ROW,  # HuberRegressor
    "x_scores_": _PER_ROW,  # partial least squares
    "_x_scores": _PER_ROW,
    "_y_scores": _PER_ROW,
}
_KNOWN_OF = {
    ("Nystroem", "components_"): _ROWS,
    ("DBSCAN", "components_"): _ROWS,
    ("AffinityPropagation", "cluster_centers_"): _ROWS,
    ("HDBSCAN", "medoids_"): _ROWS,
    ("MeanShift", "cluster_centers_"): "cluster centres, which are training rows where a cluster has one",
    ("Birch", "subcluster_centers_"): "cluster centres, which are training rows where a cluster has one",
    ("ClusterMixin", "labels_"): _PER_ROW,
    ("MinCovDet", "dist_"): _PER_ROW,
    ("_BaseRidgeCV", "cv_results_"): _PER_ROW,
    ("RidgeClassifierCV", "cv_results_"): _PER_ROW,
}
_WHOLE_COPIES = frozenset({"_fit_X", "X_train_", "X_fit_", "X_", "training_data_", "oob_prediction_", "oob_decision_function_"})
"""Known attributes with exactly as many rows as were fitted."""
_TELLERS = ("n_samples_fit_", "n_samples_", "n_samples_seen_", "_n_samples", "n_train_samples_")
"""Whole numbers by which scikit-learn remembers how many rows it was fitted on."""
_OTHER_COUNTS = ("n_features_in_", "n_outputs_", "n_iter_", "n_components_", "n_classes_", "n_estimators_", "_n_features_out")
_NODE_TABLES = frozenset({"_average_path_length_per_tree", "_decision_path_lengths"})
_OTHER_LISTS = ("classes_", "estimators_", "feature_names_in_")


@dataclass(frozen=True, slots=True)
class Finding:
    """Training rows in an estimator: `place` is a dotted path with class names, `rows` how many are there."""

    place: str
    what: str
    rows: int


def embedded_data(estimator: Any, training_rows: int | None = None) -> tuple[Finding, ...]:
    """What is kept of the training rows, outermost first. `training_rows`: how many there were, where the publisher says so."""
    values = [*fitted_values(estimator)]
    found = {id(value): what for value in values if (what := _known(value))}
    finished = {id(value.owners[-1]) for value in values if value.owners and id(value) in found}
    counts = _training_rows(values)
    if training_rows is not None:
        counts |= {training_rows}
    for value in values:
        if value.owners and id(value.owners[-1]) in finished:
            continue  # named already; its other arrays say nothing more
        if length_of(value.value) in counts and not _counted_otherwise(value):
            found[id(value)] = "entries, as many as training rows"
    return tuple(Finding(value.path, found[id(value)], length_of(value.value)) for value in values if id(value) in found)


def _known(value: FittedValue) -> str | None:
    if is_search_tree(value.value):
        return "training rows in a search tree"
    if not value.owners or not hasattr(value.value, "shape"):
        return None
    owner = value.owners[-1]
    for each in type(owner).__mro__:
        what = _KNOWN_OF.get((each.__name__, value.attribute))
        if what is not None and not _is_per_feature(owner, value):
            return what
    return _KNOWN.get(value.attribute) if hasattr(owner, "get_params") else None


def _is_per_feature(owner: Any, value: FittedValue) -> bool:
    """FeatureAgglomeration is a clusterer whose labels are of columns."""
    return value.attribute == "labels_" and any(each.__name__ == "FeatureAgglomeration" for each in type(owner).__mro__)


def _training_rows(values: Iterable[FittedValue]) -> set[int]:
    """Every number of rows that a part of the estimator says it was fitted on."""
    owners = {id(owner): owner for value in values for owner in value.owners if hasattr(owner, "get_params")}
    told = {length_of(value.value) for value in values if value.attribute in _WHOLE_COPIES and _known(value)}
    return told.union(*(_told_by(attributes_of(owner)) for owner in owners.values()))


def _told_by(held: dict[str, Any]) -> set[int]:
    told = _whole(held.get(name) for name in _TELLERS)
    shape = held.get("shape_fit_")  # support vector machines
    if isinstance(shape, tuple) and shape:
        told.add(int(shape[0]))
    taken, wanted = _whole([held.get("n_quantiles_")]), _whole([held.get("n_quantiles")])
    if taken and wanted and max(taken) < max(wanted):  # QuantileTransformer: fewer rows than quantiles asked for
        told |= taken
    return told - {0, 1}


def _counted_otherwise(value: FittedValue) -> bool:
    """Whether an object around it has this length for another reason, or it is the node table of a tree."""
    if value.attribute in _NODE_TABLES or (isinstance(value.value, np.ndarray) and value.value.dtype.names is not None):
        return True
    length = length_of(value.value)
    return any(length in _other_counts(owner) for owner in value.owners)


def _other_counts(owner: Any) -> set[int]:
    held = attributes_of(owner)
    counts = _whole(held.get(name) for name in _OTHER_COUNTS)
    counts |= {len(held[name]) for name in _OTHER_LISTS if hasattr(held.get(name), "__len__")}
    if hasattr(owner, "get_params"):
        for name, given in held.items():
            if not (name.endswith("_") or name.startswith("_") or name == "random_state"):
                counts |= _whole(given if isinstance(given, list | tuple) else (given,))
    return counts


def _whole(values: Iterable[Any]) -> set[int]:
    """Those of them that are whole numbers; StandardScaler counts in doubles."""
    numbers = (each for each in values if isinstance(each, int | float | np.integer) and not isinstance(each, bool))
    return {int(each) for each in numbers if each == each // 1}
