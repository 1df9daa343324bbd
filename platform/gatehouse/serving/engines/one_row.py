"""One row at a time through an ONNX graph, by buffers that are bound once: fed as many are, one row costs as much to feed as to score."""

from threading import Lock
from typing import Any

import numpy as np
import onnxruntime

from gatehouse.serving.engine import Values

Matrix = np.ndarray[Any, np.dtype[np.float32]]


class OneRow:
    """Two buffers, which one thread uses at a time."""

    def __init__(self, session: onnxruntime.InferenceSession, fed: str, asked: str, features: int, scores: int) -> None:
        self._session = session
        self._fed = np.zeros((1, features), np.float32)
        self._scores = np.zeros((1, scores), np.float32)
        self._binding = session.io_binding()
        for bind, name, buffer in ((self._binding.bind_input, fed, self._fed), (self._binding.bind_output, asked, self._scores)):
            bind(name, "cpu", 0, np.float32, buffer.shape, buffer.ctypes.data)
        self._free = Lock()

    @classmethod
    def of(cls, session: onnxruntime.InferenceSession, fed: str, asked: str, features: int) -> "OneRow | None":
        """None for a graph that does not answer one row by one row of float32, whatever it declares, or not by bound buffers."""
        row = np.ones((1, features), np.float32)
        try:
            (scores,) = session.run([asked], {fed: row})
            if not isinstance(scores, np.ndarray) or scores.dtype != np.float32 or scores.ndim != 2 or len(scores) != 1:
                return None
            made = cls(session, fed, asked, features, scores.shape[1])
            told = made.score(row)
        except Exception:  # onnxruntime's own classes share no base but Exception; many rows at a time say what is wrong
            return None
        return made if told is not None and np.array_equal(told, scores, equal_nan=True) else None

    def score(self, values: Values) -> Matrix | None:
        """None where another thread has the buffers. Raises FloatingPointError for a number beyond float32."""
        if not self._free.acquire(blocking=False):
            return None
        try:
            with np.errstate(over="raise"):  # as for many rows
                self._fed[:] = values
            self._session.run_with_iobinding(self._binding)
            return self._scores.copy()
        finally:
            self._free.release()
