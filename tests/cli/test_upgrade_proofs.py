"""What publishing and `contracts check` say of upgrade rules: every older row becomes a valid one, or which does not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from contract_text import head, pair_contract

from gatehouse.cli.contract_choice import named_contract
from gatehouse.cli.deployment import open_deployment, settings_or_refusal
from gatehouse.cli.publish_report import facts, report
from gatehouse.cli.publishing import PublishWish, publish_model
from gatehouse.cli.upgrade_proofs import note_outgrown, prove_published
from gatehouse.contracts.contract import Contract, parse_contract
from gatehouse.operating.published import repository_of

MODELS = Path(__file__).parents[2] / "models"
OUTPUT = '[output]\ntask = "classification"\nlabels = [{class = 0, name = "low"}, {class = 1, name = "high"}]\n'
Publish = Callable[..., Any]


def second(*rules: str, widest: float = 40) -> str:
    """`pair` v2, whose width is ten times that of v1."""
    section = f"[upgrade.from.v1]\nrules = [{', '.join(rules)}]\n" if rules else ""
    return head("pair", "v2", width_mm=(-40, widest, 5), height=(-4, 4, -1.5)) + OUTPUT + section


DEPTH = 'type = "number"\nexample = 1\nrequired = false\ndefault = 1\n'
SCALE = '{scale = "width", to = "width_mm", factor = 10}'
PARTIAL = SCALE.replace("}", ", partial = true}")


@pytest.fixture
def publish(published: Any, estimator: Path, tmp_path: Path) -> Publish:
    """Publishes `pair` with this contract, where 1.0.0 is published."""

    def run(text: str, *options: str, code: int = 0) -> Any:
        (tmp_path / "contract.toml").write_text(text)
        return published("models", "publish", estimator, "--contract", tmp_path / "contract.toml", *options, code=code)

    return run


def test_the_rules_of_a_recipe_are_proved_against_the_contract_beside_it(gatehouse: Any) -> None:
    answer = gatehouse("contracts", "check", MODELS / "iris" / "v2.toml")
    assert answer.lines[0] == f"{MODELS / 'iris' / 'v2.toml'} is a contract of iris/v2"
    assert answer.lines[1].startswith(f"every row of v1 ({MODELS / 'iris' / 'v1.toml'}) becomes a valid row")
    facts = gatehouse("contracts", "check", MODELS / "iris" / "v2.toml", "--json").json
    assert (facts["api_version"], facts["upgrades"][0]["from"], facts["upgrades"][0]["gaps"]) == ("v2", "v1", [])
    assert "no upgrade rules" in gatehouse("contracts", "check", MODELS / "iris" / "v1.toml").lines[1]


def test_rows_that_are_not_upgraded_are_named_with_field_and_values(gatehouse: Any, tmp_path: Path) -> None:
    (tmp_path / "v1.toml").write_text(pair_contract("pair"))
    (tmp_path / "v2.toml").write_text(second(SCALE, widest=30))
    refused = gatehouse("contracts", "check", tmp_path / "v2.toml", code=1).error
    assert "rules[0]: width above 3: becomes 'width_mm', which must be -40 to 30" in refused
    assert "or write partial = true in its rule" in refused
    (tmp_path / "v2.toml").write_text(second(PARTIAL, widest=30))
    assert "not every row of v1" in gatehouse("contracts", "check", tmp_path / "v2.toml").out
    (gap,) = gatehouse("contracts", "check", tmp_path / "v2.toml", "--json").json["upgrades"][0]["gaps"]
    assert (gap["sources"], gap["target"], gap["code"], gap["values"]) == (["width"], "width_mm", "upgrade_out_of_range", "above 3")
    assert gap["declared"] is True


def test_the_older_contract_is_named_or_the_published_one(published: Any, tmp_path: Path) -> None:
    (tmp_path / "new.toml").write_text(second(SCALE))
    assert "every row of v1 (pair 1.0.0)" in published("contracts", "check", tmp_path / "new.toml").out
    (tmp_path / "old.toml").write_text(pair_contract("pair"))
    assert f"every row of v1 ({tmp_path / 'old.toml'})" in published(*checked(tmp_path, "old.toml")).out
    assert "has no rules that lead up from" in published(*checked(tmp_path, "new.toml"), code=1).error


def checked(folder: Path, old: str) -> tuple[Any, ...]:
    return ("contracts", "check", folder / "new.toml", "--old", folder / old)


def test_an_older_contract_that_is_nowhere_is_asked_for(gatehouse: Any, tmp_path: Path) -> None:
    (tmp_path / "new.toml").write_text(second(SCALE))
    refused = gatehouse("contracts", "check", tmp_path / "new.toml", code=1).error
    assert f"pair v1 is neither published here nor in {tmp_path / 'v1.toml'}: name its contract with --old" in refused


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (second(SCALE, widest=30), "width above 3: becomes 'width_mm', which must be -40 to 30"),
        (second('{drop = "width"}'), "features.width_mm is required, and nothing fills it from v1"),
    ],
)
def test_publishing_refuses_rules_that_lose_rows_or_do_not_fit_and_writes_nothing(
    publish: Publish, published: Any, text: str, said: str
) -> None:
    assert said in publish(text, code=1).error
    assert published("models", "list", "--json").json[0]["versions"] == ["1.0.0"]


def test_publishing_proves_the_rules_and_an_older_contract_that_outgrows_them_later_is_noted(
    published: Any, estimator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "contract.toml").write_text(second(PARTIAL))
    with open_deployment() as deployment:
        wish = PublishWish(estimator.read_bytes(), named_contract(tmp_path / "contract.toml", None))
        done = publish_model(deployment, wish, lambda _: None)
        report(deployment, done)
    assert "upgrade from v1 every row of v1 (pair 1.0.0) becomes a valid row" in " ".join(capsys.readouterr().out.split())
    assert [(each["from"], each["old"], each["gaps"]) for each in facts(done)["upgrades"]] == [("v1", "pair 1.0.0", [])]

    notes: list[str] = []
    shelf = repository_of(settings_or_refusal())
    note_outgrown(shelf, parsed(pair_contract()), notes.append)
    assert notes == []
    note_outgrown(shelf, parsed(pair_contract() + "[features.depth]\n" + DEPTH), notes.append)
    assert notes[0].startswith("rows of this v1 are not all upgraded by pair 2.0.0; publish a patch of that with other rules: pair 2.0.0: ")
    assert "v1's field 'depth' goes nowhere" in notes[0]


def test_rules_from_a_version_that_is_not_published_here_are_not_proved_and_that_is_said(state_dir: Path) -> None:
    notes: list[str] = []
    assert prove_published(repository_of(settings_or_refusal()), parsed(second(SCALE)), "new.toml", notes.append) == ()
    assert notes == ["no v1 of pair is published here, so the rules of new.toml from v1 are not proved"]


def parsed(text: str) -> Contract:
    return parse_contract(text.encode(), "new.toml")
