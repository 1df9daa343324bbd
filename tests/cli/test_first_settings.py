"""A development deployment of an older version gets the secrets that came since; one of production never does."""

from pathlib import Path

import pytest

from gatehouse.cli.dev import write_settings
from gatehouse.settings import settings_from

OLD = (
    "# made long ago\nGATEHOUSE_ENVIRONMENT=development\nGATEHOUSE_SECRET_KEY=Zx3vQ0f32randomCharactersABCdefgh9\n"
    "GATEHOUSE_KEY_PEPPER=pq8R2m0nB5vC7xZ1aS3dF6gH9jK4lW0e\n"
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("GATEHOUSE_AUDIT_KEY", raising=False)
    (tmp_path / "settings.env").write_text(OLD)
    return tmp_path / "settings.env"


def values(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if not line.startswith("#"))


def test_an_older_deployment_of_dev_gets_an_audit_key_and_keeps_the_rest(file: Path) -> None:
    said = write_settings(file, None)

    assert said == f"{file} is there; GATEHOUSE_AUDIT_KEY made"
    assert file.read_text().startswith(OLD)
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(settings_from(values(file), file.parent).audit_keys[1]) >= 32
    assert write_settings(file, None) == f"{file} is there"


def test_an_empty_line_of_it_is_filled(file: Path) -> None:
    file.write_text(OLD + "GATEHOUSE_AUDIT_KEY=\n")
    write_settings(file, 8123)
    assert len(values(file)["GATEHOUSE_AUDIT_KEY"]) >= 32
    assert values(file)["GATEHOUSE_LISTEN_PORT"] == "8123"


def test_a_production_deployment_keeps_its_file(file: Path) -> None:
    file.write_text(OLD.replace("development", "production"))
    assert write_settings(file, None) == f"{file} is there"
    assert "AUDIT_KEY" not in file.read_text()


def test_a_key_in_the_environment_is_not_made_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE_AUDIT_KEY", "Tn6bVx2cMz9qWe4rYu7iOp1aSd5fGh8J")
    assert write_settings(file, None) == f"{file} is there"
    assert file.read_text() == OLD
