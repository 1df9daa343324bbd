"""`.env.example` names every setting, shows its default, and starts no server."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from gatehouse.settings import PREFIX, Settings, SettingsInvalid, settings_from

TEXT = (Path(__file__).parents[2] / ".env.example").read_text(encoding="utf-8")
VALUES = dict(re.findall(r"^(GATEHOUSE_\w+)=(.*)$", TEXT, re.MULTILINE))
SECRETS = ("GATEHOUSE_SECRET_KEY", "GATEHOUSE_KEY_PEPPER", "GATEHOUSE_AUDIT_KEY")
STRONG = {
    "GATEHOUSE_SECRET_KEY": "kQ3vW8xZ1mB6nT9pL2rY5uH7jD4gF0sA",
    "GATEHOUSE_KEY_PEPPER": "a8Zt2Xq5Lw9Rm4Kc7Vn1Bj6Hp3Fd0GyE",
    "GATEHOUSE_AUDIT_KEY": "e5Kx9Tq2Mv7Wz4Rb8Nc1Yf6Lj3Hg0PdS",
}


def test_every_setting_is_in_the_example_and_nothing_else() -> None:
    shown = set(re.findall(r"^(?:# )?(GATEHOUSE_\w+)=", TEXT, re.MULTILINE))

    assert shown == {PREFIX + name.upper() for name in Settings.model_fields}


def test_every_setting_has_one_line_that_says_what_it_is() -> None:
    lines = TEXT.splitlines()

    for number, line in enumerate(lines):
        if re.match(r"(?:# )?GATEHOUSE_\w+=", line):
            assert re.match(r"# [A-Zps].*[.).AZ]", lines[number - 1]), line


def test_the_state_folder_is_left_to_the_environment() -> None:
    assert "GATEHOUSE_STATE_DIR" not in VALUES


def test_the_values_shown_are_the_defaults(tmp_path: Path) -> None:
    settings = settings_from(VALUES | STRONG, tmp_path)

    defaults = settings_from(STRONG, tmp_path)
    assert settings == defaults
    assert SecretStr(STRONG["GATEHOUSE_SECRET_KEY"]) == settings.secret_key


@pytest.mark.parametrize("name", SECRETS)
def test_row_18_the_examples_secrets_refuse_the_start(name: str, tmp_path: Path) -> None:
    assert "change-me" in VALUES[name]

    with pytest.raises(SettingsInvalid, match=name):
        settings_from(VALUES | STRONG | {name: VALUES[name]}, tmp_path)
