"""The programs of the suite that start quickly (tests/support/quick_start.py)."""

import socket
import subprocess

from quick_start import quick_start

from gatehouse import __version__


def test_who_is_killed_while_it_asks_for_a_program_holds_up_nobody() -> None:
    with quick_start() as programs:
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(programs.gatehouse.with_name("socket")))
            socket.send_fds(line, [b'{"start": "gateh'], [0, 1, 2])
        done = subprocess.run([programs.gatehouse, "--version"], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == f"{__version__}\n"
