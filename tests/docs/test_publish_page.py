"""docs/publish-your-model.md, "When it says no": each message as it is printed."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn
from documents import ROOT
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from typer.testing import CliRunner

from gatehouse.cli import app

SECTION = (ROOT / "docs" / "publish-your-model.md").read_text(encoding="utf-8").partition("## When it says no")[2]
SHOWN = re.findall(r"^`(gatehouse: .*)`$", SECTION, re.MULTILINE)
ROWS = np.random.default_rng(0).uniform(0, 70, (60, 2))
LEFT = np.where(ROWS[:, 0] < 24, "leaves", "stays")
SAMPLE = "months,fee\n5,20.5\n30,{}\n"
Make = Callable[[Path], tuple[str, ...]]
"""Makes `customers.joblib` in a folder; the options beside it."""


def dumped(estimator: Any, fee: str = "99.1", options: tuple[str, ...] = ("--sample", "rows.csv")) -> Make:
    def make(folder: Path) -> tuple[str, ...]:
        joblib.dump(estimator, folder / "customers.joblib")
        (folder / "rows.csv").write_text(SAMPLE.format(fee))
        return options

    return make


def of_a_notebook(folder: Path) -> tuple[str, ...]:
    def halve(rows: Any) -> Any:
        return np.asarray(rows) / 2

    estimator = make_pipeline(FunctionTransformer(np.abs), LogisticRegression()).fit(ROWS, LEFT)
    options = dumped(estimator)(folder)
    file = folder / "customers.joblib"
    named = joblib.load(file)
    named[0].func = halve
    import __main__  # what a notebook's cell or a script is

    halve.__module__, halve.__qualname__ = "__main__", "halve"
    __main__.halve = halve  # type: ignore[attr-defined]
    try:
        joblib.dump(named, file)
    finally:
        del __main__.halve  # type: ignore[attr-defined]
    return options


def of_another_release(folder: Path) -> tuple[str, ...]:
    options = fitted()(folder)
    file = folder / "customers.joblib"
    file.write_bytes(file.read_bytes().replace(sklearn.__version__.encode(), b"1.5.2"))
    return options


def fitted(**more: Any) -> Make:
    return dumped(LogisticRegression().fit(ROWS, LEFT), **more)


FAILURES: list[Make] = [
    fitted(options=()),
    dumped(LogisticRegression().fit(ROWS, (LEFT == "leaves").astype(int))),
    of_a_notebook,
    fitted(fee=""),
    of_another_release,
]


def test_five_messages_are_shown() -> None:
    assert len(SHOWN) == len(FAILURES) == 5


@pytest.mark.parametrize("place", range(len(FAILURES)))
def test_the_message_is_printed_as_the_page_shows_it(place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("GATEHOUSE_")]:
        monkeypatch.delenv(name)
    options = FAILURES[place](tmp_path)

    result = CliRunner().invoke(app, ["models", "publish", "customers.joblib", *options], prog_name="gatehouse")

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == SHOWN[place]
