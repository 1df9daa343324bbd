"""The verdict on a caller: a table of facts, each with the word and the reasons that it makes."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from gatehouse.migration.endpoint import Deprecation, Endpoint, Extension
from gatehouse.migration.report_standing import Moves, Pair, Standing, Told
from gatehouse.migration.report_verdict import Word, verdict_of
from gatehouse.migration.shadow import ShadowFigures, UpgradeFailures

NOW = datetime(2026, 11, 15, 12, 30, tzinfo=UTC)
ENDING = Deprecation(NOW - timedelta(days=9), date(2027, 6, 30), "v2")
OLD = Endpoint("iris", "v1", "deprecated", "1.0.0", deprecation=ENDING)
NEW = Endpoint("iris", "v2", "active", "2.0.0")
STILL = Moves(old_calls=500, new_calls=20, old_answered=100, new_answered=10)
TOLD = Told(by_answer=NOW)
ALL, BOTH, OLD_ALONE = frozenset({"*"}), frozenset({"v1", "v2"}), frozenset({"v1"})


def shadow(**more: Any) -> ShadowFigures:
    figures = ShadowFigures("a", "2.0.0", 500, 0, 0, 1000, not_upgraded=0, disagreed=9, shift_mean=0.1, shift_quantiles={})
    return replace(figures, **more)


def standing(**more: Any) -> Standing:
    return Standing(**{"moves": STILL, "grants": ALL, "told": TOLD, "shadow": shadow()} | more)


def judged(known: Standing, old: Endpoint = OLD, new: Endpoint = NEW) -> tuple[Word, list[str]]:
    verdict = verdict_of(Pair(old, new, rules=True), known, "a", NOW)
    return verdict.word, [reason.code for reason in verdict.reasons]


@pytest.mark.parametrize(
    ("facts", "word", "codes"),
    [
        ({}, Word.READY, ["nothing_against"]),
        ({"shadow": None}, Word.READY, ["nothing_against"]),
        ({"moves": Moves(old_calls=1), "shadow": shadow()}, Word.READY, ["nothing_against"]),
        ({"moves": Moves(new_calls=9)}, Word.MOVED, ["only_new_calls"]),
        ({"moves": Moves(old_calls=900, new_calls=200, old_answered=1, new_answered=99)}, Word.MOVED, ["calls_moved"]),
        ({"moves": Moves(900, 200, 3, 1, 99)}, Word.MOVED, ["calls_moved", "told_gone"]),
        ({"moves": Moves(900, 200, 3, 0, 1), "told": Told(), "shadow": shadow(disagreed=900)}, Word.MOVED, ["calls_moved", "told_gone"]),
        ({"moves": Moves(old_calls=900, new_calls=200, old_answered=1, new_answered=98)}, Word.READY, ["nothing_against"]),
        ({"moves": Moves()}, Word.SILENT, ["no_calls"]),
        ({"moves": Moves(last_old=NOW - timedelta(days=40))}, Word.SILENT, ["no_calls"]),
        ({"suspended_at": NOW}, Word.SILENT, ["suspended"]),
        ({"ended": "revoked on 2026-11-01"}, Word.SILENT, ["key_ended"]),
        ({"grants": frozenset({"v2"})}, Word.SILENT, ["old_not_granted"]),
        ({"grants": frozenset()}, Word.SILENT, ["old_not_granted"]),
        ({"grants": BOTH}, Word.READY, ["nothing_against"]),
        ({"grants": OLD_ALONE}, Word.BLOCKED, ["new_not_granted"]),
        ({"grants": OLD_ALONE, "moves": Moves(0, 9, 0, 0, 9)}, Word.BLOCKED, ["new_not_granted"]),
        ({"shadow": shadow(not_upgraded=1)}, Word.BLOCKED, ["rows_not_upgraded"]),
        ({"shadow": None, "failures": (UpgradeFailures("a", "age", "out_of_range", 1),)}, Word.BLOCKED, ["rows_not_upgraded"]),
        ({"shadow": shadow(disagreed=10)}, Word.READY, ["nothing_against"]),
        ({"shadow": shadow(disagreed=11)}, Word.AT_RISK, ["disagreement"]),
        ({"shadow": shadow(rows=0, disagreed=0)}, Word.READY, ["nothing_against"]),
        ({"shadow": shadow(failed=5)}, Word.READY, ["nothing_against"]),
        ({"shadow": shadow(failed=6)}, Word.AT_RISK, ["new_failed"]),
        ({"shadow": shadow(calls=500, dropped=1, failed=5)}, Word.AT_RISK, ["new_failed"]),
        ({"shadow": shadow(calls=3, failed=1)}, Word.READY, ["nothing_against"]),
        ({"shadow": shadow(calls=3, failed=2)}, Word.AT_RISK, ["new_failed"]),
        (
            {"shadow": shadow(not_upgraded=1, disagreed=11), "told": Told()},
            Word.BLOCKED,
            ["rows_not_upgraded", "disagreement", "never_told"],
        ),
        ({"told": Told()}, Word.AT_RISK, ["never_told"]),
        ({"told": Told(by_notice=NOW)}, Word.READY, ["nothing_against"]),
        ({"moves": Moves(old_calls=9), "shadow": None}, Word.AT_RISK, ["not_tried"]),
        ({"moves": Moves(old_calls=9), "shadow": shadow(rows=0, disagreed=0)}, Word.AT_RISK, ["not_tried"]),
        ({"moves": Moves(gone_calls=9)}, Word.AT_RISK, ["told_gone"]),
        ({"moves": Moves(old_calls=9, gone_calls=1)}, Word.READY, ["nothing_against", "told_gone"]),
    ],
)
def test_the_verdict_follows_from_the_facts(facts: dict[str, Any], word: Word, codes: list[str]) -> None:
    assert judged(standing(**facts)) == (word, codes)


@pytest.mark.parametrize(
    ("sunset_in", "facts", "codes"),
    [
        (30, {"moves": Moves(old_calls=9)}, ["sunset_near"]),
        (31, {"moves": Moves(old_calls=9)}, ["nothing_against"]),
        (-1, {"moves": Moves(old_calls=9)}, ["sunset_near"]),
        (3, {"moves": Moves(old_calls=9, new_calls=1)}, ["nothing_against"]),
    ],
)
def test_a_near_sunset_is_a_risk_to_whoever_has_not_begun(sunset_in: int, facts: dict[str, Any], codes: list[str]) -> None:
    ending = replace(ENDING, sunset=NOW.date() + timedelta(days=sunset_in))
    assert judged(standing(**facts), replace(OLD, deprecation=ending))[1] == codes
    longer = Extension("a", "acme", NOW.date() + timedelta(days=90))
    assert judged(standing(**facts), replace(OLD, deprecation=ending, extensions=(longer,)))[1] == ["nothing_against"]


@pytest.mark.parametrize("sunset", [NOW.date() - timedelta(days=1), None])
def test_calls_that_get_410_after_the_end_are_at_risk_but_for_whom_it_goes_on(sunset: date | None) -> None:
    ended = replace(OLD, state="retired", retired_at=NOW - timedelta(days=1))
    if sunset is not None:
        ended = replace(OLD, deprecation=replace(ENDING, sunset=sunset), extensions=(Extension("b", "other", date(2027, 1, 1)),))
    known = standing(moves=Moves(old_calls=9, new_calls=1, gone_calls=1))
    assert judged(known, ended) == (Word.AT_RISK, ["told_gone"])
    extended = replace(ended, extensions=(Extension("a", "acme", date(2027, 1, 1)),))
    assert judged(known, extended)[0] is (Word.AT_RISK if sunset is None else Word.READY)


def test_of_an_endpoint_that_goes_on_nobody_has_to_be_told() -> None:
    assert judged(standing(told=Told()), Endpoint("iris", "v1", "active", "1.0.0")) == (Word.READY, ["nothing_against"])


def test_where_it_is_bridged_callers_get_the_newer_answers_and_refusals_already() -> None:
    known = standing(shadow=shadow(not_upgraded=5, disagreed=900, failed=6))
    assert judged(known, replace(OLD, bridged_to="v2")) == (Word.AT_RISK, ["rows_not_upgraded"])
    assert judged(known, replace(OLD, bridged_to="v3")) == (Word.BLOCKED, ["rows_not_upgraded", "disagreement", "new_failed"])
    assert judged(standing(moves=Moves(old_calls=9), shadow=None), replace(OLD, bridged_to="v2"))[1] == ["nothing_against"]


def test_a_successor_whose_own_sunset_is_past_blocks() -> None:
    past = replace(ENDING, sunset=NOW.date() - timedelta(days=1), successor="v3")
    assert judged(standing(), new=replace(NEW, state="deprecated", deprecation=past))[1] == ["new_retired"]


@pytest.mark.parametrize(
    ("grants", "state", "codes"),
    [
        (ALL, "preview", ["new_preview"]),
        (OLD_ALONE, "preview", ["new_not_granted"]),
        (BOTH, "preview", ["nothing_against"]),
        (BOTH, "retired", ["new_retired"]),
    ],
)
def test_a_successor_that_would_not_answer_blocks(grants: frozenset[str], state: Any, codes: list[str]) -> None:
    assert judged(standing(grants=grants), new=replace(NEW, state=state))[1] == codes


def test_each_reason_is_one_line_with_the_figures() -> None:
    many = tuple(
        UpgradeFailures("a", name, "out_of_range", 9 - place) for place, name in enumerate(("age", "first,last", "size", "x", "y"))
    )
    known = standing(
        moves=Moves(old_calls=9000, gone_calls=1),
        told=Told(),
        shadow=shadow(rows=2000, not_upgraded=12, disagreed=64, dropped=100, failed=20),
        failures=many,
    )
    ending = replace(ENDING, sunset=date(2026, 11, 25))
    verdict = verdict_of(Pair(replace(OLD, deprecation=ending), NEW, rules=True), known, "a", NOW)
    assert [reason.text for reason in verdict.reasons] == [
        "12 of 2,000 rows cannot be upgraded to v2: age out_of_range 9, first,last out_of_range 8, size out_of_range 7, 2 more",
        "v2 answers 3.2 % of 1,988 compared rows otherwise",
        "v2 failed on 20 of 400 shadowed calls",
        "told neither by a notice nor by an answer since the deprecation",
        "v1 ends on 2026-11-25, in 10 days, and no call is on v2",
        "1 call on v1 answered with 410 in 30 days",
    ]
