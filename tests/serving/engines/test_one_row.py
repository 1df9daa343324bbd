"""One row by bound buffers: the scores that many rows get, for as many threads as ask, or the way of many rows."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from gatehouse.serving.engines.one_row import OneRow
from gatehouse.serving.engines.onnx import OnnxEngine

FEATURES, SCORES = 4, 3
WEIGHTS = np.random.default_rng(5).normal(size=(FEATURES, SCORES)).astype(np.float32)
ROWS = np.random.default_rng(6).normal(size=(50, FEATURES))


def graph(*nodes: onnx.NodeProto, output: int = TensorProto.FLOAT, rank: int = 2, **constants: Any) -> bytes:
    """From `x`, one table of floats, to `y`; `output` and `rank` are what it declares of that."""
    fed = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, FEATURES])
    told = helper.make_tensor_value_info("y", output, [None] * rank)
    known = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    made = helper.make_graph(nodes, "g", [fed], [told], known)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def node(kind: str, fed: str = "x", told: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, fed.split(), [told], **attributes)


def softmax() -> bytes:
    return graph(node("MatMul", "x w", "z"), node("Softmax", "z", axis=1), w=WEIGHTS)


def session_of(artifact: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(artifact, providers=["CPUExecutionProvider"])


def one_row_of(artifact: bytes) -> OneRow | None:
    return OneRow.of(session_of(artifact), "x", "y", FEATURES)


def accepted(artifact: bytes) -> OneRow:
    found = one_row_of(artifact)
    assert found is not None
    return found


def engine_of(artifact: bytes) -> OnnxEngine:
    engine = OnnxEngine(artifact, FEATURES, (0, 1, 2))
    assert engine._one_row is not None
    return engine


def test_each_row_by_itself_gets_the_scores_that_it_gets_among_many() -> None:
    engine, one_row, session = engine_of(softmax()), accepted(softmax()), session_of(softmax())
    many = engine.score(ROWS)
    for n in range(len(ROWS)):
        row = ROWS[n : n + 1]
        (unbound,) = session.run(["y"], {"x": row.astype(np.float32)})
        bound = one_row.score(row)
        assert bound is not None
        assert (bound.dtype, bound.tolist()) == (np.float32, unbound.tolist())
        assert engine.score(row).tolist() == unbound.astype(np.float64).tolist()
        np.testing.assert_allclose(many[n : n + 1], bound, rtol=1e-6)


def test_scores_that_were_given_stay_as_they_are() -> None:
    one_row = accepted(softmax())
    first = one_row.score(ROWS[:1])
    assert first is not None
    kept = first.tolist()
    one_row.score(ROWS[1:2])
    assert first.tolist() == kept


def test_a_value_instead_of_classes_is_one_number_a_row() -> None:
    engine = OnnxEngine(graph(node("ReduceSum", "x axes", keepdims=1), axes=np.array([1])), FEATURES, None)
    assert engine._one_row is not None
    assert engine.score(np.array([[1.0, 2.0, 3.0, 4.5]])).tolist() == [10.5]


def test_scores_that_are_no_numbers_are_given_as_they_are() -> None:
    engine = engine_of(graph(node("Neg", told="z"), node("Log", "z")))
    assert np.isnan(engine.score(np.ones((1, FEATURES)))).all()
    assert engine.score(-np.ones((1, FEATURES))).tolist() == [[0.0] * FEATURES]


# ------------------------------------------------------------------ more than one thread


def in_thread(work: Callable[[Any], Any], given: Any) -> threading.Thread:
    thread = threading.Thread(target=work, args=(given,))
    thread.start()
    return thread


def test_while_another_thread_has_the_buffers_there_is_no_score_here_and_the_engine_answers_all_the_same() -> None:
    engine = engine_of(softmax())
    one_row = engine._one_row
    assert one_row is not None
    expected = engine.score(ROWS[:1]).tolist()
    held, may_end = threading.Event(), threading.Event()

    class Slow:
        """A run that lasts."""

        def run_with_iobinding(self, _binding: Any) -> None:
            held.set()
            assert may_end.wait(10)

    real, one_row._session = one_row._session, Slow()  # type: ignore[assignment]
    other = in_thread(one_row.score, ROWS[1:2])
    assert held.wait(10)
    try:
        assert one_row.score(ROWS[:1]) is None
        assert engine.score(ROWS[:1]).tolist() == expected
    finally:
        may_end.set()
        other.join(10)
        one_row._session = real
    again = one_row.score(ROWS[:1])
    assert again is not None
    assert again.astype(np.float64).tolist() == expected


def test_threads_at_once_each_get_the_scores_of_their_own_rows() -> None:
    engine = engine_of(graph(*(node("Identity", "x" if n == 0 else f"z{n}", f"z{n + 1}") for n in range(40)), node("Neg", "z40")))
    wrong: list[tuple[float, list[float]]] = []
    begin = threading.Barrier(2, timeout=10)

    def ask(sign: int) -> None:
        begin.wait()
        for n in range(1, 3001):
            scores = engine.score(np.full((1, FEATURES), float(sign * n)))[0].tolist()
            if scores != [float(-sign * n)] * FEATURES:
                wrong.append((sign * n, scores))

    threads = [in_thread(ask, sign) for sign in (1, -1)]
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert not wrong


# ------------------------------------------------------------------ beyond float32


def test_a_number_beyond_float32_raises_as_among_many_rows_and_the_next_row_is_right() -> None:
    engine = engine_of(softmax())
    one_row = engine._one_row
    assert one_row is not None
    expected = engine.score(ROWS[:1]).tolist()
    beyond = np.array([[1.0, 2.0, -1e39, 3.0]])
    for ask in (one_row.score, engine.score, lambda row: engine.score(row.repeat(2, axis=0))):
        with pytest.raises(FloatingPointError):
            ask(beyond)
    assert engine.score(ROWS[:1]).tolist() == expected
    after = one_row.score(ROWS[:1])
    assert after is not None
    assert after.astype(np.float64).tolist() == expected


# ------------------------------------------------------------------ graphs that answer otherwise

ROW = np.array([[1.0, 2.0, 3.0, 4.0]])
OTHERS: dict[str, tuple[bytes, Any]] = {
    "doubles": (graph(node("Cast", to=TensorProto.DOUBLE), output=TensorProto.DOUBLE), ROW.tolist()),
    "whole numbers": (graph(node("Cast", to=TensorProto.INT64), output=TensorProto.INT64), ROW.tolist()),
    "a list": (graph(node("ReduceSum", "x axes", keepdims=0), rank=1, axes=np.array([1])), [10.0]),
    "a table of tables": (graph(node("Unsqueeze", "x axes"), rank=3, axes=np.array([2])), [[[1.0], [2.0], [3.0], [4.0]]]),
    "two rows for one": (graph(node("Concat", "x x", axis=0)), [*ROW.tolist(), *ROW.tolist()]),
}


@pytest.mark.parametrize(("artifact", "scores"), OTHERS.values(), ids=OTHERS)
def test_a_graph_whose_answer_is_not_one_row_of_float32_is_served_by_the_way_of_many_rows(artifact: bytes, scores: list[Any]) -> None:
    assert one_row_of(artifact) is None
    engine = OnnxEngine(artifact, FEATURES, (0, 1, 2))
    assert engine._one_row is None
    assert engine.score(ROW).tolist() == scores


def test_a_graph_that_answers_by_a_sequence_has_no_buffers() -> None:
    fed = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, FEATURES])
    told = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)
    made = helper.make_graph([node("SequenceConstruct", "x")], "g", [fed], [told])
    assert one_row_of(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()) is None


def test_a_graph_that_never_answers_twice_the_same_is_served_by_the_way_of_many_rows() -> None:
    artifact = graph(node("RandomUniformLike"))
    assert one_row_of(artifact) is None
    assert OnnxEngine(artifact, FEATURES, (0, 1, 2)).score(ROW).shape == (1, FEATURES)


@pytest.mark.parametrize("features", [FEATURES - 1, FEATURES + 1])
def test_a_graph_of_another_width_has_no_buffers(features: int) -> None:
    assert OneRow.of(session_of(softmax()), "x", "y", features) is None
