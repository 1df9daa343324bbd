"""`gatehouse contracts`: a draft from an estimator, what changed between two contracts, and what one says."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from gatehouse.contracts.contract import Contract, parse_contract

Write = Callable[..., Path]
CSV = "plan,months\npro,1.25\nfree,3.5\n" + "pro,\nfree,7.75\n" * 5


@pytest.fixture
def churn(tmp_path: Path) -> Path:
    """Fitted on two columns without names; its classes are numbers."""
    rows = np.random.default_rng(7).random((40, 2))
    file = tmp_path / "Churn Model.joblib"
    joblib.dump(LogisticRegression().fit(rows, rows[:, 0] > 0.5), file)
    return file


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    file = tmp_path / "rows.csv"
    file.write_text(CSV)
    return file


def test_a_draft_from_a_sample_is_a_contract_and_tells_no_value_of_a_row(gatehouse: Any, churn: Path, sample: Path) -> None:
    text = gatehouse("contracts", "draft", churn, "--sample", sample, "--labels", "stays,leaves").out
    contract = parse_contract(text.encode(), "draft")
    assert (contract.model, contract.api_version) == ("churn_model", "v1")
    plan, months = contract.features
    assert (plan.name, plan.type, plan.allowed) == ("plan", "category", ("free", "pro"))
    assert (months.type, months.nullable, months.minimum, months.maximum) == ("number", True, None, None)
    assert not any(value in text for value in ("1.25", "3.5", "7.75"))
    assert [(label.cls, label.name) for label in contract.output.labels] == [(False, "stays"), (True, "leaves")]


def test_a_draft_is_written_once_and_says_what_comes_next(gatehouse: Any, churn: Path, tmp_path: Path) -> None:
    out = tmp_path / "v2.toml"
    options = ("--features", "plan, months", "--labels", "no,yes", "--model", "churn", "--api-version", "v2", "--out", out)
    said = gatehouse("contracts", "draft", churn, *options).lines[-1]
    assert said == f"{out} is drafted: read it, then gatehouse models publish '{churn}' --contract {out}"
    contract = parse_contract(out.read_bytes(), "v2.toml")
    assert (contract.model, contract.api_version, contract.names) == ("churn", "v2", ("plan", "months"))
    before = out.read_bytes()
    assert "exists already and is not overwritten" in gatehouse("contracts", "draft", churn, *options, code=1).error
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "fitted without names of columns: give them in its order with --sample rows.csv"),
        (("--features", "plan"), "fitted on 2 features, --features names 1: give exactly those"),
        (("--features", "plan,,months"), "--features takes different names with commas between them"),
        (("--features", "plan,months"), "the classes are False, True: say in this order what partners call them, with --labels no,yes"),
        (("--features", "a,b", "--labels", "no"), "--labels must give 2 names, not 1"),
        (("--features", "a,b", "--labels", "n,y", "--labels", "n,y"), "give --labels once for each, not 2 times"),
        (("--features", "a,b", "--labels", "n,y", "--targets", "x,y"), "the estimator answers 1 value a row, --targets names 2"),
        (("--features", "a,b", "--labels", "n,y", "--model", "Churn"), "no contract can be drafted: model must be a small letter"),
        (("--sample", "none.csv"), "none.csv cannot be read: No such file or directory"),
    ],
)
def test_a_draft_asks_for_what_only_the_author_knows(gatehouse: Any, churn: Path, options: tuple[str, ...], said: str) -> None:
    answer = gatehouse("contracts", "draft", churn, *options, code=1)
    assert said in answer.error
    assert (answer.out, answer.error.count("\n")) == ("", 1)


def test_names_that_an_estimator_knows_are_taken_and_hold_for_the_sample(gatehouse: Any, sample: Path, tmp_path: Path) -> None:
    estimator = LinearRegression().fit(np.random.default_rng(7).random((9, 2)), np.random.default_rng(8).random((9, 2)))
    estimator.feature_names_in_ = np.array(["months", "plan"], dtype=object)
    joblib.dump(estimator, tmp_path / "fees.joblib")
    arguments = ("contracts", "draft", tmp_path / "fees.joblib", "--targets", "setup,monthly")
    for more, type_ in (((), "number"), (("--sample", sample), "category")):
        contract = parse_contract(gatehouse(*arguments, *more).out.encode(), "draft")
        assert [(feature.name, feature.type) for feature in contract.features] == [("months", "number"), ("plan", type_)]
        assert [target.name for target in contract.output.targets] == ["setup", "monthly"]
    sample.write_text("months,plan,fee\n1,pro,9\n")
    assert "the model takes no 'fee'" in gatehouse(*arguments, "--sample", sample, code=1).error
    assert "name them in its order with --targets price,rent" in gatehouse(*arguments[:3], code=1).error


def test_a_file_that_is_no_estimator_is_refused(gatehouse: Any, sample: Path, tmp_path: Path) -> None:
    assert "not a pickle: save the fitted estimator with joblib.dump" in gatehouse("contracts", "draft", sample, code=1).error
    assert "cannot be read" in gatehouse("contracts", "draft", tmp_path / "none.joblib", code=1).error
    nameless = tmp_path / "123.joblib"
    nameless.write_bytes(b"")
    assert "give one with --model churn" in gatehouse("contracts", "draft", nameless, code=1).error


def test_diff_names_each_change_and_the_verdict(gatehouse: Any, contract: Write, tmp_path: Path) -> None:
    old = contract("pair")
    wider = tmp_path / "wider.toml"
    wider.write_text(old.read_text().replace("minimum = -4", "minimum = -5", 1))
    narrower = tmp_path / "narrower.toml"
    narrower.write_text(old.read_text().replace("minimum = -4", "minimum = -3", 1))
    assert gatehouse("contracts", "diff", old, old).lines == ["no change for callers: the next version can be a patch"]
    lines = gatehouse("contracts", "diff", old, wider, "--exit-code").lines
    assert lines[-2].split("  ")[0].strip() == "features.width"
    assert "was -4 to 4, now -5 to 4" in lines[-2]
    assert lines[-1] == "compatible: callers can go on unchanged; the next version is a minor"
    assert gatehouse("contracts", "diff", old, narrower).lines[-1].startswith("breaking: make a new major")
    assert gatehouse("contracts", "diff", old, narrower, "--exit-code", code=1).lines[-1].startswith("breaking: make a new major")
    major = tmp_path / "major.toml"
    major.write_text(narrower.read_text().replace('"v1"', '"v2"'))
    verdict = "breaking, as a new major may be: callers of v1 stay there until they move to v2"
    assert gatehouse("contracts", "diff", old, major).lines[-1] == verdict
    assert gatehouse("contracts", "diff", old, major, "--exit-code", code=1).lines[-1] == verdict
    assert gatehouse("contracts", "diff", major, old).lines[-1].startswith("breaking: make a new major")
    assert gatehouse("contracts", "diff", old, narrower, "--json").json == {
        "level": "major",
        "compatible": False,
        "changes": [
            {
                "place": "features.width",
                "kind": "range narrowed",
                "compatible": False,
                "detail": "was -4 to 4, now -3 to 4",
                "reason": "values that were inside are refused",
            }
        ],
    }


def test_a_published_version_is_compared_with_a_file(published: Any, contract: Write, tmp_path: Path) -> None:
    assert published("contracts", "diff", "pair@1.0.0", contract("pair"), "--json").json == {
        "level": "patch",
        "compatible": True,
        "changes": [],
    }
    assert published("contracts", "diff", "pair@1.0.0", contract("pair", "v2"), "--json").json["level"] == "major"
    for source, said in (("pair@1.9.0", "is not in the repository"), ("pair", "pair cannot be read"), ("../x@1.0.0", "no such version")):
        assert said in published("contracts", "diff", source, contract("pair"), code=1).error


def test_show_is_what_partners_see(published: Any, tmp_path: Path) -> None:
    lines = published("contracts", "show", "pair@1.0.0").lines
    assert lines[-2:] == ["answers classification: label, confidence, probabilities", "labels: low, high"]
    assert any(line.split() == ["width", "number", "-4", "to", "4", "refused", "0.5"] for line in lines)
    shown = published("contracts", "show", "pair@1.0.0", "--json").json
    assert (shown["model"], shown["api_version"], shown["output"]["labels"]) == ("pair", "v1", ["low", "high"])


def test_a_number_without_bounds_is_shown_as_a_number(gatehouse: Any, contract: Write) -> None:
    file = contract("pair")
    bounds = re.compile(r"^(exclusive_)?(min|max)imum = .*\n", re.MULTILINE)
    file.write_text(bounds.sub("", file.read_text(), count=2))
    [width] = [line.split() for line in gatehouse("contracts", "show", file).lines if line.split()[0] == "width"]
    assert width == ["width", "number", "number", "refused", "0.5"]


def test_a_published_contract_is_read_without_its_artifact(published: Any, contract: Write, state_dir: Path) -> None:
    (artifact,) = (state_dir / "models" / "pair" / "1.0.0").glob("model.*")
    artifact.unlink()
    assert published("contracts", "show", "pair@1.0.0").lines[-1] == "labels: low, high"
    assert published("contracts", "diff", "pair@1.0.0", contract("pair"), "--json").json["level"] == "patch"


def test_every_recipe_of_the_repository_can_be_shown(gatehouse: Any) -> None:
    for file in (Path(__file__).parents[2] / "models").glob("*/v*.toml"):
        contract: Contract = parse_contract(file.read_bytes(), file.name)
        assert all(name in gatehouse("contracts", "show", file).out for name in contract.names)
