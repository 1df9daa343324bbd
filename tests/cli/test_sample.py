"""CSV of authors: as strict as JSON, refused in one line that never holds a cell."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse.cli.sample import in_order, read_sample, typed_rows
from gatehouse.contracts.contract import Contract, parse_contract
from gatehouse.errors import Refused

CANARY = "canary-7381"
SOURCE = """
format = 1
model = "shop"
api_version = "v1"
[features.age]
type = "integer"
minimum = 0
example = 40
[features.income]
type = "number"
nullable = true
example = 1.5
[features.plan]
type = "category"
allowed = ["free", "pro"]
required = false
default = "free"
example = "pro"
[features.member]
type = "boolean"
example = true
[features.note]
type = "text"
max_length = 9
example = "hello"
[output]
task = "regression"
"""
CONTRACT: Contract = parse_contract(SOURCE.encode(), "shop.toml")
NAMES = st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), min_size=1, max_size=5, unique=True)
CELLS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=12)


def refused(source: bytes | str) -> str:
    with pytest.raises(Refused) as raised:
        read_sample(source.encode() if isinstance(source, str) else source, "rows.csv")
    said = str(raised.value)
    assert said.startswith("rows.csv")
    assert "\n" not in said
    assert CANARY not in said
    return said


def written(rows: list[list[str]]) -> str:
    target = io.StringIO(newline="")
    csv.writer(target, quoting=csv.QUOTE_ALL).writerows(rows)
    return target.getvalue()


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    names = draw(NAMES)
    rows = draw(st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)), min_size=1, max_size=6))
    return [names, *rows]


@settings(max_examples=100, deadline=None)
@given(tables())
def test_what_a_writer_of_csv_writes_is_read_back_cell_by_cell(table: list[list[str]]) -> None:
    sample = read_sample(written(table).encode(), "rows.csv")
    assert [list(sample.columns), *map(list, sample.rows)] == table


@settings(max_examples=150, deadline=None)
@given(tables(), st.data())
def test_row_73_a_broken_variant_of_a_good_file_is_refused(table: list[list[str]], data: st.DataObject) -> None:
    how = data.draw(st.sampled_from(["ragged", "longer", "NUL", "bytes", "doubled", "nameless", "no rows", "quote", "blank line", "mark"]))
    row = data.draw(st.integers(1, len(table) - 1))
    text = written(table)
    if how == "ragged":
        table[row].pop()
        source = written(table).encode()
    elif how == "longer":
        table[row].append(CANARY)
        source = written(table).encode()
    elif how in ("NUL", "bytes"):
        raw = text.encode()
        place = data.draw(st.integers(0, len(raw)).filter(lambda place: place == len(raw) or raw[place] < 0x80))
        source = raw[:place] + (b"\0" if how == "NUL" else b"\xff") + raw[place:]
    elif how in ("doubled", "nameless"):
        table = [[*cells, cells[0]] for cells in table]
        table[0][-1] = table[0][0] if how == "doubled" else " "
        source = written(table).encode()
    else:
        source = {
            "no rows": written(table[:1]),
            "quote": text + f'"{CANARY}',
            "blank line": text + "\r\n",
            "mark": "\ufeff" + text,
        }[how].encode()
    assert refused(source)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60))
def test_row_73_bytes_of_any_kind_are_read_or_refused_in_one_line(source: bytes) -> None:
    try:
        sample = read_sample(source, "rows.csv")
    except Refused:
        assert refused(source)
        return
    assert sample.rows
    assert all(len(row) == len(sample.columns) for row in sample.rows)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "rows.csv is empty; write a header"),
        (" \n\n", "rows.csv is empty"),
        ("age,plan\n", "rows.csv has a header but no rows"),
        (f"age,plan\n1,{CANARY},3\n", "rows.csv, line 2: has 3 cells, the header has 2"),
        (f"age,plan\n1,pro\n{CANARY}\n", "rows.csv, line 3: has 1 cells"),
        ("age,plan\n1,pro\n\n2,pro\n", "rows.csv, line 3: is blank; remove the line"),
        ("age,age\n1,2\n", "the header names 'age' more than once"),
        (",age\n0,1\n", "column 1 has no name; pandas writes none for its index unless to_csv(index=False)"),
        (" age,plan\n1,2\n", "the name of column 1 has blanks around it"),
        ("age;plan\n1;2\n", "the header has one column only; separate columns by commas"),
        ("age\tplan\n1\t2\n", "the header has one column only; separate columns by commas"),
        ("age\x1b[2J,plan\n1,2\n", "characters that cannot be seen"),
        (b"PK\x03\x04\x14\x00\x06\x00", "rows.csv is a workbook or a packed file; save its rows as CSV in UTF-8"),
        (b"\x1f\x8b\x08\x00", "rows.csv is a workbook or a packed file"),
        ("5.1,3.5\n4.9,3.0\n", "the first line holds numbers; it must hold the names"),
        ("\nage\n1\n", "the first line is blank"),
        ("age\n1\0\n", "rows.csv, line 2: holds a NUL byte"),
        (b"age\n\xff\n", "rows.csv, line 2: is not UTF-8"),
        ("age\n1\n".encode("utf-16"), "starts with a byte-order mark"),
        (f'age\n"{CANARY}', "rows.csv, line 2: is not CSV"),
        (f'age\n"1"{CANARY}\n', "rows.csv, line 2: is not CSV"),
        ("age\n" + "1" * 140_000, "rows.csv, line 2: is not CSV: field larger than field limit"),
    ],
)  # fmt: skip
def test_row_73_a_file_that_is_no_table_is_refused_with_what_to_do(source: bytes | str, said: str) -> None:
    assert said in refused(source)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("age,income", "the header lacks 'plan'"),
        ("age,income,plan,churned", "the model takes no 'churned'; remove what is no input of it"),
        ("Age,income,plan", "the header lacks 'age'"),
    ],
)
def test_row_73_a_header_of_other_columns_is_refused(header: str, said: str) -> None:
    sample = read_sample(f"{header}\n{','.join('1' * (header.count(',') + 1))}\n".encode(), "rows.csv")
    with pytest.raises(Refused) as raised:
        in_order(sample, ("age", "income", "plan"))
    assert said in str(raised.value)


def test_columns_come_in_the_order_that_is_asked_for() -> None:
    sample = in_order(read_sample(b"plan,age\npro,1\nfree,2\n", "rows.csv"), ("age", "plan"))
    assert (sample.columns, sample.rows) == (("age", "plan"), (("1", "pro"), ("2", "free")))


def test_cells_become_what_the_contract_says_and_empty_ones_null_or_the_default() -> None:
    source = b"note,member,plan,income,age\nhello,True,pro,2.5,40\n,false,,,7\n"
    assert typed_rows(read_sample(source, "rows.csv"), CONTRACT) == ((40, 2.5, "pro", True, "hello"), (7, None, "free", False, ""))
    short = b"note,member,income,age\nhi,true,1e3,1\n"
    assert typed_rows(read_sample(short, "rows.csv"), CONTRACT) == ((1, 1000.0, "free", True, "hi"),)


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("age", "1_0", "must be a whole number, not a string"),
        ("age", "٣", "must be a whole number, not a string"),
        ("age", " 5", "must be a whole number, not a string"),
        ("age", "007", "must be a whole number, not a string"),
        ("age", "0x1", "must be a whole number, not a string"),
        ("age", "5.5", "must be a whole number, without a fraction"),
        ("age", "-1", "-1 is outside what the contract allows, at least 0: widen it there, or leave the row out"),
        ("age", "9" * 5000, "must be a whole number, not a string"),
        ("age", "", "must be a whole number, not a string"),
        ("income", "NaN", "must be a number, not a string"),
        ("income", "1e400", "1e400 is outside what the contract allows, within"),
        ("member", "1", "must be true or false, not a string"),
        ("plan", "Pro", 'must be exactly one of "free", "pro"'),
        ("note", "ten letters", "must be at most 9 characters"),
    ],
)
def test_row_66_text_of_a_csv_never_becomes_a_number_that_json_would_refuse(column: str, cell: str, said: str) -> None:
    row = {"age": "1", "income": "2", "plan": "pro", "member": "true", "note": "hi"} | {column: cell}
    with pytest.raises(Refused) as raised:
        typed_rows(read_sample(written([[*row], [*row.values()]]).encode(), "rows.csv"), CONTRACT)
    assert str(raised.value).startswith(f"rows.csv, line 2 (row 1), {column}: {said}")


def test_typed_rows_want_every_required_field_and_no_other() -> None:
    for header, said in (("age,income,member", "the header lacks 'note'"), ("age,income,member,note,x", "the model takes no 'x'")):
        sample = read_sample(f"{header}\n{','.join('1' * (header.count(',') + 1))}\n".encode(), "rows.csv")
        with pytest.raises(Refused, match=said):
            typed_rows(sample, CONTRACT)


def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatehouse.cli.sample.MAX_BYTES", 4)
    assert "some thousand rows are enough" in refused("age\n1\n")
