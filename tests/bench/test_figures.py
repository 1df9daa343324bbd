"""What the comparison with the usual stack makes of its samples: medians, ratios, bars, tables and the chart."""

import asyncio
import itertools
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

sys.path.append(str(Path(__file__).parents[2] / "scripts" / "bench"))

from comparison import road
from comparison.altered_server import REAL_CALLS, remembered
from comparison.chart import drawn
from comparison.clocks import Clocks
from comparison.exchange import Answered, Exchange, WrongAnswer, post, whole_answer
from comparison.figures import figures_of, ratio
from comparison.finding import Bar, Chart, Finding, p99_bar
from comparison.load import Sample, quantiles_ms, sample_of
from comparison.published import publish
from comparison.table import comparison_rows, lines_of
from comparison.turns import Turns
from comparison.workbench import Workbench
from usual_stack import STUDIES, arguments, studied

ANSWER = b'HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\n{"label":"setosa"}'


def sample(calls_s: float, load_share: float = 0.1) -> Sample:
    return Sample(calls_s, 1.0, 2.0, 1e6 / calls_s, load_share)


def test_figures_are_medians_and_the_spread_is_of_all_rounds() -> None:
    figures = figures_of([sample(90), sample(100), sample(150)])

    assert (figures.calls_s, figures.spread, figures.rounds) == (100, 0.6, 3)


def test_no_samples_are_no_figures() -> None:
    with pytest.raises(ValueError, match="no samples"):
        figures_of([])


def test_a_ratio_is_taken_round_by_round_since_a_round_has_the_same_machine() -> None:
    ours = [sample(200), sample(20), sample(400)]  # the machine was busy in the second round, for both
    theirs = [sample(100), sample(10), sample(100)]

    assert ratio(ours, theirs, lambda each: each.calls_s) == 2.0


def test_work_left_behind_after_the_last_answer_counts_as_time_and_as_processor_time() -> None:
    found = sample_of(Answered(1.0, [0.01] * 100, Counter({200: 100}), 0.5), Counter({200: 7}), cpu_s=0.8, behind_s=0.25)

    assert (found.calls_s, found.cpu_us, found.load_share) == (pytest.approx(80), pytest.approx(10_500), 0.5)
    assert found.statuses == {200: 107}  # those of the warm-up are events too


def test_quantiles_are_in_milliseconds_and_hold_for_a_single_call() -> None:
    p50, p99 = quantiles_ms([n / 1000 for n in range(101)])

    assert (p50, p99) == (pytest.approx(50), pytest.approx(99))
    assert quantiles_ms([0.5]) == (500, 500)


@pytest.mark.parametrize(
    ("bar", "met", "cells"),
    [
        (Bar("speed", 2.0, 2.0), True, ["speed", "≥ 2 times", "2 times", "met"]),
        (Bar("speed", 2.0, 1.9), False, ["speed", "≥ 2 times", "1.9 times", "missed"]),
        (Bar("cost", 0.9, 0.95, least=False), False, ["cost", "≤ 0.9 times", "0.95 times", "missed"]),
        (Bar("cost", 0.9, 0.5, least=False), True, ["cost", "≤ 0.9 times", "0.5 times", "met"]),
        (Bar("p99", 1157.9, 158.7, least=False, unit="ms"), True, ["p99", "≤ 1,158 ms", "159 ms", "met"]),
        (Bar("p99 of who is not here", 0.0, None, least=False, unit="ms"), None, ["p99 of who is not here", "–", "not measured", "–"]),
        (Bar("cost", 5.0, None, least=False, unit="MiB"), None, ["cost", "≤ 5 MiB", "not measured", "–"]),
    ],
)
def test_a_bar_says_whether_it_is_met_and_nothing_where_it_was_not_measured(bar: Bar, met: bool | None, cells: list[str]) -> None:
    assert bar.met is met
    assert bar.as_json()["met"] is met
    assert bar.cells() == cells


def test_a_neighbours_p99_may_double_or_grow_by_3_ms_whichever_is_more() -> None:
    assert (p99_bar("x", 1.0, 4.0).met, p99_bar("x", 1.0, 4.1).met) == (True, False)
    assert (p99_bar("x", 10.0, 20.0).met, p99_bar("x", 10.0, 20.1).met) == (True, False)


def test_a_table_is_markdown_with_its_numbers_to_the_right() -> None:
    assert lines_of([["server", "calls"], ["a", "1,000"]]) == ["| server | calls |", "| ------ | ----: |", "| a      | 1,000 |"]


def test_the_comparison_holds_ours_against_each_and_says_where_the_load_was_the_bound() -> None:
    samples = {"bare": [sample(1000, load_share=0.95)], "ours": [sample(500)]}
    figures = {name: figures_of(each) for name, each in samples.items()}

    head, bare, ours = comparison_rows(figures, samples, "ours")
    assert head[-2:] == ["ours is", "load"]
    assert bare[-2:] == ["0.50 times", "95% (bound)"]
    assert ours[-2:] == ["", "10%"]


def test_the_chart_is_well_formed_and_draws_more_as_longer() -> None:
    chart = ElementTree.fromstring(drawn([Chart("rows & more", "calls a second", {"Gatehouse": 30_000, "<tutorial>": 140})]))

    bars = {each.get("class"): float(each.get("width", "0")) for each in chart.iter("{http://www.w3.org/2000/svg}rect")}
    assert 0 < bars["other"] < bars["ours"]
    assert "<tutorial>" in [each.text for each in chart.iter("{http://www.w3.org/2000/svg}text")]


def test_an_answer_is_whole_when_all_that_its_length_says_has_come() -> None:
    answer = whole_answer(ANSWER)

    assert answer is not None
    assert (answer.status, answer.body, answer.closes) == (200, b'{"label":"setosa"}', False)
    assert [whole_answer(ANSWER[:end]) for end in (10, len(ANSWER) - 1)] == [None, None]
    with pytest.raises(WrongAnswer, match="no Content-Length"):
        whole_answer(b"HTTP/1.1 200 OK\r\n\r\n")


@pytest.mark.parametrize(("status", "fragment", "times"), [(401, b"setosa", 1), (200, b"virginica", 1), (200, b"setosa", 2)])
def test_an_answer_with_another_status_label_or_number_of_rows_is_wrong(status: int, fragment: bytes, times: int) -> None:
    answer = whole_answer(ANSWER)
    assert answer is not None
    with pytest.raises(WrongAnswer):
        Exchange(post("/", b"{}"), status, ((fragment, times),)).check(answer)


def test_every_stage_of_the_budget_is_a_function_of_the_road() -> None:
    road.check()


def test_a_stage_whose_function_has_gone_or_is_not_called_is_refused(tmp_path: Path) -> None:
    with pytest.raises(road.StageGone, match=r"gate:Gate\.gone is gone"):
        road.owner_of("gatehouse.limits.gate:Gate.gone")
    with pytest.raises(road.StageGone, match="not called by a prediction"):
        Clocks().write(tmp_path / "clocks.json")
    assert list(tmp_path.iterdir()) == []


def test_what_is_left_out_answers_for_ever_what_it_answered_last_once_it_is_warm() -> None:
    numbers = itertools.count(1)

    async def later() -> int:
        return next(numbers)

    plain, awaited = remembered(lambda: next(numbers)), remembered(later)

    assert [plain() for _ in range(REAL_CALLS + 2)][-3:] == [REAL_CALLS] * 3
    assert [asyncio.run(awaited()) for _ in range(REAL_CALLS + 2)][-3:] == [2 * REAL_CALLS] * 3


def test_a_run_is_published_between_its_marks_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- x.py begins -->\nold\n<!-- x.py ends -->\nafter\n", encoding="utf-8")

    publish("x.py", "new\n", page)

    assert page.read_text(encoding="utf-8") == "before\n<!-- x.py begins -->\n\nnew\n\n<!-- x.py ends -->\nafter\n"
    with pytest.raises(SystemExit, match="has no lines"):
        publish("y.py", "new", page)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "one_row,flying"], "no study flying: choose of one_row, "),
        (["--rounds", "0"], "--rounds must be at least 1"),
        (["--seconds", "0"], "--seconds must be more than 0"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_is_started(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["usual_stack.py", *words])

    with pytest.raises(SystemExit):
        arguments()
    assert said in capsys.readouterr().err


def test_a_study_that_breaks_off_is_told_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(_bench: Workbench) -> list[Finding]:
        raise SystemExit("a wrong answer")

    found = Finding("bulk", [["server"], ["ours"]])
    monkeypatch.setitem(STUDIES, "one_row", breaks)
    monkeypatch.setitem(STUDIES, "bulk", lambda _bench: [found])

    assert studied(Workbench(tmp_path, Turns(1, 1.0)), ["one_row", "bulk"]) == ([found], ["one_row"])
    said = capsys.readouterr()
    assert "one_row broke off: a wrong answer" in said.err
    assert "### bulk" in said.out
