"""Two contracts of one model and the rules between them, from the lines that a test is about."""

from gatehouse.contracts.contract import Contract, parse_contract
from gatehouse.contracts.upgrade import Upgrade, bind_upgrade

Fields = dict[str, str]
LABELS = '[output]\ntask = "classification"\nlabels = [{class = 0, name = "no"}, {class = 1, name = "yes"}]\n'
CM = 'type = "number"\nunit = "cm"\nminimum = 1\nmaximum = 20\nexample = 5'
MM = 'type = "number"\nunit = "mm"\nminimum = 10\nmaximum = 200\nexample = 50'
COUNT = 'type = "integer"\nminimum = 0\nmaximum = 5\nexample = 3'
FLAG = 'type = "boolean"\nexample = true'
SIZE = 'type = "category"\nallowed = ["small", "large"]\nexample = "small"'
CODE = 'type = "category"\nallowed = ["S", "L"]\nexample = "S"'
NAME = 'type = "text"\nmax_length = 10\nexample = "Ada"'


def contract_text(api_version: str, fields: Fields, output: str = LABELS, upgrade: str = "") -> str:
    tables = "".join(f'[features."{name}"]\n{lines}\n' for name, lines in fields.items())
    return f'format = 1\nmodel = "pair"\napi_version = "{api_version}"\n{tables}{output}\n{upgrade}\n'


def rules_text(*rules: str, old: str = "v1", answer: str = "", options: str = "") -> str:
    section = f"[upgrade.from.{old}.answer]\n{answer}\n" if answer else ""
    return f"[upgrade.from.{old}]\n{options}\nrules = [\n{''.join(f'  {rule},{chr(10)}' for rule in rules)}]\n{section}"


def contract(api_version: str, fields: Fields, output: str = LABELS, upgrade: str = "") -> Contract:
    return parse_contract(contract_text(api_version, fields, output, upgrade).encode(), f"{api_version}.toml")


def upgrade(old: Fields, new: Fields, *rules: str) -> Upgrade:
    """From v1 to v2."""
    return bind_upgrade(contract("v1", old), contract("v2", new, upgrade=rules_text(*rules)), "v2.toml")
