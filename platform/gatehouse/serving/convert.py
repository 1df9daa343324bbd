"""From a fitted estimator to an ONNX graph, in a process of its own: a conversion may crash, eat memory or never end.

`python -m gatehouse.serving.convert IN OUT COLUMNS [CODE]` reads the publisher's own joblib file and writes the graph. COLUMNS: one letter
for each feature, `n` for a number, `t` for a text.
"""

import importlib.util
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

from gatehouse.serving.attached_code import load_here
from gatehouse.serving.convertible import lower_columns, spell_nulls, word_patterns
from gatehouse.serving.graph_inputs import inputs_for
from gatehouse.serving.own_words import named
from gatehouse.serving.plain_input import by_position
from gatehouse.serving.runtime import HERE, Runtime
from gatehouse.serving.scratch import scratch_folder

TIMEOUT_S = 120.0
_MEMORY_BYTES = 8 * 1024**3
_EXIT_NOT_CONVERTIBLE = 3


class NotConvertible(Exception):
    """There is no graph for this estimator; the message is a reason for people."""


def converter_installed() -> bool:
    """Whether the optional extra `publish` is there."""
    return all(importlib.util.find_spec(name) is not None for name in ("onnx", "skl2onnx"))


def convert(artifact: bytes, columns: str, *, runtime: Runtime = HERE, timeout_s: float = TIMEOUT_S) -> bytes:
    """The graph of a joblib file's estimator. Raises NotConvertible."""
    if runtime.python == HERE.python and not converter_installed():
        raise NotConvertible("the converter is not installed (in the folder of this repository: uv sync --extra publish)")
    with scratch_folder("gatehouse-convert-") as folder:
        source, target = folder / "model.joblib", folder / "model.onnx"
        source.write_bytes(artifact)
        try:
            ended = runtime.run("gatehouse.serving.convert", [str(source), str(target), columns], folder, timeout_s)
        except subprocess.TimeoutExpired:
            raise NotConvertible(f"the conversion did not end within {timeout_s:g} s") from None
        if ended.returncode == 0 and target.is_file():
            return target.read_bytes()
        if ended.returncode == _EXIT_NOT_CONVERTIBLE:
            raise NotConvertible(ended.stdout.decode(errors="replace").strip())
        raise NotConvertible(f"the converter ended with status {ended.returncode}")


def main(source: Path, target: Path, columns: str, code: Path | None = None) -> int:
    """What runs in the child."""
    _limit_memory()
    warnings.simplefilter("ignore")  # nobody reads them; where they are errors, they must not end it
    try:
        target.write_bytes(_graph_of(load_here(source, code), columns))
    except Exception as error:  # whatever the converter raises means the same: no graph
        print(f"skl2onnx cannot convert it ({named(error)})")
        return _EXIT_NOT_CONVERTIBLE
    return 0


def _graph_of(estimator: Any, columns: str) -> bytes:
    import onnx.helper
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    by_position(estimator)
    onnx.helper.make_attribute = _with_plain_integers(onnx.helper.make_attribute)
    options: dict[int, dict[str, Any]] = {}
    types = [("X", FloatTensorType([None, estimator.n_features_in_]))] if "t" not in columns else []
    if not types:
        texts = [place for place, column in enumerate(columns) if column == "t"]
        spell_nulls(estimator)
        options |= word_patterns(estimator)
        inputs = inputs_for(len(columns), texts, lower_columns(estimator))
        types = [(each.name, (FloatTensorType if each.holds == "number" else StringTensorType)([None, 1])) for each in inputs]
    if hasattr(estimator, "classes_"):
        options[id(estimator)] = {"zipmap": False}  # probabilities as one table, not as a list of dictionaries
    graph = to_onnx(estimator, initial_types=types, options=options or None)
    if any(node.op_type == "StringNormalizer" for node in graph.graph.node):
        raise NotImplementedError("what a graph does to letters depends on the machine")
    serialized: bytes = graph.SerializeToString()
    return serialized


def _with_plain_integers(make_attribute: Any) -> Any:
    """onnx 1.23 takes no NumPy integers in attributes, and skl2onnx 1.20 hands some over for HistGradientBoosting."""
    import numpy

    def make(key: str, value: Any, *rest: Any, **more: Any) -> Any:
        if isinstance(value, list) and any(isinstance(item, numpy.integer) for item in value):
            value = [int(item) for item in value]
        elif isinstance(value, numpy.integer):
            value = int(value)
        return make_attribute(key, value, *rest, **more)

    return make


def _limit_memory() -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = _MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(_MEMORY_BYTES, hard)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    except (ValueError, OSError):  # not every system lets a process bound its own address space
        return


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], *map(Path, sys.argv[4:])))
