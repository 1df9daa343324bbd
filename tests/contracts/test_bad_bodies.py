"""What callers are told when a body is no strict JSON or does not fit the contract."""

import json
import unicodedata
from typing import Any

import pytest

from gatehouse.contracts.contract import parse_contract
from gatehouse.contracts.decode import Decoder
from gatehouse.errors import InvalidInput, InvalidJson, Problem

ROW = {"sepal_length": 5.2, "sepal_width": 3.6, "petal_length": 1.5, "petal_width": 0.3}
VISIT = {"spend": 12.5, "children": 1, "member": True, "colour": "red", "note": "hello"}
RIGHT_BODY = '{"instances": [{"sepal_length": 5.2, "sepal_width": 3.6, "petal_length": 1.5, "petal_width": 0.3}]}'
RIGHT_COLUMNS = '"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"], "data": [[5.2, 3.6, 1.5, 0.3]]'


def problem(decoder: Decoder, body: bytes | object, max_rows: int = 100) -> Problem:
    """The problem that this body ends with, the same on the strict road alone."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Problem) as raised:
        decoder.decode(raw, max_rows)
    with pytest.raises(Problem) as strict:
        decoder.decode_strictly(raw, max_rows)
    assert (raised.value.code, raised.value.detail, raised.value.members) == (strict.value.code, strict.value.detail, strict.value.members)
    return raised.value


def errors(decoder: Decoder, body: bytes | object, max_rows: int = 100) -> list[dict[str, Any]]:
    found = problem(decoder, body, max_rows)
    assert isinstance(found, InvalidInput), found.detail
    listed: list[dict[str, Any]] = found.members["errors"]
    return listed


def the_error(decoder: Decoder, body: bytes | object, max_rows: int = 100) -> tuple[str, str]:
    listed = errors(decoder, body, max_rows)
    assert len(listed) == 1, listed
    return listed[0]["pointer"], listed[0]["code"]


def with_cell(text: bytes) -> bytes:
    return b'{"instances": [{"sepal_length": ' + text + b', "sepal_width": 3.6, "petal_length": 1.5, "petal_width": 0.3}]}'


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "The body is empty"),
        (b" \n", "The body ends before"),
        (b'{"instances": [', "The body ends before"),
        (b'{"instances": [{"sepal_length": 5.2', "The body ends before"),
        (b'{"insta', "The body ends before"),
        (with_cell(b"NaN"), "NaN is not JSON; send null where the field allows it"),
        (with_cell(b"Infinity"), "Infinity is not JSON; send a finite number"),
        (with_cell(b"-Infinity"), "-Infinity is not JSON; send a finite number"),
        (with_cell(b"1e999"), "A number is too large for a double"),
        (with_cell(b"-1e999"), "A number is too large for a double"),
        (with_cell(b"9" * 5000), "A number is too large for a double"),
        (with_cell(b"9" * 309), "A number is too large for a double"),
        (with_cell(b"[" * 10_000 + b"]" * 10_000), "nested more than 64 deep"),
        (with_cell(b"[" * 100 + b"]" * 100), "nested more than 64 deep"),
        (b"[" * 10_000, "nested more than 64 deep"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested more than 64 deep"),
        (with_cell(rb'"\ud800"'), "half of a surrogate pair"),
        (with_cell(rb'"\udc00\ud800"'), "half of a surrogate pair"),
        (with_cell(rb'"\ud800\ud83d\ude00"'), "half of a surrogate pair"),
        (rb'{"\uDFFF": 1}', "half of a surrogate pair"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b"\xef\xbb\xbf" + with_cell(b"5.2"), "byte-order mark"),
        (with_cell(b"5.2") + b" x", "nothing may follow"),
        (with_cell(b"5.2") * 2, "nothing may follow"),
        (with_cell(b"5.2") + b"\0", "nothing may follow"),
        (with_cell(b'"caf\xe9"'), "not UTF-8"),
        (with_cell(b'"\xc0\x80"'), "not UTF-8"),
        (with_cell(b"5.2").decode().encode("utf-16"), "UTF-16"),
        (with_cell(b"5.2").decode().encode("utf-16-le"), "UTF-16"),
        (with_cell(b"5.2").decode().encode("utf-16-be"), "UTF-16"),
        (with_cell(b"5.2").decode().encode("utf-32"), "UTF-16"),
        (with_cell(b"05.2"), "Not JSON at line 1"),
        (with_cell(b".5"), "Not JSON at line 1"),
        (with_cell(b"5."), "Not JSON at line 1"),
        (with_cell(b"+5"), "Not JSON at line 1"),
        (with_cell(b"0x10"), "Not JSON at line 1"),
        (with_cell(b"1_0"), "Not JSON at line 1"),
        (with_cell(b"'5'"), "Not JSON at line 1"),
        (with_cell(b"True"), "Not JSON at line 1"),
        (with_cell(b'"\x01"'), "Not JSON at line 1"),
        (with_cell(b'"\\x41"'), "Not JSON at line 1"),
        (with_cell(b"5.2 // note"), "Not JSON at line 1"),
        (with_cell(b"5.2\xc2\xa0"), "Not JSON at line 1"),
        (b'{"instances": [{},]}', "no comma may stand before ]"),
        (b'{"instances": [],}', "no comma may stand before }"),
        (b'{"instances": [[5.2], NaN]}', "NaN is not JSON"),
        (b'{"instances": [{"sepal_length": "x"}]', "The body ends before"),
        (b'{"instances" []}', "a colon is expected"),
        (b"{1: 2}", "a key in double quotes is expected"),
        (b'{\n"instances": [\n{"sepal_length" 5.2}]}', "line 3, column 17"),
    ],
)
def test_row_65_malformed_document_is_400_and_says_what_is_wrong(flower_decoder: Decoder, body: bytes, detail: str) -> None:
    found = problem(flower_decoder, body)
    assert isinstance(found, InvalidJson)
    assert detail in found.detail


def test_row_65_nan_is_answered_with_the_promised_words(flower_decoder: Decoder) -> None:
    assert problem(flower_decoder, with_cell(b"NaN")).detail == "NaN is not JSON; send null where the field allows it"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"instances": [], "instances": []}', "The key 'instances' stands twice in the outermost object"),
        (RIGHT_BODY[:-1].encode() + b', "outputs": ["label"], "outputs": ["label"]}', "The key 'outputs' stands twice in the outermost"),
        (
            RIGHT_BODY.replace('{"sepal', '{"sepal_length": 5.2, "sepal').encode(),
            "The key 'sepal_length' stands twice in the object at /instances/0",
        ),
        (
            b'{"instances": [{"\\u0073epal_length": 1, "sepal_length": 1}]}',
            "The key 'sepal_length' stands twice in the object at /instances/0",
        ),
        (b'{"instances": [{"sepal_length": {"canary": 1, "canary": 2}}]}', "A key stands twice in the object at /instances/0"),
        (b'{"canary": {"canary2": 1, "canary2": 2}}', "A key stands twice in an object"),
        (b'{"canary": 1, "canary": 2}', "A key stands twice in the outermost object"),
        (b'{%s, "data": [[5.2, 3.6, 1.5, 0.3]]}' % RIGHT_COLUMNS.encode(), "The key 'data' stands twice in the outermost object"),
    ],
)
def test_row_65_duplicate_keys_are_refused_at_every_level(flower_decoder: Decoder, body: bytes, named: str) -> None:
    found = problem(flower_decoder, body)
    assert isinstance(found, InvalidJson)
    assert found.detail.startswith(named)
    assert "canary" not in found.detail


def test_row_65_a_filled_in_default_hides_no_duplicate_key(visit_decoder: Decoder) -> None:
    # the default of colour holds a colon, as many as the duplicate key adds
    assert isinstance(problem(visit_decoder, b'{"instances": [{"spend": 1, "member": true, "member": true}]}'), InvalidJson)


@pytest.mark.parametrize("fields", ['"active": true, ', '"pressure": 1, ', "", '"active": true, "pressure": 1, '])
def test_row_65_an_absent_field_hides_no_duplicate_key(sensor_decoder: Decoder, fields: str) -> None:
    for twice in ('"count": 1, "count": 2', '"count": 1, "count": 2, "count": 3'):
        body = f'{{"instances": [{{"temperature": 1, {fields}{twice}}}]}}'.encode()
        assert isinstance(problem(sensor_decoder, body), InvalidJson)


def test_row_65_a_text_with_colons_hides_no_duplicate_key(visit_decoder: Decoder) -> None:
    body = b'{"instances": [{"spend": 1, "member": true, "colour": "a:b", "note": "a:b", "note": "c:d:e"}]}'
    assert isinstance(problem(visit_decoder, body), InvalidJson)


@pytest.mark.parametrize(
    "value",
    ["5.1", "1_0", " 5 ", "٥", "0x1", "", "NaN", True, False, [5.2], [], {}, {"a": 1}, None],
)
@pytest.mark.parametrize("shape", ["records", "columns"])
def test_row_66_text_boolean_list_and_null_never_become_a_number(flower_decoder: Decoder, value: object, shape: str) -> None:
    row = ROW | {"sepal_width": value}
    body = {"instances": [row]} if shape == "records" else {"columns": list(row), "data": [list(row.values())]}
    pointer, code = the_error(flower_decoder, body)
    assert pointer == ("/instances/0/sepal_width" if shape == "records" else "/data/0/1")
    assert code == ("null_not_allowed" if value is None else "wrong_type")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("children", 5.5, "not_an_integer"),
        ("children", 1e300, "out_of_range"),
        ("children", 21, "out_of_range"),
        ("children", "1", "wrong_type"),
        ("children", True, "wrong_type"),
        ("children", None, "null_not_allowed"),
        ("member", 1, "wrong_type"),
        ("member", 0.0, "wrong_type"),
        ("member", "true", "wrong_type"),
        ("member", None, "null_not_allowed"),
        ("spend", -100, "out_of_range"),
        ("spend", 1e39, "out_of_range"),
        ("colour", 1, "wrong_type"),
        ("note", 1, "wrong_type"),
        ("note", ["a"], "wrong_type"),
        ("note", "thirteen char", "too_long"),
        ("note", "a\0b", "not_allowed"),
    ],
)
def test_row_66_every_type_takes_its_own_values_only(visit_decoder: Decoder, field: str, value: object, code: str) -> None:
    row = VISIT | {field: value}
    assert the_error(visit_decoder, {"instances": [VISIT, row]}) == (f"/instances/1/{field}", code)
    columns = {"columns": list(row), "data": [list(VISIT.values()), list(row.values())]}
    assert the_error(visit_decoder, columns) == (f"/data/1/{list(row).index(field)}", code)


def test_row_67_unknown_field_is_refused_at_each_level_with_the_name_that_was_meant(flower_decoder: Decoder) -> None:
    found = errors(flower_decoder, {"instances": [ROW, ROW | {"sepal_lenght": 1}]})
    assert [(error["pointer"], error["code"]) for error in found] == [("/instances/1/sepal_lenght", "unknown_field")]
    assert "did you mean 'sepal_length'?" in found[0]["detail"]
    assert the_error(flower_decoder, {"instances": [ROW | {"instances": 1}]}) == ("/instances/0/instances", "unknown_field")
    top = errors(flower_decoder, {"instances": [ROW], "output": ["label"]})
    assert (top[0]["pointer"], top[0]["code"]) == ("/output", "unknown_field")
    assert "did you mean 'outputs'?" in top[0]["detail"]
    column = errors(flower_decoder, {"columns": [*ROW, "petal"], "data": [[1, 1, 1, 1]]})
    assert (column[0]["pointer"], column[0]["code"]) == ("/columns/4", "unknown_field")


def test_row_67_pandas_index_gets_the_right_call(flower_decoder: Decoder) -> None:
    body = {"columns": list(ROW), "index": [0], "data": [list(ROW.values())]}
    (error,) = errors(flower_decoder, body)
    assert error["pointer"] == "/index"
    assert "index=False" in error["detail"]


@pytest.mark.parametrize(
    "value",
    [
        "Red",
        " red",
        "red ",
        "RED",
        "rеd",
        "red\u200b",
        unicodedata.normalize("NFD", "café"),
        "cafe",
        "",
        "ｒｅｄ",
        unicodedata.normalize("NFD", "été"),
    ],
)
def test_row_68_categories_are_exact(visit_decoder: Decoder, value: str) -> None:
    for ascii_only in (True, False):
        body = json.dumps({"instances": [VISIT | {"colour": value}]}, ensure_ascii=ascii_only).encode()
        (error,) = errors(visit_decoder, body)
        assert (error["pointer"], error["code"], error["allowed"]) == ("/instances/0/colour", "not_allowed", ["red", "café", "a:b", "été"])


@pytest.mark.parametrize(
    ("value", "good"), [(0.1, True), (15, True), (0.09999, False), (15.0001, False), (-5, False), (1e308, False), (-0.0, False)]
)
def test_row_68_ranges_hold_at_their_ends(flower_decoder: Decoder, value: float, good: bool) -> None:
    body = {"instances": [ROW | {"petal_width": value}]}
    if good:
        assert flower_decoder.decode(json.dumps(body).encode(), 1).values[0, 3] == value
    else:
        (error,) = errors(flower_decoder, body)
        assert error == {
            "pointer": "/instances/0/petal_width",
            "code": "out_of_range",
            "detail": "must be 0.1 to 15 cm",
            "minimum": 0.1,
            "maximum": 15,
            "unit": "cm",
        }


@pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, 2**60, 2**53 + 2])
def test_row_68_an_integer_that_a_double_would_round_is_out_of_range(sensor_decoder: Decoder, value: int) -> None:
    assert the_error(sensor_decoder, {"instances": [{"temperature": 1, "count": value}]}) == ("/instances/0/count", "out_of_range")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-8-sig", "cp500"])
def test_row_69_a_body_that_is_not_utf_8_is_refused(flower_decoder: Decoder, encoding: str) -> None:
    assert isinstance(problem(flower_decoder, RIGHT_BODY.encode(encoding)), InvalidJson)


def test_row_69_utf_7_is_no_way_around_the_rules(visit_decoder: Decoder) -> None:
    body = json.dumps({"instances": [VISIT | {"colour": "caf+AOk-"}]}).encode()
    assert the_error(visit_decoder, body) == ("/instances/0/colour", "not_allowed")


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"instances": []}, "/instances", "empty"),
        ({"columns": list(ROW), "data": []}, "/data", "empty"),
        ({"instances": [ROW] * 101}, "/instances", "too_many_rows"),
        ({"columns": list(ROW), "data": [[1, 1, 1, 1]] * 101}, "/data", "too_many_rows"),
        ({"columns": list(ROW), "data": [[1, 1, 1, 1], [1, 1, 1]]}, "/data/1", "wrong_length"),
        ({"columns": list(ROW), "data": [[1, 1, 1, 1], [1, 1, 1, 1, 1]]}, "/data/1", "wrong_length"),
        ({"columns": [*ROW, "sepal_length"], "data": [[1, 1, 1, 1]]}, "/columns/4", "duplicate_column"),
        ({"columns": list(ROW)[:3], "data": [[1, 1, 1]]}, "/columns", "missing_field"),
        ({"columns": [*list(ROW)[:3], 1, "petal_width"], "data": [[1, 1, 1]]}, "/columns/3", "wrong_type"),
        ({"columns": "sepal_length", "data": [[1]]}, "/columns", "wrong_type"),
        ({"instances": [ROW], "outputs": []}, "/outputs", "empty"),
        ({"instances": [ROW], "outputs": ["label", "value"]}, "/outputs/1", "unknown_output"),
        ({"instances": [ROW], "outputs": [["label"]]}, "/outputs/0", "unknown_output"),
        ({"instances": [ROW], "outputs": "label"}, "/outputs", "wrong_type"),
        ({"instances": [ROW], "outputs": None}, "/outputs", "wrong_type"),
        (
            {"instances": [{name: value for name, value in ROW.items() if name != "petal_width"}]},
            "/instances/0/petal_width",
            "missing_field",
        ),
        ({"instances": [ROW], "data": [[1]]}, "", "wrong_shape"),
    ],
)
def test_wrong_bodies_have_a_stable_code_and_pointer(flower_decoder: Decoder, body: object, pointer: str, code: str) -> None:
    assert the_error(flower_decoder, body) == (pointer, code)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (ROW, ""),
        ([ROW], ""),
        ([[5.2, 3.6, 1.5, 0.3]], ""),
        ({"features": [5.2, 3.6, 1.5, 0.3]}, ""),
        ({"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}, ""),
        ({"dataframe_split": {"columns": list(ROW), "data": [[1]]}}, ""),
        ({"dataframe_records": [ROW]}, ""),
        ({"instances": [[5.2, 3.6, 1.5, 0.3]]}, "/instances/0"),
        ({"instances": [5.2]}, "/instances/0"),
        ({"instances": ROW}, "/instances"),
        ({"instances": None}, "/instances"),
        ({"instances": "x"}, "/instances"),
        ({"canary_member": 1}, ""),
        ({}, ""),
        ("text", ""),
        (5, ""),
        (None, ""),
    ],
)
def test_bodies_of_other_servers_are_shown_the_right_one(flower_decoder: Decoder, body: object, pointer: str) -> None:
    found = problem(flower_decoder, body)
    assert found.members["errors"][0]["pointer"] == pointer
    assert found.members["errors"][0]["code"] == "wrong_shape"
    assert RIGHT_BODY in found.detail
    assert "canary" not in found.detail


@pytest.mark.parametrize("body", [{"data": [[5.2, 3.6, 1.5, 0.3]]}, {"columns": list(ROW)}, {"data": [[1, 2]], "outputs": ["label"]}])
def test_half_of_the_columns_shape_is_shown_the_whole(flower_decoder: Decoder, body: dict[str, Any]) -> None:
    (error,) = errors(flower_decoder, body)
    assert error["code"] == "missing_field"
    assert error["pointer"] == ("/columns" if "data" in body else "/data")
    assert RIGHT_COLUMNS in error["detail"]


def resolves(pointer: str, document: Any) -> bool:
    """An RFC 6901 walk, written apart from the code under test."""
    if pointer == "":
        return True
    for part in pointer[1:].split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, list):
            if not name.isdigit() or int(name) >= len(document):
                return False
            document = document[int(name)]
        elif isinstance(document, dict) and name in document:
            document = document[name]
        else:
            return False
    return True


def test_row_72_every_pointer_resolves_in_the_body_or_in_the_parent_of_a_missing_field(visit_decoder: Decoder) -> None:
    odd = {"a/b~c": 1, "": 2, "~1": 3, "x" * 65: 4, "line\nbreak": 5, "spend": "x", "note": 5}
    bodies: list[Any] = [
        {"instances": [odd, VISIT, {}], "a/b": 1, "~": 2, "": 3},
        {"columns": ["spend", "a/b", 5, "spend"], "data": [[1]]},
        {"columns": ["spend", "member"], "data": [[1, 2], ["x", None], [1]]},
    ]
    for body in bodies:
        for error in errors(visit_decoder, body):
            pointer = error["pointer"]
            place = pointer.rpartition("/")[0] if error["code"] == "missing_field" else pointer
            assert resolves(place, body), error
            if error["code"] == "missing_field":
                assert pointer == "/columns" or not resolves(pointer, body)


def test_row_72_rows_after_a_row_that_is_too_long_keep_their_numbers(flower_decoder: Decoder) -> None:
    found = errors(flower_decoder, {"columns": list(ROW), "data": [[1] * 5, [1, 99, 1, 1]]})
    assert [(error["pointer"], error["code"]) for error in found] == [("/data/0", "wrong_length"), ("/data/1/1", "out_of_range")]


def test_row_72_a_long_or_unprintable_name_is_not_repeated(flower_decoder: Decoder) -> None:
    for name in ("n" * 65, "\x1b[31m", "a\nb", "\u202ecanary", "k" * 1_000_000):
        (error,) = errors(flower_decoder, {"instances": [ROW | {name: 1}]})
        assert (error["pointer"], error["code"]) == ("/instances/0", "unknown_field")
        assert name not in str(error)


def test_no_sent_value_is_in_an_answer(visit_decoder: Decoder) -> None:
    canary = "canary-8361"
    for field in VISIT:
        for value in (canary, [canary], {canary: canary}, 836183618361, 83618361.8361, 8.361e300):
            body = json.dumps({"instances": [VISIT | {field: value}], "outputs": [canary]}).encode()
            found = problem(visit_decoder, body)
            assert "8361" not in found.detail + json.dumps(found.members)


def test_row_54_errors_are_listed_up_to_twenty_and_counted_beyond(flower_decoder: Decoder) -> None:
    found = problem(flower_decoder, {"instances": [dict.fromkeys(ROW, 99)] * 30})
    assert len(found.members["errors"]) == 20
    assert (found.members["errors_total"], found.members["errors_not_listed"], found.members["errors_counted_all"]) == (120, 100, True)
    few = problem(flower_decoder, {"instances": [dict.fromkeys(ROW, 99)]})
    assert set(few.members) == {"errors"}


@pytest.mark.parametrize("shape", ["records", "columns"])
def test_row_54_a_scan_stops_at_a_thousand_errors(flower_decoder: Decoder, shape: str) -> None:
    cells = [99, True, None, "x"]
    data = [cells] * 25_000
    body = {"instances": [dict(zip(ROW, cells, strict=True))] * 25_000} if shape == "records" else {"columns": list(ROW), "data": data}
    found = problem(flower_decoder, body, max_rows=100_000)
    assert (found.members["errors_total"], found.members["errors_counted_all"]) == (1000, False)
    assert len(json.dumps(found.members)) < 20_000


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances":[' + b'{"sepal_length":5.2,"sepal_width":3.6,"petal_length":1.5,"petal_width":0.3},' * 1_000_000,
        b'{"instances":[' + b"{}," * 1_000_000 + b"{}]}",
        b'{"data":[' + b"[]," * 1_000_000 + b"[]]}",
        b"[" * 100_000 + b"]" * 100_000,
        b'{"instances":[{"sepal_length":' + b"[" * 100_000 + b"]" * 100_000 + b"}]}",
        b'{"instances":[{"sepal_length":[' + b"[]," * 1_000_000 + b"[]]}]}",
        b'{"instances":[{' + b",".join(b'"k%d":1' % index for index in range(200_000)) + b"}]}",
        b"{" + b",".join(b'"k%d":1' % index for index in range(200_000)) + b"}",
        b'{"data":[[' + b"1," * 1_000_000 + b"1]]}",
        b'{"outputs":[' + b'"x",' * 200_000 + b'"x"]}',
        b'{"columns":[' + b'"x",' * 50_000 + b'"x"],"data":[[1]]}',
        b'{"' + b"k" * 1_000_000 + b'":1}',
        b'{"instances":[{"' + b"k" * 1_000_000 + b'":1}]}',
    ],
    ids=lambda body: body[:34].decode(),
)
def test_row_54_a_hostile_body_gets_a_short_answer(flower_decoder: Decoder, body: bytes) -> None:
    found = problem(flower_decoder, body, max_rows=1000)
    assert len(found.detail + json.dumps(found.members)) < 20_000


def test_row_54_a_long_body_of_nested_rows_is_read_to_its_end(flower_decoder: Decoder) -> None:
    # longer than the window in which nested elements are read, so that some lie across its ends
    rows = b'[["\xc3\xa9", [true, -12.5e-3]]]  ,' * 50_000
    assert the_error(flower_decoder, b'{"instances": [' + rows + b"[[]]]}", 100_000) == ("/instances/0", "wrong_shape")
    assert problem(flower_decoder, b'{"instances": [' + rows + b"[[NaN]]]}", 100_000).detail.startswith("NaN is not JSON")
    assert "The body ends before" in problem(flower_decoder, b'{"instances": [' + rows + b"[[", 100_000).detail


def test_row_54_a_long_allow_list_is_not_repeated_whole() -> None:
    names = ", ".join(f'"name {index}"' for index in range(5000))
    source = (
        'format = 1\nmodel = "many"\napi_version = "v1"\n[features.a]\ntype = "category"\n'
        f'allowed = [{names}]\nexample = "name 1"\n[output]\ntask = "regression"\n'
    )
    found = problem(Decoder(parse_contract(source.encode(), "many.toml")), {"instances": [{"a": "?"}, {"a": 1}]})
    assert found.members["errors"][0]["allowed_total"] == 5000
    assert len(json.dumps(found.members)) < 5_000
