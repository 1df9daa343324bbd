"""Settings: where they are read from, which wins, and one line for what is wrong."""

import os
from pathlib import Path

import pytest

from gatehouse.settings import SettingsInvalid, find_state_dir, read_settings, settings_from

STRONG = {
    "GATEHOUSE_SECRET_KEY": "Zx3vQ0f32randomCharactersABCdefgh9",
    "GATEHOUSE_KEY_PEPPER": "pq8R2m0nB5vC7xZ1aS3dF6gH9jK4lW0e",
    "GATEHOUSE_AUDIT_KEY": "Yd4Hs8Kq1Zn6Xv3Bc9Mw5Tr2Lp7Jg0FeR",
}

OTHER = "hM2xQ7vBn4Zt9Kc1Wy6Rj3Lp8Ds5Gf0A"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a state folder and none of our variables."""
    for name in [name for name in os.environ if name.upper().startswith("GATEHOUSE_")]:
        monkeypatch.delenv(name)
    (tmp_path / ".gatehouse").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, *lines: str) -> None:
    all_secrets = [f"{name}={value}" for name, value in STRONG.items()]
    (folder / ".gatehouse" / "settings.env").write_text("\n".join([*all_secrets, *lines]) + "\n", encoding="utf-8")


def test_the_file_of_the_state_folder_is_read_and_the_environment_wins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "# a comment", "GATEHOUSE_LISTEN_PORT=8111", 'GATEHOUSE_DOCS="off"', "GATEHOUSE_PUBLIC_URL=")
    monkeypatch.setenv("GATEHOUSE_LISTEN_PORT", "8222")
    settings = read_settings()
    assert (settings.listen_port, settings.docs, settings.base_url) == (8222, "off", "http://127.0.0.1:8222")
    assert settings.state_dir == folder / ".gatehouse"
    assert settings.database == f"sqlite:///{folder}/.gatehouse/gatehouse.db"


def test_the_state_folder_is_found_from_a_folder_below(folder: Path) -> None:
    (folder / "a" / "b").mkdir(parents=True)
    assert find_state_dir({}, folder / "a" / "b") == folder / ".gatehouse"
    assert find_state_dir({"GATEHOUSE_STATE_DIR": str(folder / "x")}, folder) == folder / "x"


def test_a_secret_is_taken_as_it_is_written(folder: Path) -> None:
    write(folder, "GATEHOUSE_SECRET_KEY=a${HOME}b0123456789ABCDEFGHIJKLMNOPQ")
    assert read_settings().secret_key.get_secret_value() == "a${HOME}b0123456789ABCDEFGHIJKLMNOPQ"
    assert "${HOME}" not in repr(read_settings())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("GATEHOUSE_DOKS=open", r"GATEHOUSE_DOKS is not a setting; did you mean GATEHOUSE_DOCS\?"),
        ("GATEHOUSE_COLOUR_OF_THE_DOOR=red", "is not a setting; remove it"),
        ("DATABASE_URL=sqlite:///x", "settings.env: 'DATABASE_URL' is not a line"),
        ("GATEHOUSE_DOCS", "settings.env: 'GATEHOUSE_DOCS' is not a line"),
        ("GATEHOUSE_LISTEN_PORT=eighty", "GATEHOUSE_LISTEN_PORT "),
        ("GATEHOUSE_LISTEN_PORT=0", "GATEHOUSE_LISTEN_PORT "),
        ("GATEHOUSE_DOCS=maybe", "GATEHOUSE_DOCS "),
        ("GATEHOUSE_STALE_IDENTITY_S=inf", "GATEHOUSE_STALE_IDENTITY_S "),
        ("GATEHOUSE_STALE_IDENTITY_S=0", "GATEHOUSE_STALE_IDENTITY_S must be greater than or equal to 1"),
        ("GATEHOUSE_BODY_DEADLINE_S=nan", "GATEHOUSE_BODY_DEADLINE_S "),
        ("GATEHOUSE_PUBLIC_URL=javascript:alert(1)", "GATEHOUSE_PUBLIC_URL must be http"),
        ("GATEHOUSE_PUBLIC_URL=https://a.example/?x=1", "GATEHOUSE_PUBLIC_URL must be http"),
        ("GATEHOUSE_KEY_PEPPER_VERSION=0", "GATEHOUSE_KEY_PEPPER_VERSION "),
        ("GATEHOUSE_OTHER_KEY_PEPPERS=" + OTHER, "GATEHOUSE_OTHER_KEY_PEPPERS must be VERSION:SECRET"),
        (f"GATEHOUSE_OTHER_KEY_PEPPERS=2:{OTHER},2:{OTHER}x", "GATEHOUSE_OTHER_KEY_PEPPERS must be VERSION:SECRET"),
        ("GATEHOUSE_MAX_BODY_BYTES_AT_ONCE=100000000", "must be at least twice GATEHOUSE_MAX_BODY_BYTES"),
        ("GATEHOUSE_OTHER_KEY_PEPPERS=2:short", "GATEHOUSE_OTHER_KEY_PEPPERS is too weak"),
        ("GATEHOUSE_OTHER_KEY_PEPPERS=2:change-me-to-32-or-more-random-characters-C", "GATEHOUSE_OTHER_KEY_PEPPERS is an example"),
        (f"GATEHOUSE_OTHER_KEY_PEPPERS=1:{OTHER}", "holds version 1, which is GATEHOUSE_KEY_PEPPER's: give the new pepper a higher"),
        (f"GATEHOUSE_OTHER_KEY_PEPPERS=2:{STRONG['GATEHOUSE_KEY_PEPPER']}", "holds a secret twice, or one that another setting has"),
        ("GATEHOUSE_AUDIT_KEY_VERSION=0", "GATEHOUSE_AUDIT_KEY_VERSION "),
        ("GATEHOUSE_AUDIT_KEY=short", "GATEHOUSE_AUDIT_KEY is too weak"),
        (f"GATEHOUSE_AUDIT_KEY={STRONG['GATEHOUSE_SECRET_KEY']}", "GATEHOUSE_SECRET_KEY and GATEHOUSE_AUDIT_KEY must differ"),
        ("GATEHOUSE_OTHER_AUDIT_KEYS=" + OTHER, "GATEHOUSE_OTHER_AUDIT_KEYS must be VERSION:SECRET"),
        (f"GATEHOUSE_OTHER_AUDIT_KEYS=1:{OTHER}", "holds version 1, which is GATEHOUSE_AUDIT_KEY's: give the new key a higher"),
        (f"GATEHOUSE_OTHER_AUDIT_KEYS=2:{OTHER},3:{OTHER}", "GATEHOUSE_OTHER_AUDIT_KEYS holds a secret twice"),
        (f"GATEHOUSE_OTHER_AUDIT_KEYS=2:{STRONG['GATEHOUSE_KEY_PEPPER']}", "GATEHOUSE_OTHER_AUDIT_KEYS holds a secret twice, or one that"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(folder: Path, line: str, said: str) -> None:
    write(folder, line)
    with pytest.raises(SettingsInvalid, match=said) as refused:
        read_settings()
    assert len(str(refused.value).splitlines()) == 1
    assert OTHER not in str(refused.value)


def test_peppers_are_known_by_their_version_the_current_one_first(folder: Path) -> None:
    write(folder, "GATEHOUSE_KEY_PEPPER_VERSION=2", f"GATEHOUSE_OTHER_KEY_PEPPERS=1:{OTHER}, 3:{OTHER[::-1]}")
    settings = read_settings()
    assert list(settings.key_peppers.items()) == [
        (2, STRONG["GATEHOUSE_KEY_PEPPER"].encode()),
        (1, OTHER.encode()),
        (3, OTHER[::-1].encode()),
    ]
    assert OTHER not in repr(settings)


def test_keys_of_the_audit_trail_are_known_by_their_version_the_current_one_first(folder: Path) -> None:
    write(folder, "GATEHOUSE_AUDIT_KEY_VERSION=2", f"GATEHOUSE_OTHER_AUDIT_KEYS=1:{OTHER}")
    settings = read_settings()
    assert list(settings.audit_keys.items()) == [(2, STRONG["GATEHOUSE_AUDIT_KEY"].encode()), (1, OTHER.encode())]
    assert STRONG["GATEHOUSE_AUDIT_KEY"] not in repr(settings)


def test_a_misspelt_variable_in_any_case_stops_the_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder)
    monkeypatch.setenv("gatehouse_doks", "open")
    with pytest.raises(SettingsInvalid, match="did you mean GATEHOUSE_DOCS"):
        read_settings()


CONTACTS = ["help@example.org", "first.last+gate@a-b.example", "https://example.org/help?team=1#now", "http://wiki/gatehouse"]


@pytest.mark.parametrize("value", CONTACTS)
def test_a_contact_is_an_address_or_a_page(value: str, tmp_path: Path) -> None:
    assert settings_from(STRONG | {"GATEHOUSE_CONTACT": value}, tmp_path).contact == value


@pytest.mark.parametrize(
    "value", ["the help desk", "@example.org", "help@", "a@b@c", "javascript:alert(1)", "https://", "https://a b", 'https://a"b']
)
def test_a_contact_that_leads_nowhere_stops_the_start(value: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="GATEHOUSE_CONTACT must be an e-mail address or a page, for example help@"):
        settings_from(STRONG | {"GATEHOUSE_CONTACT": value}, tmp_path)


@pytest.mark.parametrize(
    ("host", "base_url"),
    [
        ("::1", "http://[::1]:8000"),
        ("10.0.0.7", "http://10.0.0.7:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
    ],
)
def test_the_base_url_is_one_that_can_be_called_for_every_host(tmp_path: Path, host: str, base_url: str) -> None:
    settings = settings_from(STRONG | {"GATEHOUSE_LISTEN_HOST": host}, tmp_path)
    assert settings.base_url == base_url


@pytest.mark.parametrize("value", ["https://api.example.org", "api.example.org:443", "a, b c, d/e", "*.*.example", "-a", "a*", "[::1]"])
def test_row_80_allowed_hosts_are_names(value: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"^GATEHOUSE_ALLOWED_HOSTS must be host names without a scheme or port"):
        settings_from(STRONG | {"GATEHOUSE_ALLOWED_HOSTS": value}, tmp_path)


def test_what_calls_may_be_addressed_to(tmp_path: Path) -> None:
    given = {"GATEHOUSE_ALLOWED_HOSTS": "web1, *.internal b", "GATEHOUSE_PUBLIC_URL": "https://API.example.org:8443/ml"}
    assert settings_from(STRONG | given, tmp_path).host_names == ("api.example.org", "localhost", "web1", "*.internal", "b")
    assert settings_from(STRONG, tmp_path).host_names == ("127.0.0.1", "localhost")
