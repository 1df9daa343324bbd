"""`gatehouse models` and `gatehouse endpoints`: what goes live by itself, and what never does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatehouse.serving.signing import create_publishing_key

Contract = Callable[..., Path]


def test_first_version_of_a_model_goes_live_and_later_ones_wait(published: Any, estimator: Path, contract: Contract) -> None:
    [endpoint] = published("endpoints", "list", "--json").json
    no_other = dict.fromkeys(("previous_version", "canary_version", "canary_percent"))
    no_end = {**dict.fromkeys(("deprecated_at", "sunset", "successor", "reason", "link", "retired_at")), "extensions": {}, "brownouts": []}
    no_other |= dict.fromkeys(("bridged_to", "shadow"))
    told = {"model": "pair", "api_version": "v1", "state": "active", "stable_version": "1.0.0", **no_other, **no_end}
    assert endpoint == told
    said = published("models", "publish", estimator, "--contract", contract("pair")).lines
    release = "gatehouse endpoints release pair v1 --version 1.0.1"
    assert said[-3:] == [
        "partners go on with 1.0.0; nothing changes for them until you let the new version serve:",
        f"next: {release}",
        f"or for a tenth of the keys first: {release} --canary 10",
    ]
    assert published("endpoints", "list", "--json").json == [endpoint]
    assert published(*release.split()[1:]).lines[0] == "pair/v1 is active and served by pair 1.0.1"
    assert published("endpoints", "release", "pair", "v1", "--version", "1.0.0", "--json").json == {**endpoint, "previous_version": "1.0.1"}
    [model] = published("models", "list", "--json").json
    assert (model["model"], model["versions"]) == ("pair", ["1.0.0", "1.0.1"])
    assert model["endpoints"] == [{"api_version": "v1", "state": "active", "stable_version": "1.0.0", "bridged_to": None}]
    assert "v1 active, serves 1.0.0" in published("models", "list").out
    assert "pair" in published("endpoints", "list").out


def test_a_new_major_is_a_preview_until_it_is_activated(published: Any, estimator: Path, contract: Contract) -> None:
    arguments = ("models", "publish", estimator, "--contract", contract("pair", "v2"), "--version", "2.3.0")
    answer = published(*arguments, "--json")
    assert {name: answer.json[name] for name in ("version", "api_version", "live", "state", "stable_version")} == {
        "version": "2.3.0",
        "api_version": "v2",
        "live": True,
        "state": "preview",
        "stable_version": "2.3.0",
    }
    published("tenants", "create", "acme", "--models", "pair")
    assert "/v1/models/pair/predict" in published("keys", "create", "--tenant", "acme").out
    assert published("endpoints", "activate", "pair", "v2").lines[0] == "pair/v2 is active and served by pair 2.3.0"
    assert published("endpoints", "activate", "pair", "v2", "--json").json["state"] == "active"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("endpoints", "release", "pair", "v1", "--version", "1.9.0"), "pair 1.9.0 is not in the repository (published: 1.0.0)"),
        (("endpoints", "release", "pair", "v2", "--version", "1.0.0"), "no endpoint 'pair/v2'; known endpoints: pair/v1"),
        (("endpoints", "release", "../pair", "v1", "--version", "1.0.0"), "no such version"),
        (("endpoints", "activate", "pear", "v1"), "no endpoint 'pear/v1'; known endpoints: pair/v1; did you mean pair/v1?"),
    ],
)
def test_what_is_not_there_is_not_released(published: Any, arguments: tuple[str, ...], said: str) -> None:
    answer = published(*arguments, code=1)
    assert said in answer.error
    assert (answer.out, answer.error.count("\n")) == ("", 1)


def test_row_83_a_version_with_a_changed_byte_is_not_released(published: Any, state_dir: Path) -> None:
    [artifact] = [*(state_dir / "models" / "pair" / "1.0.0").glob("model.*")]
    artifact.write_bytes(artifact.read_bytes() + b"\x00")
    answer = published("endpoints", "release", "pair", "v1", "--version", "1.0.0", code=1)
    assert "was changed after it was signed" in answer.error


def test_files_that_cannot_be_published_are_refused(published: Any, estimator: Path, contract: Contract, tmp_path: Path) -> None:
    good = contract("pair")
    bad = tmp_path / "bad.toml"
    bad.write_text('format = 1\nmodel = "pair"\n')
    for arguments, said in (
        ((tmp_path / "none.joblib", "--contract", good), "none.joblib cannot be read: No such file or directory"),
        ((estimator, "--contract", bad), "bad.toml: "),
        ((estimator, "--contract", good, "--version", "1.0.0"), "pair 1.0.0 is published already and is never changed: publish 1.0.1"),
        ((estimator, "--contract", good, "--version", "2.0.0"), "version 2.0.0 does not belong to v1, whose next free version is 1.0.1"),
        ((estimator, "--contract", good, "--version", "latest"), "a model version is MAJOR.MINOR.PATCH"),
        ((estimator, "--contract", good, "--publishing-key", tmp_path / "none.pem"), "--publishing-key names another"),
        ((good, "--contract", good), "joblib"),
    ):
        answer = published("models", "publish", *arguments, code=1)
        assert said in answer.error
        assert answer.out == ""
    assert published("models", "list", "--json").json[0]["versions"] == ["1.0.0"]


def test_nothing_is_published_by_a_key_that_is_not_trusted(published: Any, estimator: Path, contract: Contract, tmp_path: Path) -> None:
    create_publishing_key(tmp_path / "other.pem", tmp_path / "elsewhere")
    answer = published("models", "publish", estimator, "--contract", contract("pair"), "--publishing-key", tmp_path / "other.pem", code=1)
    assert "is not trusted here, so no server would load what it signs" in answer.error
    assert published("models", "list", "--json").json[0]["versions"] == ["1.0.0"]


def test_an_empty_deployment_says_where_to_begin(gatehouse: Any, state_dir: Path) -> None:
    first = "gatehouse models publish FILE --sample rows.csv"
    assert gatehouse("models", "list").lines == [f"no model is published yet in {state_dir}: {first}"]
    assert gatehouse("endpoints", "list").lines == [f"there are no endpoints yet: {first}"]
