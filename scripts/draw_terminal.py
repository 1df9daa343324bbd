"""Draws docs/terminal.svg: a terminal in which a model is published and a partner let in, from a run in an empty folder."""

import io
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "terminal.svg"
GATEHOUSE = str(Path(sys.executable).with_name("gatehouse"))
ADDRESS = "http://127.0.0.1:8000"
COLUMNS = 104
READY_S = 240.0
TITLE = "From a fitted estimator to a partner's first answer"
FRAME = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="TITLE">
<style>.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px;
line-height: {line_height}px }}
{styles}</style>
<defs>{lines}</defs>
<rect fill="#161b22" width="100%" height="100%" rx="8"/>
<g transform="translate({terminal_x}, 18)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
""".replace("TITLE", TITLE)


def own_model() -> tuple[str, list[str]]:
    """What README.md shows under "Your own model": how estimator and sample are made, and the commands."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Your own model")[2]
    block = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)[0]
    made, _, commands = block.partition("\n\n.venv/bin/gatehouse")
    return made, (".venv/bin/gatehouse" + commands).strip().splitlines()


def session(folder: Path, environment: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Each command as it is typed, and what it prints; the last is the call that the one before says to paste."""
    made, commands = own_model()
    _run(made, folder, environment)
    for command in commands:
        said = _run(command, folder, environment)
        yield command.removeprefix(".venv/bin/"), said
    key, call = re.findall(r"^  (KEY=\S+|curl .*)$", said, re.MULTILINE)
    answer = ""
    while '"predictions"' not in answer:  # a grant takes up to a second to be known
        time.sleep(0.2)
        answer = _run(f"{key}\n{call}", folder, environment)
    yield call, answer


def masked(text: str) -> list[str]:
    """The lines, without what is another at each run or place: addresses, keys, ids, and the room at the end of a line."""
    text = re.sub(r"http://127\.0\.0\.1:\d+", ADDRESS, text)
    for pattern, shown in (
        (r"\.venv/bin/(?=gatehouse )", ""),
        (r"gate_[0-9A-Za-z]{16}_\w+", "gate_4N3mYJ2QpWc8RtVx_…"),
        (r"(?<=^key )[0-9A-Za-z]{16}", "4N3mYJ2QpWc8RtVx"),
        (r"ten_\w{16}", "ten_7Qm2Vx9LrT4bKc1Z"),
        (r"req_\w{24}", "req_8f1c0e6f2a3b4c5d6e7f8091"),
        (r"(?<=publishing key )[0-9a-f]{16}", "2c7054a27a200915"),
        (r"(?<=worst difference )\S+", "1e-07"),
    ):
        text = re.sub(pattern, shown, text, flags=re.MULTILINE)
    return [re.sub(r"─+", "─", line.rstrip()) if "─" in line else line.rstrip() for line in text.splitlines() if line.strip()]


def drawn(parts: list[tuple[str, str]]) -> str:
    """The picture of a session."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for number, (command, said) in enumerate(parts):
        console.print(
            Text.assemble(*([""] if number == 0 else ["\n"]), ("$ ", "bold #3fb68b"), (" ".join(masked(command)), "bold #e6edf3"))
        )
        for line in masked(said):
            console.print(Text(line.replace("─", "─" * 60) if "─" in line else line, "#adbac7"))
    return console.export_svg(code_format=FRAME, unique_id="terminal")


def _run(script: str, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(["bash", "-euc", script], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{script}\n{done.stdout}{done.stderr}")
    return done.stdout


@contextmanager
def _server(folder: Path) -> Iterator[dict[str, str]]:
    """The environment of its commands."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{chosen.getsockname()[1]}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEHOUSE_")}
    environment |= {"GATEHOUSE_STATE_DIR": str(folder / ".gatehouse"), "COLUMNS": str(COLUMNS)}
    command = [GATEHOUSE, "dev", "--port", address.rpartition(":")[2]]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait(f"{address}/health/ready")
            yield environment
        finally:
            process.terminate()


def _wait(url: str) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, TimeoutError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def main() -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / ".venv").symlink_to(Path(sys.prefix))
        with _server(folder) as environment:
            PICTURE.write_text(drawn(list(session(folder, environment))), encoding="utf-8")


if __name__ == "__main__":
    main()
