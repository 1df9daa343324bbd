"""Which engine a version is served by: ONNX where it is proven to answer the same, else scikit-learn itself."""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import msgspec

from gatehouse.serving import parity
from gatehouse.serving.convert import NotConvertible, convert
from gatehouse.serving.engine import EngineUnusable, Scores
from gatehouse.serving.engines.onnx import OnnxEngine
from gatehouse.serving.manifest import EngineName, Parity, WorstRow
from gatehouse.serving.reference import Reference
from gatehouse.serving.runtime import Runtime
from gatehouse.serving.shape import Cell, ContractShape, text_places
from gatehouse.serving.space import longest_row, to_values


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """`reason` says why scikit-learn was kept, and is None for ONNX; `artifact` is what the engine loads."""

    engine: EngineName
    artifact: bytes
    reason: str | None
    parity: Parity | None


def choose_engine(
    artifact: bytes,
    runtime: Runtime,
    contract: ContractShape,
    rows: Sequence[Sequence[Cell]],
    reference: Reference,
    hidden: Container[str],
    progress: Callable[[str], None],
) -> EngineChoice:
    """Converts, and holds the graph against scikit-learn's own answers to `rows`. `hidden`: features whose cells are written nowhere."""
    if reason := _kept_for_its_labels(reference):
        return EngineChoice("sklearn", artifact, reason, None)
    progress("converting to ONNX")
    try:
        texts, longest = text_places(contract.features), longest_row(contract.features)
        graph = convert(artifact, "".join("nt"[place in texts] for place in range(len(longest))), runtime=runtime)
        candidate = OnnxEngine(graph, len(longest), reference.engine.classes, texts=texts, longest=longest)
        scores = parity.score_both_ways(candidate, to_values(contract.features, rows))
    except (NotConvertible, EngineUnusable) as error:
        return EngineChoice("sklearn", artifact, str(error).removesuffix(": publish the model again"), None)
    except Exception as error:  # onnxruntime's own classes share no base but Exception
        return EngineChoice("sklearn", artifact, f"the ONNX graph raises {type(error).__name__} on rows that scikit-learn answers", None)
    result = _compared(contract, rows, reference, scores, hidden)
    if result.passed:
        progress(f"ONNX answers the same: {result.rows:,} rows, worst difference {result.worst_difference:.2g}")
        return EngineChoice("onnx", graph, None, result)
    return EngineChoice("sklearn", artifact, difference(result, classifies=reference.labels is not None), result)


def difference(result: Parity, *, classifies: bool) -> str:
    """Why a graph that answers differently was not taken."""
    worst = "not finite" if result.worst_difference is None else f"{result.worst_difference:.2g}"
    found = f"{result.label_flips} flipped labels, worst difference {worst}" if classifies else f"worst relative difference {worst}"
    return f"the ONNX graph answers differently ({found}; allowed are {parity.TOLERANCE:g} and one unit of the last decimal)"


def _compared(
    contract: ContractShape, rows: Sequence[Sequence[Cell]], reference: Reference, scores: Scores, hidden: Container[str]
) -> Parity:
    expected = parity.twice(reference.scores)
    labels = None if reference.labels is None else parity.twice(reference.labels)
    decimals = [target.output.decimals for target in contract.output.targets] or [contract.output.decimals]
    compared = parity.compare(expected, scores, decimals, parity.SEED, reference.engine.classes, labels)
    if compared.worst is None:
        return compared.parity
    row = rows[compared.worst % len(rows)]  # the first rows were scored twice
    inputs = {feature.name: cell for feature, cell in zip(contract.features, row, strict=True) if feature.name not in hidden}
    worst = WorstRow(inputs, _told(expected[compared.worst]), _told(scores[compared.worst]))
    return msgspec.structs.replace(compared.parity, worst_row=worst)


def _told(scores: Any) -> tuple[float | None, ...]:
    return tuple(score if isfinite(score) else None for score in scores.ravel().tolist())


def _kept_for_its_labels(reference: Reference) -> str | None:
    """Why no graph is tried for this classifier."""
    if reference.labels is None:
        return None
    if not reference.engine.has_probabilities:
        return "the estimator has no probabilities"
    if reference.labels.shape[1] > 1:
        return "a graph has no one table for the probabilities of several targets"
    return "the estimator's label is not always its most probable class" if reference.labels_differ else None
