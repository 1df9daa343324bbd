"""What runs in another Python for EstimatorElsewhere: load the publisher's own file, answer one question.

`python -m gatehouse.serving.estimator_child MODEL QUESTION ANSWER [CODE]`; question and answer are JSON. Nothing but NumPy, joblib and
that scikit-learn is installed there, so this module imports nothing else.
"""

import dataclasses
import json
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gatehouse.serving.attached_code import CodeUnusable, load_here
from gatehouse.serving.embedded_data import embedded_data
from gatehouse.serving.engine import EngineUnusable
from gatehouse.serving.facts import facts_of
from gatehouse.serving.plain_arrays import from_plain, to_plain
from gatehouse.serving.plain_input import without_names

_LIBRARIES = ("scikit-learn", "numpy", "joblib", "onnx", "skl2onnx")


def main(model: Path, asked: Path, answered: Path, code: Path | None = None) -> int:
    """Also what goes wrong is an answer."""
    warnings.simplefilter("ignore")
    answered.write_text(json.dumps(_answer(json.loads(asked.read_text()), model, code)))
    return 0


def _answer(question: dict[str, Any], model: Path, code: Path | None) -> dict[str, Any]:
    try:
        estimator = load_here(model, code)
    except CodeUnusable as error:
        return {"refused": str(error)}
    except ModuleNotFoundError as error:
        return {"refused": f"the file refers to {error.name!r}, which is not in the throw-away environment: give it with --code FILE"}
    except Exception as error:  # unpickling can raise anything
        said = (str(error).strip().splitlines() or [""])[0][:160]
        return {"refused": f"scikit-learn {version('scikit-learn')} cannot load the file ({type(error).__name__}: {said}): save it again"}
    try:
        if question["ask"] == "facts":
            return {"facts": dataclasses.asdict(facts_of(estimator)), "libraries": _libraries()}
        if question["ask"] == "embedded_data":
            return {"found": [dataclasses.asdict(each) for each in embedded_data(estimator, question["training_rows"])]}
        without_names(estimator)
        return {"answer": to_plain(getattr(estimator, question["ask"])(from_plain(question["values"])))}
    except EngineUnusable as error:
        return {"refused": str(error)}
    except Exception as error:  # estimators raise what they like
        return {"raised": type(error).__name__}


def _libraries() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
