"""A contract: what partners may send and will get under one API version of one model, read from a TOML file."""

import hashlib
import re
import tomllib
from dataclasses import dataclass, replace
from typing import Any

from gatehouse.contracts.cells import SENT_AS, Fault, cell_check
from gatehouse.contracts.feature import NUMERIC_TYPES, Feature, colliding, read_feature
from gatehouse.contracts.output import Label, Output, Target, read_output
from gatehouse.contracts.toml_table import TomlTable
from gatehouse.contracts.upgrade_rules import UpgradeRules
from gatehouse.contracts.upgrade_section import read_upgrades

__all__ = ["Contract", "ContractInvalid", "Feature", "Label", "Output", "Target", "parse_contract"]

FORMAT = 1
MODEL_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
API_VERSION = re.compile(r"v[1-9][0-9]{0,2}")
MAX_FEATURES = 2_000
MAX_FILE_BYTES = 4 * 1024 * 1024


class ContractInvalid(ValueError):
    """A contract file that says something impossible; `messages` are all complaints, each with its place."""

    def __init__(self, origin: str, messages: list[str]) -> None:
        self.origin = origin
        self.messages = tuple(messages)
        super().__init__("\n".join(f"{origin}: {message}" for message in messages))


@dataclass(frozen=True, slots=True)
class Contract:
    """`digest` is the SHA-256 of the file in hexadecimal; features stand in file order."""

    model: str
    api_version: str
    features: tuple[Feature, ...]
    output: Output
    digest: str
    upgrades: tuple[UpgradeRules, ...] = ()
    """How rows of older API versions become rows of this one."""

    @property
    def numeric(self) -> bool:
        """Whether a row is all numbers, so that a float64 matrix holds it."""
        return all(feature.type in NUMERIC_TYPES for feature in self.features)

    @property
    def names(self) -> tuple[str, ...]:
        """The features' names in contract order."""
        return tuple(feature.name for feature in self.features)


def parse_contract(source: bytes, origin: str) -> Contract:
    """The contract that a TOML file describes; `origin` names it in messages. Raises ContractInvalid with all complaints."""
    complaints: list[str] = []
    table = TomlTable(_toml(source, origin), "", complaints)
    table.refuse_unknown(("format", "model", "api_version", "features", "output", "upgrade"))
    written = table.take("format", int, example="format = 1", required=True)
    if written is not None and written != FORMAT:
        newer = "; a later one is of a newer Gatehouse" if written > FORMAT else ""
        table.complain("format", f"must be {FORMAT}, the one format that this program knows{newer}")
    model = _matching(table, "model", MODEL_NAME, 'model = "iris"', "a small letter, then up to 62 small letters, digits or _")
    api_version = _matching(table, "api_version", API_VERSION, 'api_version = "v1"', "v1 to v999")
    features = _features(table, complaints)
    output = table.take("output", dict, example='[output] with task = "classification"', required=True)
    read = read_output(TomlTable(output, "output", complaints), complaints) if output is not None else None
    upgrades = table.take("upgrade", dict, example="[upgrade.from.v1]")
    rules: tuple[UpgradeRules, ...] = ()
    if upgrades is not None and not complaints:  # a field that is wrong itself would be called unknown here
        rules = read_upgrades(TomlTable(upgrades, "upgrade", complaints), api_version, features, complaints)
    if complaints or read is None:
        raise ContractInvalid(origin, complaints)
    return Contract(model, api_version, features, read, hashlib.sha256(source).hexdigest(), rules)


def _toml(source: bytes, origin: str) -> dict[str, Any]:
    if len(source) > MAX_FILE_BYTES:
        raise ContractInvalid(origin, [f"the file is larger than {MAX_FILE_BYTES} bytes; a contract is a short file"])
    if source.startswith(b"\xef\xbb\xbf"):
        raise ContractInvalid(origin, ["the file starts with a byte-order mark; save it as UTF-8 without one"])
    try:
        return tomllib.loads(source.decode("utf-8"))
    except UnicodeDecodeError:
        raise ContractInvalid(origin, ["the file is not UTF-8; save it as UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ContractInvalid(origin, [f"the file is not TOML: {error}"]) from None
    except (RecursionError, ValueError):
        raise ContractInvalid(origin, ["the file is not TOML that a contract can use: nested too deeply, or a number too long"]) from None


def _matching(table: TomlTable, key: str, pattern: re.Pattern[str], example: str, rule: str) -> str:
    text = table.take(key, str, example=example, required=True)
    if text is not None and not pattern.fullmatch(text):
        table.complain(key, f"must be {rule}; write for example: {example}")
    return text or ""


def _features(table: TomlTable, complaints: list[str]) -> tuple[Feature, ...]:
    written = table.take("features", dict, example="[features.age], one table for each input", required=True)
    if written is None:
        return ()
    if not 1 <= len(written) <= MAX_FEATURES:
        table.complain("features", f"must hold 1 to {MAX_FEATURES} tables, for example [features.age]")
    features: list[Feature] = []
    taken: dict[str, str] = {}
    for name, values in written.items():
        place = TomlTable({}, "features", []).place_of(name)
        if type(values) is not dict:
            complaints.append(f"{place} must be a table; write [{place}] and its lines below")
            continue
        other = taken.setdefault(colliding(name), name)
        if other != name:
            complaints.append(f"{place} differs from features.{other} only by case or punctuation; rename one of them")
        before = len(complaints)
        feature = read_feature(name, TomlTable(values, place, complaints))
        if feature is not None and len(complaints) == before:
            features.append(_with_valid_values(feature, place, complaints))
    return tuple(features)


def _with_valid_values(feature: Feature, place: str, complaints: list[str]) -> Feature:
    """The feature with example and default judged, and converted, by the rule that callers are judged by."""
    check = cell_check(feature)
    values: dict[str, Any] = {}
    for key in ("example", "default"):
        value = getattr(feature, key)
        if value is None:
            continue
        checked = check(value) if type(value) in SENT_AS else Fault("wrong_type", "must be a number, a text or true/false")
        if isinstance(checked, Fault):
            complaints.append(f"{place}.{key} does not fit its own field: it {checked.detail}")
        else:
            values[key] = value if key == "example" else checked
    return replace(feature, **values)
