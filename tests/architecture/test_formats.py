"""docs/formats.md: what readers do with the `format` of contracts, manifests and spools, with a frozen sample of each number."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from gatehouse.contracts.contract import FORMAT as CONTRACT_FORMAT
from gatehouse.contracts.contract import ContractInvalid, parse_contract
from gatehouse.db.session import Database
from gatehouse.db.tables import UsageEventTable
from gatehouse.serving.manifest import MANIFEST_FORMAT, ManifestInvalid, decode_manifest
from gatehouse.usage.event import FORMAT as SPOOL_FORMAT
from gatehouse.usage.event import EventInvalid, decode_line
from gatehouse.usage.recorder import Recorder
from gatehouse.usage.spool import Bounds, Spool

SAMPLES = Path(__file__).parent / "formats"
PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
READERS: dict[str, tuple[int, Callable[[bytes], Any], type[Exception]]] = {
    "contract": (CONTRACT_FORMAT, lambda source: parse_contract(source, "sample"), ContractInvalid),
    "manifest": (MANIFEST_FORMAT, decode_manifest, ManifestInvalid),
    "spool": (SPOOL_FORMAT, lambda source: [decode_line(line) for line in source.splitlines()], EventInvalid),
}
NUMBER = {"contract": b"format = %d", "manifest": b'"format": %d', "spool": b'"format":%d'}


def sample(kind: str, number: int) -> bytes:
    (file,) = SAMPLES.glob(f"{kind}-{number}.*")
    return file.read_bytes()


@pytest.mark.parametrize("kind", READERS)
def test_a_sample_of_every_number_so_far_is_read(kind: str) -> None:
    newest, read, _ = READERS[kind]

    assert len(list(SAMPLES.glob(f"{kind}-*"))) == newest, "a new number gets a sample, and no sample goes"
    for number in range(1, newest + 1):
        assert read(sample(kind, number))


@pytest.mark.parametrize("kind", READERS)
def test_a_newer_number_is_refused(kind: str) -> None:
    newest, read, refusal = READERS[kind]
    source = sample(kind, newest)
    later = source.replace(NUMBER[kind] % newest, NUMBER[kind] % (newest + 1))
    assert later != source

    with pytest.raises(refusal) as raised:
        read(later)

    assert kind == "spool" or "newer Gatehouse" in str(raised.value)


@pytest.mark.parametrize("kind", READERS)
def test_a_file_without_a_number_is_refused(kind: str) -> None:
    newest, read, refusal = READERS[kind]
    number = NUMBER[kind] % newest
    without = sample(kind, newest).replace(number + b",", b"").replace(number, b"")
    assert b"format" not in without

    with pytest.raises(refusal):
        read(without)


@pytest.mark.parametrize(
    ("kind", "before", "member"),
    [
        ("contract", b"format = 1", b"surprise = 1\nformat = 1"),
        ("manifest", b'"format": 1,', b'"format": 1, "surprise": 1,'),
        ("spool", b'"status":', b'"surprise":1,"status":'),
    ],
)
def test_a_member_that_is_not_known_is_refused_and_not_passed_over(kind: str, before: bytes, member: bytes) -> None:
    newest, read, refusal = READERS[kind]

    with pytest.raises(refusal, match="surprise"):
        read(sample(kind, newest).replace(before, member))


def test_a_manifest_from_before_a_member_is_read_as_what_it_meant_then() -> None:
    source = sample("manifest", 1)

    assert not {"own_labels", "code_digest", "embedded_data", "estimator_digest", "revision_digest"} & set(json.loads(source))
    assert decode_manifest(source).own_labels is False
    assert decode_manifest(source).code_digest is None


def test_a_line_that_an_older_program_set_aside_is_given_back_by_another_name(tmp_path: Path, sqlite_database: Database) -> None:
    line, *_ = sample("spool", 1).splitlines(keepends=True)
    spool = Spool.open(tmp_path, "prc_2", Bounds(min_free_bytes=0), durable=False)
    recorder = Recorder(spool, sqlite_database, lambda process: None)
    (tmp_path / "prc_1.000001.ndjson").write_bytes(line.replace(b'"format":1', b'"format":9') + line)
    recorder.adopt_orphans()
    aside = tmp_path / "prc_1.000001.rejected"
    assert aside.read_bytes() == line.replace(b'"format":1', b'"format":9')

    aside.write_bytes(line.replace(b"000000000001", b"000000000002") + line)  # a program that reads both: one new call, one that is there
    aside.rename(tmp_path / "back_1.000001.ndjson")

    assert recorder.adopt_orphans() == ["back_1"]
    spool.release()
    with sqlite_database.read() as session:
        assert len(session.exec(select(UsageEventTable)).all()) == 2


def test_the_page_says_the_numbers_and_what_this_test_does() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert {number for number, *_ in READERS.values()} == {1}, "say the new number in docs/formats.md"
    assert "all three are at 1" in text
    assert "rename `prc_1.000001.rejected` to `back_1.000001.ndjson`" in text
