"""A guide's texts are those of operators: whatever they hold, Markdown reads them as text, in the place where they stand."""

import re
import subprocess
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from gatehouse.migration.guide_document import Code, Document, Grid, Heading, Link, Listing, Paragraph, Program, Strong, disarmed
from gatehouse.migration.guide_literals import json_text, python_text, shell_text
from gatehouse.migration.guide_markdown import escaped, markdown

HOSTILE = st.text(st.sampled_from("`*_[]()<>|\\#-+.!~:/@$&;=\n\r \t\"'{}%1aé\u202e\u00a0😀")) | st.text()
TEXTS = st.one_of(
    HOSTILE,
    st.sampled_from(
        ["<script>alert(1)</script>", "![x](https://evil.invalid/x.png)", "a | b", "\\|", "```", "1. x", "# x", "- x", "&lt;", "&#124;"]
    ),
)
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def document(text: str) -> Document:
    """The text in every place where a text can stand."""
    return [
        Heading(1, [text]),
        Paragraph([text, " then ", Code(text), " then ", Strong(text)]),
        Paragraph([f"Note: {text}"]),
        Listing([[text], [Code(text), text]]),
        Listing([[text]], ordered=True),
        Grid(["a", text], [[[[text]], [[Code(text)], [text]]], [[["b"]], [["c"]]]]),
        Program("json", text),
    ]


def read(source: str) -> tuple[list[str], list[str]]:
    """What a Markdown parser makes of it: the structure, and the texts in it."""
    structure, texts = [], []
    for token in PARSER.parse(source):
        structure.append(token.type + token.tag + token.info)
        if token.type == "fence":
            texts.append(token.content)
        if token.type == "inline":
            inner, text = _inline(token.children or [])
            structure.append(inner)
            texts.append(text)
    return structure, texts


def _inline(children: list[Any]) -> tuple[str, str]:
    """Markup but code, which is text where it cannot be code, and the text."""
    assert all(child.type in ("text", "text_special", "code_inline", "strong_open", "strong_close", "html_inline") for child in children)
    assert all(child.content == "<br>" for child in children if child.type == "html_inline")
    return " ".join(child.type for child in children if child.type.startswith(("strong", "html"))), "".join(
        child.content for child in children if child.type != "html_inline"
    )


def blankless(text: str) -> str:
    """What is left when lines are joined and ends are cut."""
    return "".join(text.split())


@settings(max_examples=150, deadline=None)
@given(TEXTS.filter(blankless))
@example("`a|b\\`")
@example("\n- a")
@example("\x1f+ a")
@example(" 1. a")
@example("10) www.evil.invalid https://evil.invalid a@evil.invalid")
def test_whatever_a_text_holds_the_structure_stays_and_the_text_is_read_as_it_is(text: str) -> None:
    plain, hostile = read(markdown(document("TEXT"))), read(markdown(document(text)))
    assert hostile[0] == plain[0]
    for expected, found in zip(plain[1][:-1], hostile[1][:-1], strict=True):
        assert blankless(found) == blankless(expected.replace("TEXT", disarmed(text)))


@given(HOSTILE)
def test_code_to_copy_stays_in_its_fence_as_it_is(text: str) -> None:
    _, (found,) = read(markdown([Program("sh", "begin\n" + text.replace("\r", "").replace("\0", "") + "\nend")]))
    assert found == "begin\n" + text.replace("\r", "").replace("\0", "") + "\nend\n"


def test_bare_addresses_do_not_become_links_where_a_reader_makes_links_of_them() -> None:
    assert escaped("see https://evil.invalid, www.evil.invalid or a@evil.invalid") == (
        "see https\\://evil.invalid, www\\.evil.invalid or a\\@evil.invalid"
    )


def test_ordinary_words_stay_readable() -> None:
    text = 'Lengths are in mm (not cm), e.g. 5.2 → 52; "sepal_length_mm" is new - see v2.'
    assert escaped(text) == text


@pytest.mark.parametrize(
    ("url", "shown"), [("https://a.example/x?y=1", "<https://a.example/x?y=1>"), ("javascript:alert(1)", "javascript:alert(1)")]
)
def test_only_web_addresses_are_links(url: str, shown: str) -> None:
    assert markdown([Paragraph([Link(url)])]) == f"{shown}\n"


def test_marks_that_turn_the_direction_are_shown() -> None:
    assert disarmed("a\u202eb\u2066c\0") == r"a\u202eb\u2066c\u0000"
    assert re.search("[\u202a-\u202e]", markdown(document("a\u202eb"))[: -len("```json\na\u202eb\n```\n")]) is None


@settings(max_examples=200)
@given(st.text())
def test_a_python_literal_is_one_line_of_visible_characters_and_means_the_text(text: str) -> None:
    written = python_text(text)
    assert eval(written) == text
    assert written.isprintable()


def test_a_word_of_the_shell_is_the_json_whatever_it_holds() -> None:
    values = ["it's", "$(id)", "`id`", 'a"b\\c', "\n\t\0", "é\u202e😀", "-n", "@file", "!x", "%s", "*"]
    script = "".join(f"printf '%s\\n' {shell_text(json_text(value))}\n" for value in values)
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True)
    assert done.stdout.decode().splitlines() == [json_text(value) for value in values]
