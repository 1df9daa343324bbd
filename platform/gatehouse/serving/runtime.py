"""The Python in which an estimator is loaded by a process of its own: this one, or one with another scikit-learn."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CODE_FILE = "attached.py"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


NEEDED = re.compile(r"PATH|HOME|TMPDIR|TZ|LANG|LC_\w+|LD_LIBRARY_PATH|PYTHON\w*")
"""Of the environment, what a Python needs in order to start and to read texts and times as its parent does."""


def without_settings() -> dict[str, str]:
    """The environment for a child that installs packages: no setting of the deployment, but proxies and the package index."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GATEHOUSE_")}


def without_secrets() -> dict[str, str]:
    """The environment for a child that runs a model: what is not known to be needed may be a password."""
    return {name: value for name, value in os.environ.items() if NEEDED.fullmatch(name)}


@dataclass(frozen=True, slots=True)
class Runtime:
    """`packages`: a folder in which another Python finds this package and nothing else. `code`: what the file needs to be loaded."""

    python: Path
    packages: Path | None = None
    code: bytes | None = None

    def run(self, module: str, arguments: list[str], folder: Path, timeout_s: float) -> subprocess.CompletedProcess[bytes]:
        """`python -m module` with the code's file as the last argument, where there is code, and one thread each for BLAS and OpenMP.

        Raises subprocess.TimeoutExpired.
        """
        environment = without_secrets() | ONE_THREAD
        if self.packages is not None:
            environment |= {"PYTHONPATH": str(self.packages), "PYTHONDONTWRITEBYTECODE": "1"}
        if self.code is not None:
            code = folder / CODE_FILE
            code.write_bytes(self.code)
            arguments = [*arguments, str(code)]
        command = [str(self.python), "-P", "-m", module, *arguments]
        return _run(command, folder, environment, timeout_s)


def _run(command: list[str], folder: Path, environment: dict[str, str], timeout_s: float) -> subprocess.CompletedProcess[bytes]:
    """As subprocess.run, but whatever ends the wait ends the child's own children as well."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, start_new_session=True
    ) as process:
        try:
            told, complained = process.communicate(timeout=timeout_s)
        except BaseException:  # the end of its time, or the publisher's Ctrl-C, which a session of its own does not hear
            with suppress(ProcessLookupError):  # all of them have just ended
                os.killpg(process.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(command, process.returncode, told, complained)


HERE = Runtime(Path(sys.executable))
