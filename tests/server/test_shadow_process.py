"""The process in which other versions score: what it is given, whom it outlives, and what is believed of what it says."""

import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import numpy as np
import pytest
from estimators import HANGING_SIZE, Wicked
from line_versions import TOML, write_version
from serving_process import environment_of
from stage import Stage, wait_until

from gatehouse.server.shadow_child import NICENESS
from gatehouse.server.shadow_process import ShadowProcess
from gatehouse.server.shadow_wire import Compared, Pair, Prepare, Ready, Score, Silence, Unusable, parts_of
from gatehouse.serving.manifest import GoldenRow

IRIS = Pair("iris", "v1", "1.0.0", "v2", "2.0.0")
ROWS = np.array([[5.2, 3.6, 1.5, 0.3], [6.2, 3.6, 4.5, 1.3]])
SCORES = np.array([[0.9, 0.05, 0.05], [0.0, 0.9, 0.1]])
SECRETS = ("GATEHOUSE_SECRET_KEY", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY", "LC")
SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from gatehouse.server.shadow_process import ShadowProcess
from gatehouse.server.shadow_wire import Pair, Prepare, Score, parts_of
pair = Pair("line", "v1", "1.0.0", "v1", "1.5.0")
process = ShadowProcess(Path(sys.argv[1]), Path(sys.argv[2]))
process.ask(Prepare(pair, (pair,)), [], 60)
print(process.pid, flush=True)
row = parts_of([np.array([[float(sys.argv[3])]])])
process.ask(Score(pair, ((0, 1),), True, (8,), 0, 1.0), [*row, *row], 600)
"""


@pytest.fixture(scope="module")
def process(published: Path) -> Iterator[ShadowProcess]:
    started = ShadowProcess(published / "models", published / "trusted-keys")
    yield started
    started.end()


def prepare(process: ShadowProcess, pair: Pair = IRIS) -> object:
    return process.ask(Prepare(pair, (pair,)), [], 60)


def score(process: ShadowProcess, pair: Pair = IRIS) -> object:
    parts = parts_of([ROWS])
    question = Score(pair, ((0, 1), (1, 1)), numeric=True, parts=tuple(map(len, parts)), columns=3, apart_s=1.0)
    return process.ask(question, [*parts, *parts_of([SCORES])], 30)


def ticks(pid: int) -> int:
    """Processor time in hundredths of a second."""
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))


def gone(pid: int) -> bool:
    """Ended, whether somebody has asked how or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_it_gets_no_setting_no_listening_socket_and_no_terminal(process: ShadowProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    process.end()
    for name in SECRETS:
        monkeypatch.setenv(name, "not-for-the-shadow")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert prepare(process) == Ready()
        about = Path(f"/proc/{process.pid}")
        assert b"not-for-the-shadow" not in (about / "environ").read_bytes()
        opened = [str(each.readlink()) for each in (about / "fd").iterdir()]
        assert sum(name.startswith("socket:") for name in opened) == 1
        assert [name for name in opened if name.startswith("socket:")] != [str(Path(f"/proc/self/fd/{listener.fileno()}").readlink())]
        assert {str((about / "fd" / number).readlink()) for number in "012"} == {"/dev/null"}
    assert process.pid is not None
    assert os.getpgid(process.pid) == process.pid, "Ctrl-C reaches the group of the terminal alone"
    assert os.getpriority(os.PRIO_PROCESS, process.pid) >= NICENESS


def test_each_tenant_of_a_batch_gets_its_own_counts(process: ShadowProcess) -> None:
    assert prepare(process) == Ready()
    found = score(process)
    assert isinstance(found, Compared)
    assert [(each.rows, each.failed, each.disagreed) for each in found.results] == [(1, 0, 0), (1, 0, 0)]


def test_a_version_that_is_not_there_or_was_changed_is_unusable(process: ShadowProcess) -> None:
    missing = prepare(process, Pair("iris", "v1", "1.0.0", "v2", "2.9.0"))
    assert isinstance(missing, Unusable)
    assert "2.9.0 is not in the repository" in missing.reason
    foreign = prepare(process, Pair("line", "v1", "1.0.0", "v2", "1.0.0"))
    assert isinstance(foreign, Unusable)
    assert prepare(process) == Ready(), "and it goes on"


def test_a_pair_that_it_does_not_have_is_unusable_and_no_end(process: ShadowProcess) -> None:
    assert prepare(process) == Ready()
    pid = process.pid
    other = Pair("iris", "v1", "1.0.0", "v1", "1.0.0")
    assert isinstance(score(process, other), Unusable)
    assert prepare(process, other) == Ready()
    assert isinstance(score(process), Unusable), "that was let go"
    assert process.pid == pid


def test_without_a_free_file_descriptor_there_is_silence(published: Path) -> None:
    process = ShadowProcess(published / "models", published / "trusted-keys")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(Silence, match="cannot be started"):
            prepare(process)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_it_is_known_whether_it_runs(process: ShadowProcess) -> None:
    process.end()
    assert not process.running
    prepare(process)
    assert process.running
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not process.running)
    process.end()


def test_what_was_killed_is_silent_once_and_then_begun_anew(process: ShadowProcess) -> None:
    prepare(process)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(Silence):
        score(process)
    assert process.pid is None
    assert prepare(process) == Ready()


def test_what_stands_still_is_killed_at_its_deadline(process: ShadowProcess) -> None:
    prepare(process)
    pid = process.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    begun = monotonic()
    with pytest.raises(Silence):
        process.ask(Prepare(IRIS, ()), [], 0.3)
    assert monotonic() - begun < 5
    assert gone(pid)


def test_a_large_question_to_a_process_that_does_not_read_is_given_up_too(process: ShadowProcess) -> None:
    prepare(process)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(Silence):
        process.ask(Prepare(IRIS, ()), [b"x" * 8_000_000], 0.3)


def test_once_closed_nothing_is_started(published: Path) -> None:
    process = ShadowProcess(published / "models", published / "trusted-keys")
    process.close()
    with pytest.raises(Silence):
        prepare(process)
    assert process.pid is None


def test_it_ends_with_a_server_that_was_killed_also_while_it_hangs(published: Path, stage: Stage) -> None:
    write_version(published, stage, "line", "1.5.0", Wicked(5).fit([[1.5]], [1]), TOML, GoldenRow((1.5,), (6.5,)))
    words = [sys.executable, "-c", SCRIPT, str(stage.state_dir / "models"), str(stage.state_dir / "trusted-keys"), str(HANGING_SIZE)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment_of({})) as server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        loaded = ticks(pid)
        wait_until(lambda: ticks(pid) > loaded + 10, 60)
        server.kill()
    try:
        wait_until(lambda: gone(pid))
    finally:
        if not gone(pid):
            os.kill(pid, signal.SIGKILL)
