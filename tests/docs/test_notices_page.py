"""docs/notices.md: what it tells partners verifies what is sent, and shows the body that is made."""

import base64
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from documents import ROOT, blocks

from gatehouse.db.outbox import notice_body
from gatehouse.migration.notice_kinds import ALL_KINDS
from gatehouse.notices.signature import new_secret, signed_headers

PAGE = ROOT / "docs" / "notices.md"
SENT_AT = 1_795_000_000
BODY = b'{"type":"quota.reached"}'


@pytest.fixture(scope="module")
def verified() -> Any:
    (text,) = blocks(PAGE, "python")
    names: dict[str, Any] = {}
    exec(text, names)
    return names["verified"]


def test_the_pages_code_takes_what_is_sent_and_nothing_else(verified: Any) -> None:
    now, before = new_secret(), new_secret()
    headers = signed_headers([now, before], "ntc_1", SENT_AT, BODY)
    assert verified(now, headers, BODY, SENT_AT)
    assert verified(before, headers, BODY, SENT_AT + 299)
    assert not verified(now, headers, BODY, SENT_AT + 301)
    assert not verified(now, headers, BODY, SENT_AT - 301)
    assert not verified(now, headers, BODY)
    assert not verified(new_secret(), headers, BODY, SENT_AT)
    assert not verified(now, headers, BODY + b"\n", SENT_AT)
    assert not verified(now, headers | {"webhook-id": "ntc_2"}, BODY, SENT_AT)
    flipped = base64.b64encode(b"x" * 32).decode()
    assert not verified(now, headers | {"webhook-signature": f"v1,{flipped} v1a,{flipped}"}, BODY, SENT_AT)


def test_the_page_shows_the_body_as_it_is_written() -> None:
    (shown,) = (text.strip() for text in blocks(PAGE, "json"))
    parsed = json.loads(shown)
    at = datetime(2026, 11, 21, 15, 4, 5, 678_900, tzinfo=UTC)
    assert notice_body(parsed["type"], at, parsed["data"]) == shown


def test_the_page_lists_every_kind_of_notice() -> None:
    rows = re.findall(r"^\| `([a-z]+\.[a-z_]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(("quota.reached", *ALL_KINDS))
