"""Nothing that we load tells anybody about it: SECURITY row 97 for libraries that could."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOAD = """
import gatehouse.serving.engines.onnx as engine
import onnx, sys
from onnx import TensorProto, helper
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
print(engine.OnnxEngine(model.SerializeToString(), 1, None).score(__import__("numpy").ones((1, 1))))
"""


def left_behind(home: Path, program: str) -> list[str]:
    """What a program that has ended well has written under its home folder."""
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_", "CI", "GITHUB_"))}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment | {"HOME": str(home)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[1.]"), done.stderr
    return sorted(str(path.relative_to(home)) for path in home.rglob("*"))


def test_row_97_loading_and_scoring_a_graph_leaves_no_device_id_and_nothing_to_be_sent(tmp_path: Path) -> None:
    assert left_behind(tmp_path / "home", LOAD) == []


def test_the_library_would_leave_both_where_it_was_not_told(tmp_path: Path) -> None:
    without = LOAD.replace("import gatehouse.serving.engines.onnx as engine", NOT_TOLD, 1)
    left = left_behind(tmp_path / "home", without)
    if not left:
        pytest.fail("onnxruntime leaves nothing behind by itself any more: take the two variables out of gatehouse/__init__.py")
    assert any("deviceid" in name for name in left)


NOT_TOLD = """
import os
os.putenv = lambda *_: None
import gatehouse.serving.engines.onnx as engine
"""
