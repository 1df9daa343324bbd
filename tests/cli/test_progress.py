"""The bar of long work: nothing of what is over within a second, then how far it is."""

import pytest

from gatehouse.cli.progress import amount_bar


class Clock:
    """Goes on by a second whenever it is asked."""

    def __init__(self, step: float) -> None:
        self.at, self.step = 0.0, step

    def __call__(self) -> float:
        self.at += self.step
        return self.at


def test_what_is_quick_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    with amount_bar("models", 10, Clock(0.01)) as more:
        for _ in range(10):
            more(1)
    assert capsys.readouterr() == ("", "")


def test_what_takes_long_is_told_every_few_seconds_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with amount_bar("models", 10, Clock(1)) as more:
        for _ in range(10):
            more(1)
    assert capsys.readouterr() == ("", "models: 10 %\nmodels: 60 %\n")


def test_a_terminal_gets_a_bar_that_goes_away(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # by which rich takes any stream for a terminal
    monkeypatch.setenv("TERM", "xterm")
    with amount_bar("models", 10, Clock(1)) as more:
        more(5)
    said = capsys.readouterr()
    assert "50%" in said.err
    assert "models" in said.err
    assert said.out == ""
