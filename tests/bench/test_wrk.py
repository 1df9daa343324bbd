"""What wrk says is believed only where it says that calls were answered, and rightly; a stand-in says it here."""

import os
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "scripts" / "bench"))

from comparison.exchange import Exchange, Orders
from comparison.wrk import LEAST_S, ran

ORDERS = Orders(1, (Exchange(b""),), 64, 0.5)


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What it says; its words stand beside it."""
    wrk, result = tmp_path / "wrk", tmp_path / "said"
    wrk.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\ncat {result}\n')
    wrk.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return result


def test_a_run_is_long_enough_for_a_slow_server(said: Path) -> None:
    said.write_text("RESULT 120 3000000 0 1500.000000 2500.000000 0 \n")
    done = ran(Path("wrk.lua"), ORDERS, 0.5, {0})
    assert (done.calls, done.seconds, done.p50_ms, done.p99_ms) == (120, 3.0, 1.5, 2.5)
    assert f"--duration {LEAST_S}s" in said.with_name("words").read_text()


@pytest.mark.parametrize(
    ("result", "why"),
    [
        ("RESULT 0 3000000 0 0.000000 0.000000 0 ", "no answer before its end"),
        ("RESULT 9 3000000 2 1.000000 2.000000 0 ", "2 calls broke off"),
        ("RESULT 9 3000000 0 1.000000 2.000000 3 500", "3 wrong answers, 0 calls broke off: 500"),
        ("unable to connect", "did not end well"),
    ],
)
def test_what_is_no_measurement_ends_with_a_line(said: Path, result: str, why: str) -> None:
    said.write_text(f"{result}\n")
    with pytest.raises(SystemExit, match=why):
        ran(Path("wrk.lua"), ORDERS, 3.0, {0})
