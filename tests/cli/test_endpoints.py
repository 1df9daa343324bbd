"""`gatehouse endpoints`: release, canary, promote, rollback, and what callers must not lose."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Contract = Callable[..., Path]


@pytest.fixture(scope="module")
def _three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("three") / "models"


@pytest.fixture
def three(published: Any, estimator: Path, contract: Contract, state_dir: Path, _three: Path) -> Any:
    """`pair` 1.0.0 and 1.0.1 under one contract, 1.1.0 under one that takes more; published once, since that takes seconds."""
    if _three.exists():
        shutil.copytree(_three, state_dir / "models", dirs_exist_ok=True)
        return published
    published("models", "publish", estimator, "--contract", contract("pair"))
    grown = contract("pair")
    grown.write_text(grown.read_text().replace("maximum = 4", "maximum = 8"))
    published("models", "publish", estimator, "--contract", grown, "--version", "1.1.0")
    shutil.copytree(state_dir / "models", _three)
    return published


def shown(gatehouse: Any) -> tuple[str, str | None, str | None, int | None]:
    said = gatehouse("endpoints", "show", "pair", "v1", "--json").json
    return said["stable_version"], said["previous_version"], said["canary_version"], said["canary_percent"]


def test_a_canary_is_promoted_or_ended_and_each_message_says_what_comes_next(three: Any) -> None:
    said = three("endpoints", "release", "pair", "v1", "--version", "1.0.1", "--canary", "10").lines
    assert said[0] == "pair/v1 is active and served by pair 1.0.0, 10 % of the keys by 1.0.1"
    assert said[1] == "to let 1.0.1 serve everybody: gatehouse endpoints promote pair v1"
    assert said[2] == "to end the canary: gatehouse endpoints rollback pair v1"
    assert shown(three) == ("1.0.0", None, "1.0.1", 10)
    assert "1.0.1 (10 %)" in three("endpoints", "list").out
    three("endpoints", "rollback", "pair", "v1")
    assert shown(three) == ("1.0.0", None, None, None)
    three("endpoints", "release", "pair", "v1", "--version", "1.0.1", "--canary", "10")
    said = three("endpoints", "promote", "pair", "v1").lines
    assert said[:2] == ["pair/v1 is active and served by pair 1.0.1", "to go back to 1.0.0: gatehouse endpoints rollback pair v1"]
    assert three("endpoints", "rollback", "pair", "v1").lines[0] == "pair/v1 is active and served by pair 1.0.0"
    assert shown(three) == ("1.0.0", None, None, None)
    assert "remembers no version before 1.0.0" in three("endpoints", "rollback", "pair", "v1", code=1).error
    assert "has no canary to promote" in three("endpoints", "promote", "pair", "v1", code=1).error


def test_below_a_contract_revision_in_use_nothing_is_rolled_back_without_force(three: Any) -> None:
    three("endpoints", "release", "pair", "v1", "--version", "1.1.0")
    refused = three("endpoints", "rollback", "pair", "v1", code=1).error
    assert "callers of pair/v1 would lose what the contract of 1.1.0 gives them now:" in refused
    for field in ("width", "height"):
        assert f"features.{field}: range narrowed" in refused or f"features.{field}.maximum: range narrowed" in refused
    assert "--force" in refused
    assert three("endpoints", "release", "pair", "v1", "--version", "1.0.1", code=1).error == refused
    assert shown(three) == ("1.1.0", "1.0.0", None, None)
    three("endpoints", "rollback", "pair", "v1", "--force")
    assert shown(three) == ("1.0.0", None, None, None)


def test_a_canary_takes_what_callers_send_now(three: Any) -> None:
    three("endpoints", "release", "pair", "v1", "--version", "1.1.0", "--canary", "5")
    three("endpoints", "promote", "pair", "v1")
    refused = three("endpoints", "release", "pair", "v1", "--version", "1.0.1", "--canary", "5", code=1).error
    assert "1.0.1 cannot be a canary of pair/v1, whose callers go by the contract of 1.1.0:" in refused
    assert "range narrowed" in refused


def test_a_canary_that_answers_more_exactly_is_refused(published: Any, estimator: Path, contract: Contract) -> None:
    finer = contract("pair")
    finer.write_text(finer.read_text() + "decimals = 6\n")
    published("models", "publish", estimator, "--contract", finer, "--version", "1.1.0")
    refused = published("endpoints", "release", "pair", "v1", "--version", "1.1.0", "--canary", "5", code=1).error
    assert "output.decimals: more decimals: was 4, now 6\nRelease it without --canary" in refused
    published("endpoints", "release", "pair", "v1", "--version", "1.1.0")


def test_away_from_a_version_that_cannot_be_read_one_goes_by_force(three: Any, state_dir: Path) -> None:
    three("endpoints", "release", "pair", "v1", "--version", "1.0.1")
    (state_dir / "models" / "pair" / "1.0.1" / "manifest.sig").unlink()
    assert "it is not known what callers would lose by 1.0.0: --force" in three("endpoints", "rollback", "pair", "v1", code=1).error
    three("endpoints", "rollback", "pair", "v1", "--force")
    assert shown(three) == ("1.0.0", None, None, None)


def test_a_version_that_was_copied_here_gets_its_endpoint_by_its_release(published: Any, state_dir: Path) -> None:
    (state_dir / "gatehouse.db").unlink()
    assert published("models", "list", "--json").json[0]["endpoints"] == []
    said = published("endpoints", "release", "pair", "v1", "--version", "1.0.0").lines
    assert "pair/v1 is active and served by pair 1.0.0" in said[0]
    assert published("tenants", "create", "globex", "--models", "pair", "--json").json["name"] == "globex"
    refused = published("endpoints", "release", "pair", "v2", "--version", "1.0.0", code=1).error
    assert "no endpoint" in refused
