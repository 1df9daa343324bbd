"""The guide as a page: an operator's texts are texts in it, wherever they stand, and nothing in it runs or is fetched."""

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse.api.guide_page import guide_page
from gatehouse.migration.guide_document import Code, Document, Grid, Heading, Link, Listing, Paragraph, Program, Strong, disarmed

TEXTS = st.one_of(st.text(st.sampled_from("<>&\"'/=`$ {}()abscriptonerror:;!-\n\u202e")), st.text())
FIXED = {"lang", "charset", "name", "content", "rel", "href", "class", "tabindex", "scope", "data-column"}


class Reader(HTMLParser):
    """Tags with their attributes' names, the texts between them, and the values of attributes."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.structure: list[object] = []
        self.texts: list[str] = []
        self.values: list[str | None] = []
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.structure.append((tag, [name for name, _ in attrs]))
        self.values += [value for name, value in attrs if name == "data-column"]

    def handle_endtag(self, tag: str) -> None:
        self.structure.append(tag)

    def handle_comment(self, data: str) -> None:
        self.structure.append(("comment", data))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def document(text: str) -> Document:
    """The text in every place where a text can stand."""
    return [
        Heading(1, [text]),
        Paragraph([text, Code(text), Strong(text), Link(f"https://a.example/{text}")]),
        Listing([[text]], ordered=True),
        Grid([text], [[[[text], [Code(text)]]]]),
        Program("sh", f"begin {text} end"),
    ]


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_whatever_a_text_holds_the_page_has_the_same_tags_and_the_text_is_read_as_it_is(text: str) -> None:
    text = text.replace("\r", "").replace("\0", "")
    plain, hostile = Reader(guide_page("title", document("TEXT"))), Reader(guide_page(text, document(text)))
    assert hostile.structure == plain.structure
    assert all(name in FIXED for _, names in (each for each in plain.structure if isinstance(each, tuple)) for name in names)
    assert "script" not in {each[0] for each in plain.structure if isinstance(each, tuple)}
    assert hostile.values == [disarmed(text)]
    whole = "".join(hostile.texts)
    assert f"begin {text} end" in whole
    assert whole.count(disarmed(text)) >= 7


def test_a_dollar_in_a_text_is_no_place_to_fill_in() -> None:
    assert "$title ${body} $$" in guide_page("title", [Paragraph(["$title ${body} $$"])]).decode()


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//evil.invalid", " https://a.example"])
def test_only_web_addresses_are_links(url: str) -> None:
    assert "<a href" not in guide_page("title", [Paragraph([Link(url)])]).decode()
