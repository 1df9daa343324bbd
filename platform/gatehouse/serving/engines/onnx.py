"""ONNX graphs in onnxruntime: one thread, float32, no pickle."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime

from gatehouse.serving.engine import Classes, EngineUnusable, Scores, Values
from gatehouse.serving.engines.one_row import OneRow
from gatehouse.serving.graph_inputs import inputs_of
from gatehouse.serving.shape import Cell

INLINE_SECONDS = 0.001
"""How long one call may hold the event loop."""
MAX_INLINE_ROWS = 128
_FATAL_ONLY = 4


class OnnxEngine:
    """A graph that takes one table of floats, or, where features are texts, a column of each. Of its outputs only the probabilities
    (or the value) are computed."""

    name = "onnx"
    own_labels = False

    def __init__(
        self,
        artifact: bytes,
        features: int,
        classes: Classes,
        *,
        texts: Sequence[int] = (),
        longest: Sequence[Cell] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`texts`: which of the features are texts; `longest`: a row that takes as long as any. Raises EngineUnusable."""
        self.classes = classes
        try:
            self._session = onnxruntime.InferenceSession(artifact, _options(), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own classes share no base but Exception
            raise EngineUnusable(f"onnxruntime cannot load the graph ({type(error).__name__}): publish the model again") from None
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self._columns = inputs_of(inputs, features, texts) if texts else []
        if self._columns is None:
            raise EngineUnusable("the graph does not take the columns of its contract: publish the model again")
        if not texts and (len(inputs) != 1 or inputs[0].type != "tensor(float)"):
            raise EngineUnusable("the graph does not take one table of floats: publish the model again")
        self._input = inputs[0].name
        self._output = [outputs[-1 if classes else 0].name]
        self._one_row = None if texts else OneRow.of(self._session, self._input, self._output[0], features)
        self.inline_rows = self._measure(_row(longest or (0.0,) * features, texts), clock)

    def score(self, values: Values) -> Scores:
        scores: Any = self._one_row.score(values) if self._one_row is not None and len(values) == 1 else None
        if scores is None:
            (scores,) = self._session.run(self._output, self._fed(values))
        if self.classes is None and scores.size == len(values):
            scores = scores.reshape(len(values))
        exact: Scores = scores.astype(np.float64)
        return exact

    def _fed(self, values: Values) -> dict[str, Any]:
        if self._columns:
            return {column.name: column.of(values) for column in self._columns}
        # a number beyond float32 must not become an infinity in silence; scikit-learn's trees raise there as well
        with np.errstate(over="raise"):
            return {self._input: values.astype(np.float32)}

    def _measure(self, row: Values, clock: Callable[[], float]) -> int:
        """Rows that fit into INLINE_SECONDS, by the best of a few tries; also warms the session up."""
        one = self._seconds(row, clock)
        if one > INLINE_SECONDS:
            return 0
        many = self._seconds(row.repeat(MAX_INLINE_ROWS, axis=0), clock)
        per_row = max(many - one, 0.0) / (MAX_INLINE_ROWS - 1)
        return MAX_INLINE_ROWS if per_row == 0 else min(MAX_INLINE_ROWS, 1 + int((INLINE_SECONDS - one) / per_row))

    def _seconds(self, values: Values, clock: Callable[[], float]) -> float:
        best = float("inf")
        for _ in range(5):
            start = clock()
            try:
                self.score(values)
            except Exception as error:
                raise EngineUnusable(f"the graph cannot be run ({type(error).__name__}): publish the model again") from None
            best = min(best, clock() - start)
        return best


def _row(cells: Sequence[Cell], texts: Sequence[int]) -> Values:
    row = np.array([cells], dtype=object)
    return row if texts else row.astype(np.float64)


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = _FATAL_ONLY  # its warnings would print values
    return options
