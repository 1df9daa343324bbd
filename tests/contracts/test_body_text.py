"""A body's text is the same, and is refused for the same, however short the steps are in which it is made."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse.contracts import body_text, strict_json
from gatehouse.contracts.body_text import STEP, to_text
from gatehouse.contracts.pause import no_pause
from gatehouse.contracts.strict_json import BLANKS, WINDOW, ElementTooLong, JsonReader
from gatehouse.errors import InvalidJson

PIECES = st.sampled_from(["a", "é", "€", "😀", "\\", "\\u0041", "\\ud83d\\ude00", "\\ud83d", "\\ude00", "\\n", '"', " "])


def outcome_of(body: bytes) -> str:
    try:
        return to_text(body)
    except InvalidJson as refusal:
        return f"refused: {refusal.detail}"


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES | st.binary(max_size=3), max_size=20), st.integers(1, 9))
def test_steps_of_any_length_make_the_same_text_or_refusal(pieces: list[str | bytes], step: int) -> None:
    body = b"x" + b"".join(piece.encode() if isinstance(piece, str) else piece for piece in pieces)
    whole = outcome_of(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body_text, "STEP", step)
        assert outcome_of(body) == whole
    if not whole.startswith("refused"):
        assert whole == body.decode()


def test_the_offset_of_a_byte_that_is_no_utf_8_is_that_in_the_whole_body() -> None:
    for start in (STEP - 1, STEP, 2 * STEP + 7):
        body = b"a" * start + b"\xe2\x82" + b"a" * 10
        assert f"offset {start} " in outcome_of(body)


def test_row_63_a_large_text_is_made_in_steps() -> None:
    pauses: list[None] = []
    escaped = json.dumps("😀" * 1000).encode()
    to_text(b"a" * (4 * STEP) + escaped, lambda: pauses.append(None))
    assert len(pauses) >= 4 + 4 + 1000, "for decoding, for the search, and for each escape"


@pytest.mark.parametrize("where", ["before", "inside", "behind"])
def test_row_63_endless_blanks_are_skipped_in_steps(where: str) -> None:
    pauses: list[None] = []
    blanks = " \n\t\r" * BLANKS
    text = {"before": blanks + "{}", "inside": "{" + blanks + "}", "behind": "{}" + blanks}[where]
    reader = JsonReader(text, (), 10, lambda: pauses.append(None))
    assert list(reader.members()) == []
    reader.end()
    assert len(pauses) == 4


@pytest.mark.parametrize(
    "text", ['{"' + "k" * (2 * WINDOW) + '": 1}', '{"a": "' + "v" * (2 * WINDOW) + '"}', '{"a": ["' + "v" * (4 * WINDOW) + '"]}']
)
def test_row_63_a_text_longer_than_any_contract_allows_is_not_read(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = JsonReader(text, (), 10)
    read: list[int] = []
    monkeypatch.setattr(strict_json, "_FLAT", SeenPattern(read))
    with pytest.raises(ElementTooLong):
        [reader.value("") for _ in reader.members()]
    assert all(end - start <= 2 * WINDOW for start, end in zip(read[::2], read[1::2], strict=True))


class SeenPattern:
    """The pattern of a flat element, which tells how far it may look."""

    def __init__(self, seen: list[int]) -> None:
        self._seen = seen
        self._own = strict_json._FLAT

    def match(self, text: str, start: int, end: int) -> object:
        self._seen += (start, end)
        return self._own.match(text, start, end)


def test_a_flat_element_may_be_longer_than_the_window_where_its_contract_allows_long_texts() -> None:
    text = '{"a": ["' + "v" * (2 * WINDOW) + '"]}'
    reader = JsonReader(text, (), WINDOW, no_pause)
    assert [len(reader.value("")[0]) for _ in reader.members()] == [2 * WINDOW]
