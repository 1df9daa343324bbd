"""A Python source with the functions and classes of a notebook that a pickle refers to, and loading with it.

A pickle holds no code, only names such as `__main__.Widen`. The source is run as a module of its own, never as `__main__`; its
objects take the place of those names.
"""

import hashlib
import importlib.util
import io
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import joblib
from joblib.numpy_pickle import NumpyUnpickler
from joblib.numpy_pickle_utils import _validate_fileobject_and_memmap as unpacked

MAX_CODE_BYTES = 1024**2
_NOTEBOOK = "__main__"
_RUNNING = threading.Lock()


class CodeUnusable(Exception):
    """The source cannot take the place of the names; the message is one line and names the remedy."""


def installed(module: str) -> bool:
    """Whether the package of a module is there; nothing is imported to find out."""
    package = module.partition(".")[0]
    try:
        return package in sys.modules or importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def stands_in_for(module: str) -> bool:
    """Whether attached code is asked for a module's names: a notebook's own, and those of a module that is not installed."""
    return module == _NOTEBOOK or not installed(module)


def run_code(source: bytes) -> ModuleType:
    """The source as a module; the same source is run once. Raises CodeUnusable."""
    if len(source) > MAX_CODE_BYTES:
        raise CodeUnusable(f"the code is larger than {MAX_CODE_BYTES:,} bytes: keep only what the estimator needs")
    name = f"gatehouse_attached_{hashlib.sha256(source).hexdigest()[:32]}"
    with _RUNNING:
        known = sys.modules.get(name)
        if known is not None:
            return known
        module = ModuleType(name)
        # dataclasses and typing look a class's module up there
        sys.modules[name] = module
        try:
            exec(compile(source, "code.py", "exec", dont_inherit=True), module.__dict__)  # noqa: S102  # the publisher's own, or verified
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            raise CodeUnusable(_reason(error)) from None
    return module


def load_with_code(artifact: bytes, source: bytes) -> Any:
    """`joblib.load` with the code's objects in place. Raises CodeUnusable, and whatever unpickling raises."""
    code = run_code(source)
    with unpacked(io.BytesIO(artifact), "", None) as (file, _):
        return _CodeUnpickler(file, code).load()


def load_here(artifact: Path, code: Path | None) -> Any:
    """What a child loads for its parent."""
    return joblib.load(artifact) if code is None else load_with_code(artifact.read_bytes(), code.read_bytes())


def lookup(code: ModuleType, name: str) -> Any:
    """The object of a name, which has dots where it stands in a class. Raises AttributeError."""
    found: Any = code
    for part in name.split("."):
        found = getattr(found, part)
    return found


class _CodeUnpickler(NumpyUnpickler):  # type: ignore[misc]  # joblib has no types
    """joblib asks this object for the names of nested pickles, too."""

    def __init__(self, file: Any, code: ModuleType) -> None:
        super().__init__("", file, ensure_native_byte_order=True)
        self._code = code

    def find_class(self, module: str, name: str) -> Any:
        if not stands_in_for(module):
            return super().find_class(module, name)
        try:
            return lookup(self._code, name)
        except AttributeError:
            raise CodeUnusable(f"the code does not define {name}, which the file refers to: add it") from None


def _reason(error: BaseException) -> str:
    said = (str(error).strip().splitlines() or [""])[0][:160]
    line = error.lineno if isinstance(error, SyntaxError) else _line_in_code(error)
    where = f" in line {line}" if line else ""
    return f"the code raises {type(error).__name__}{where} ({said}): keep only the definitions that the estimator needs"


def _line_in_code(error: BaseException) -> int | None:
    line, step = None, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == "code.py":
            line = step.tb_lineno
        step = step.tb_next
    return line
