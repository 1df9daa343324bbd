"""Opening a publisher's file: what it refers to is read first, so that what cannot be loaded is said clearly and nothing of it is run."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import joblib
import sklearn

from gatehouse.serving.attached_code import CodeUnusable, lookup, run_code, stands_in_for
from gatehouse.serving.engine import EngineUnusable
from gatehouse.serving.engines.sklearn import load_estimator
from gatehouse.serving.estimator_elsewhere import EstimatorElsewhere
from gatehouse.serving.fit import PublishRefused
from gatehouse.serving.manifest import EngineName
from gatehouse.serving.options import PublishOptions
from gatehouse.serving.other_sklearn import check_release, runtime_with
from gatehouse.serving.pickle_contents import PickleContents, read_contents
from gatehouse.serving.pickle_stream import PickleRefused
from gatehouse.serving.plain_input import by_position, of_data_frames
from gatehouse.serving.runtime import HERE, Runtime
from gatehouse.serving.unneeded_names import unneeded

_SHOWN_NAMES = 5


@dataclass(frozen=True, slots=True)
class Opened:
    """A loaded estimator, here or elsewhere; `artifact` is what engines are made of, `libraries` versions other than this environment's."""

    estimator: Any
    artifact: bytes
    runtime: Runtime = HERE
    allow_code: bool = False
    libraries: dict[str, str] = field(default_factory=dict)

    @property
    def code(self) -> bytes | None:
        """The attached code, where the file needs it."""
        return self.runtime.code

    def check_engine(self, engine: EngineName, reason: str | None) -> None:
        """Raises PublishRefused where scikit-learn would have to serve what may be served as ONNX only."""
        if engine == "onnx":
            return
        if self.runtime.python != HERE.python:
            raise PublishRefused(
                f"{reason}, and a file of scikit-learn {self.libraries['scikit-learn']} is served as ONNX only:"
                f" train and save the model again here, with scikit-learn {sklearn.__version__}"
            )
        if self.code is not None and not self.allow_code:
            raise PublishRefused(
                f"{reason}, and scikit-learn would run the attached code in the server:"
                " add --allow-code to let it, or save an estimator that needs no code of its own"
            )


def open_estimator(artifact: bytes, options: PublishOptions, progress: Callable[[str], None]) -> Opened:
    """Loads `artifact`, which runs it: it must be the publisher's own. Raises PublishRefused before that for what cannot be loaded."""
    try:
        contents = read_contents(artifact)
    except PickleRefused as error:
        raise PublishRefused(str(error)) from None
    _refuse_unneeded(contents)
    other = _other_version(contents, options.sklearn_version)
    code = _needed_code(contents, options.code, progress)
    if other is not None and _of_data_frames(contents):
        raise PublishRefused(
            "the file holds a data frame or a part of one, which only its own pandas can read: give columns as a list when you fit it,"
            " such as list(frame.columns), or train and save it again here"
        )
    if other is not None:  # its code is run there only: it may need that scikit-learn
        progress(f"preparing scikit-learn {other} in a throw-away environment")
        runtime = runtime_with(other, code)
        estimator = EstimatorElsewhere(artifact, runtime)
        return Opened(estimator, artifact, runtime, options.allow_code, estimator.libraries)
    _check_code(contents, code)
    try:
        estimator = load_estimator(artifact, code)
    except EngineUnusable as error:
        raise PublishRefused(str(error)) from None
    if _of_data_frames(contents):
        artifact = _without_data_frames(estimator, artifact, progress)
    return Opened(estimator, artifact, replace(HERE, code=code), options.allow_code)


def _refuse_unneeded(contents: PickleContents) -> None:
    found = unneeded(contents.globals)
    if found is not None:
        raise PublishRefused(
            f"the file refers to {f'{found.module}.{found.name}'[:80]}, which no estimator needs: it was not loaded, so nothing of it was"
            " run; publish only files that you saved yourself"
        )


def _of_data_frames(contents: PickleContents) -> bool:
    return any(of_data_frames(found.module) for found in contents.globals)


def _without_data_frames(estimator: Any, artifact: bytes, progress: Callable[[str], None]) -> bytes:
    """The estimator as a file that loads without pandas, where what it holds of a data frame is only how it names its columns."""
    by_position(estimator)
    target = io.BytesIO()
    joblib.dump(estimator, target)
    if _of_data_frames(read_contents(target.getvalue())):
        progress("the estimator holds a data frame or a part of one: the server needs pandas, unless ONNX serves it")
        return artifact
    return target.getvalue()


def _other_version(contents: PickleContents, wanted: str | None) -> str | None:
    """The scikit-learn to load the file with, where it is not the one installed here. Raises PublishRefused."""
    here, saved_by = sklearn.__version__, contents.sklearn_versions
    if wanted is not None:
        check_release(wanted)
    if len(saved_by) > 1:
        raise PublishRefused(f"the file holds estimators of scikit-learn {' and '.join(saved_by)}: train and save it again as one")
    found = saved_by[0] if saved_by else wanted or here
    if wanted is not None and wanted != found:
        raise PublishRefused(f"saved by scikit-learn {found}, not {wanted}: {_leave_out_or(found, here)}")
    if found == here:
        return None
    if wanted is None:
        try:
            check_release(found)
        except PublishRefused:
            raise PublishRefused(f"saved by scikit-learn {found!r}, but {here} is installed: train and save the model again here") from None
        raise PublishRefused(
            f"saved by scikit-learn {found}, but {here} is installed: add --sklearn {found} to convert and check it in a throw-away"
            " environment with that version, or train and save it again here"
        )
    return found


def _leave_out_or(found: str, here: str) -> str:
    return "leave --sklearn out" if found == here else f"give --sklearn {found}"


def _needed_code(contents: PickleContents, code: bytes | None, progress: Callable[[str], None]) -> bytes | None:
    """The publisher's code where the file refers to it. Raises PublishRefused where it does and there is none."""
    missing = [found for found in contents.globals if stands_in_for(found.module)]
    if code is None:
        _refuse_missing(contents, [found.name for found in missing if found.module == "__main__"])
        return None
    if not missing:
        progress("the file refers to nothing of the attached code, which is left out")
        return None
    return code


def _check_code(contents: PickleContents, code: bytes | None) -> None:
    """Runs the code. Raises PublishRefused where it fails or lacks a name."""
    if code is None:
        return
    try:
        module = run_code(code)
    except CodeUnusable as error:
        raise PublishRefused(str(error)) from None
    undefined = [found.name for found in contents.globals if stands_in_for(found.module) and not _defines(module, found.name)]
    if undefined:
        raise PublishRefused(f"the attached code does not define {_listed(undefined)}, which the file refers to: add it to that file")


def _refuse_missing(contents: PickleContents, of_notebook: list[str]) -> None:
    if of_notebook:
        raise PublishRefused(
            f"the file refers to {_listed(of_notebook)} of the notebook or script that saved it (__main__):"
            " put the definition into a file of its own and add --code features.py"
        )
    elsewhere = {found.module: found.name for found in contents.globals if stands_in_for(found.module)}
    for module, name in elsewhere.items():
        package = module.partition(".")[0]
        raise PublishRefused(
            f"the file refers to {module[:80]!r} ({name[:80]}), and {package[:80]!r} is not installed here:"
            " install it, or give its definitions with --code FILE"
        )


def _defines(module: Any, name: str) -> bool:
    try:
        lookup(module, name)
    except AttributeError:
        return False
    return True


def _listed(names: list[str]) -> str:
    shown = [name[:80] for name in names[:_SHOWN_NAMES]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
