"""Reads `[upgrade]` of a contract file, and holds it against that contract; what the older one says comes in when both are bound."""

import re
from collections.abc import Sequence

from gatehouse.contracts.feature import Feature
from gatehouse.contracts.toml_table import TomlTable
from gatehouse.contracts.upgrade_answer_section import read_answers
from gatehouse.contracts.upgrade_rule_section import RuleReader
from gatehouse.contracts.upgrade_rules import EXAMPLES, Rule, UpgradeRules

API_VERSION = re.compile(r"v[1-9][0-9]{0,2}")
MAX_RULES = 4_000


def read_upgrades(table: TomlTable, api_version: str, features: Sequence[Feature], complaints: list[str]) -> tuple[UpgradeRules, ...]:
    """What `[upgrade]` of the contract with these features says."""
    table.refuse_unknown(("from",))
    versions = table.take("from", dict, example="[upgrade.from.v1]", required=True) or {}
    of_version = TomlTable(versions, table.place_of("from"), complaints)
    found = [_upgrade(old, of_version, api_version, features, complaints) for old in versions]
    return tuple(each for each in found if each is not None)


def _upgrade(old: str, parent: TomlTable, api_version: str, features: Sequence[Feature], complaints: list[str]) -> UpgradeRules | None:
    if not API_VERSION.fullmatch(old):
        parent.complain(old, "is no API version; write for example: [upgrade.from.v1]")
        return None
    if int(old[1:]) >= int(api_version[1:]):
        parent.complain(
            old, f"leads in a circle: rules stand in the newer contract and lead up to it, so here from a version below {api_version}"
        )
        return None
    written = parent.take(old, dict, example=f"[upgrade.from.{old}] with rules = [{EXAMPLES['rename']}]")
    if written is None:
        return None
    table = TomlTable(written, parent.place_of(old), complaints)
    table.refuse_unknown(("rules", "answer", "one_way"))
    one_way = bool(table.take("one_way", bool, example="one_way = true"))
    answer = table.take("answer", dict, example='[upgrade.from.v1.answer] with labels = {"new name" = "old name"}')
    if one_way and answer is not None:
        table.complain("answer", "stands beside one_way = true, which says that no answer goes back; keep one of them")
    answers = read_answers(TomlTable(answer or {}, table.place_of("answer"), complaints), complaints)
    return UpgradeRules(old, table.place_of(""), _rules(table, features, complaints), answers, one_way)


def _rules(table: TomlTable, features: Sequence[Feature], complaints: list[str]) -> tuple[Rule, ...]:
    written = table.take("rules", list, example=f"rules = [{EXAMPLES['rename']}]") or []
    if len(written) > MAX_RULES:
        table.complain("rules", f"must hold at most {MAX_RULES} rules")
        return ()
    reader = RuleReader({feature.name: feature for feature in features}, complaints)
    found = [reader.rule(entry, table.place_of(f"rules[{index}]")) for index, entry in enumerate(written)]
    return tuple(rule for rule in found if rule is not None)
