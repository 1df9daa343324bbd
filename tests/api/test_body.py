"""A body that came in parts."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse.api.body import BLANK, whole_body
from gatehouse.contracts.contract import parse_contract
from gatehouse.contracts.decode import LEAST_LONGEST_BLANK, Decoder
from gatehouse.contracts.pause import no_pause

LONGEST = 5
PIECES = st.lists(st.sampled_from([b"a", b"bc", b" ", b"\n", b"\t" * 4, b"\r" * 9, b" " * 30, b"\x0b"]), max_size=12).map(b"".join)


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ([b'{"a": ', b"1}\n"], b'{"a": 1}\n'),
        ([b"[1,     ", b"   ", b"      2]"], b"[1,     2]"),
        ([b"          [1]"], b"     [1]"),
        ([b"[1]    ", b"     ", b"    ", b"  "], b"[1]     "),
        ([b"   ", b"   ", b"   "], b"     "),
    ],
)
def test_only_blanks_beyond_the_longest_are_left_out(parts: list[bytes], whole: bytes) -> None:
    assert whole_body(parts, LONGEST, no_pause) == whole


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=8))
def test_all_else_is_kept_and_no_run_of_blanks_grows_or_vanishes(parts: list[bytes]) -> None:
    before, after = b"".join(parts), whole_body(list(parts), LONGEST, no_pause)
    assert after.split() == before.split()
    assert [min(LONGEST, run) for run in runs(before)] == [min(LONGEST, run) for run in runs(after)]
    assert max(runs(after), default=0) <= max([LONGEST, *(run for part in parts for run in runs(part))])


def runs(body: bytes) -> list[int]:
    """The lengths of the runs of blanks."""
    marked = bytes(ord("_") if byte in BLANK else ord("x") for byte in body)
    return [len(run) for run in marked.split(b"x") if run]


def test_row_63_each_part_is_a_step() -> None:
    pauses: list[None] = []
    assert len(whole_body([b" " * 1000] * 50, LONGEST, lambda: pauses.append(None))) == LONGEST
    assert len(pauses) == 50


def test_a_contracts_texts_are_shorter_than_the_longest_blank() -> None:
    source = (Path(__file__).parents[1] / "contracts" / "visits.toml").read_bytes()
    long = source.replace(b"max_length = 12", b"max_length = 9000")
    assert Decoder(parse_contract(source, "visits")).longest_blank == LEAST_LONGEST_BLANK
    assert Decoder(parse_contract(long, "visits")).longest_blank == 9001
