"""A throw-away environment with another scikit-learn, for a file that was saved by it.

The file is loaded there and nowhere else. What comes back is plain data: facts, answers, an ONNX graph; never a pickle.
"""

import atexit
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path

import gatehouse
from gatehouse.serving.fit import PublishRefused
from gatehouse.serving.runtime import Runtime, without_settings

INSTALL_TIMEOUT_S = 600.0
OLDEST = (1, 3)
_RELEASE = re.compile(r"(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?(?:\.post\d{1,2})?", re.ASCII)
_OF_ITS_TIME = (
    ((1, 4, 2), ("numpy<2", "scipy<1.13")),
    ((1, 6, 0), ("numpy<2.3", "scipy<1.16")),
    ((1, 8, 0), ("numpy<2.4", "scipy<1.17")),
)
"""Up to a scikit-learn release: what it was built and tested against."""
_AS_HERE = ("joblib", "skl2onnx", "onnx")
_RANGES = {"skl2onnx": "skl2onnx>=1.19,<2", "onnx": "onnx>=1.19"}


def check_release(text: str) -> str:
    """A plain release number such as 1.5.2. Raises PublishRefused."""
    found = _RELEASE.fullmatch(text)
    if found is None:
        raise PublishRefused("the version of scikit-learn must be a release number such as 1.5.2: give it with --sklearn")
    if _numbers(text)[:2] < OLDEST:
        raise PublishRefused(
            f"a file of scikit-learn {text} cannot be read any more (1.3 is the oldest): train and save the model again here"
        )
    return text


def runtime_with(version: str, code: bytes | None, *, timeout_s: float = INSTALL_TIMEOUT_S) -> Runtime:
    """A Python with that scikit-learn, made once for this process and removed at its end. Raises PublishRefused."""
    folder = _environment(check_release(version), timeout_s)
    return Runtime(_python(folder), folder / "packages", code)


@cache
def _environment(version: str, timeout_s: float) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="gatehouse-sklearn-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        _run([sys.executable, "-m", "venv", str(folder / "python")], folder, timeout_s, "make a Python environment", version)
        # isolated, so that nothing installed elsewhere counts as installed there
        install = [str(_python(folder)), "-I", "-m", "pip", "install", "--quiet", "--no-input", "--only-binary", ":all:"]
        _run([*install, *requirements(version)], folder, timeout_s, f"install scikit-learn {version}", version)
        (folder / "packages").mkdir()
        (folder / "packages" / "gatehouse").symlink_to(Path(gatehouse.__file__).parent)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def requirements(version: str) -> tuple[str, ...]:
    """What is installed beside a scikit-learn: the converter of this environment, and the libraries of that release's time."""
    bounds = next((bounds for before, bounds in _OF_ITS_TIME if _numbers(version) < before), ())
    return (f"scikit-learn=={version}", *map(_as_here, _AS_HERE), "protobuf<7", *bounds)


def _as_here(name: str) -> str:
    try:
        return f"{name}=={installed_version(name)}"
    except PackageNotFoundError:
        return _RANGES[name]


def _numbers(version: str) -> tuple[int, int, int]:
    found = _RELEASE.fullmatch(version)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)


def _python(folder: Path) -> Path:
    return folder / "python" / "bin" / "python"


def _run(command: list[str], folder: Path, timeout_s: float, purpose: str, version: str) -> None:
    again = "or train and save the model again here"
    try:
        ended = subprocess.run(
            command, cwd=folder, env=without_settings(), timeout=timeout_s, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except subprocess.TimeoutExpired:
        raise PublishRefused(
            f"cannot {purpose}: no end within {timeout_s:g} s; try again when the package index answers, {again}"
        ) from None
    if ended.returncode:
        said = _last_error(ended.stderr) or _last_error(ended.stdout) or f"status {ended.returncode}"
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise PublishRefused(
            f"cannot {purpose} for Python {python} ({said}): check that scikit-learn {version} was released for it"
            f" and that pip reaches a package index, {again}"
        )


def _last_error(output: bytes) -> str:
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or [""])[-1].removeprefix("ERROR:").strip()[:160]
