"""A body that came in parts."""

import pytest

from gatehouse.api.body import whole_body


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ([b'{"a": ', b"1} \n", b" ", b"\t\r\n"], b'{"a": 1}'),
        ([b'{"a": 1', b"}"], b'{"a": 1}'),
        ([b" ", b" \n", b" "], b" "),
        ([b"{} "], b"{} "),
        ([b'{"a": "', b"x \x0b", b"  "], b'{"a": "x \x0b'),
    ],
)
def test_row_63_the_blanks_behind_a_body_are_left_out_part_by_part(parts: list[bytes], whole: bytes) -> None:
    pauses: list[None] = []
    blank = sum(not part.strip(b" \t\r\n") for part in parts[1:])
    assert whole_body(parts, lambda: pauses.append(None)) == whole
    assert len(pauses) == blank
