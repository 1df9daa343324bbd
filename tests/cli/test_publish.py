"""`gatehouse models publish` with as few words as possible, in a folder where there is nothing yet."""

import json
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer
from sqlmodel import select
from typer.testing import CliRunner

from gatehouse.cli import app
from gatehouse.db.session import open_database
from gatehouse.db.tables import AuditTable


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without settings, far from the repository, with a model and a sample of its rows."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("GATEHOUSE_")]:
        monkeypatch.delenv(name)
    rows = np.random.default_rng(3).uniform(0, 10, (120, 3))
    labels = np.where(rows.sum(axis=1) > 15, "leaves", "stays")
    joblib.dump(LogisticRegression(max_iter=500).fit(rows, labels), tmp_path / "churn.joblib")
    lines = (",".join(f"{cell:.2f}" for cell in row) for row in rows[:20])
    (tmp_path / "rows.csv").write_text("\n".join(["age,spend,visits", *lines]) + "\n")
    return tmp_path


def run(*arguments: object, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [*map(str, arguments)], prog_name="gatehouse")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def test_three_bare_commands_lead_from_a_file_to_a_key(outside: Path) -> None:
    said = run("models", "publish", "churn.joblib", "--sample", "rows.csv")
    made = f"made a new deployment in {outside / '.gatehouse'}, for development and with new secrets; GATEHOUSE_STATE_DIR names another"
    assert said.stderr.splitlines()[-1] == made
    drafted = (outside / "models" / "churn" / "v1.toml").read_text()
    assert drafted.splitlines()[-3] in said.stderr  # shown, before it was used
    assert said.stderr.index("is drafted") < said.stderr.index("scoring")
    assert re.search(r"publishing key [0-9a-f]{16}, made now and trusted here, as this is a development deployment", said.stdout)
    assert "churn/v1, active, serves 1.0.0" in said.stdout
    lines = said.stdout.splitlines()
    assert lines[-2].startswith("partners get it at http://127.0.0.1:8000/v1/models/churn/predict")
    assert lines[-2].endswith("nobody may call it yet")
    assert lines[-1] == "next: gatehouse tenants create acme --models churn"
    assert "next: gatehouse keys create --tenant acme" in run(*lines[-1].split()[2:]).stdout
    assert "/v1/models/churn/predict" in run("keys", "create", "--tenant", "acme").stdout
    assert (outside / ".gatehouse" / "settings.env").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("folder", [None, "kept", "state"])
def test_a_refused_publish_makes_no_deployment(outside: Path, monkeypatch: pytest.MonkeyPatch, folder: str | None) -> None:
    if folder == "kept":  # somebody's own
        (outside / ".gatehouse").mkdir()
        (outside / ".gatehouse" / "mine").touch()
    if folder == "state":
        monkeypatch.setenv("GATEHOUSE_STATE_DIR", str(outside / "state"))
    there = {path.name for path in outside.iterdir()}
    (outside / "broken.joblib").write_bytes(b"no pickle")
    for arguments in (("none.joblib",), ("broken.joblib", "--sample", "rows.csv"), ("churn.joblib", "--version", "latest")):
        assert "made a new deployment" not in run("models", "publish", *arguments, code=1).stderr
    assert {path.name for path in outside.iterdir()} == there | {"broken.joblib"}
    assert folder != "kept" or (outside / ".gatehouse" / "mine").exists()


def test_a_second_publish_makes_no_second_deployment(outside: Path) -> None:
    run("models", "publish", "churn.joblib", "--sample", "rows.csv")
    assert "deployment in" not in run("models", "publish", "churn.joblib", "--sample", "rows.csv").stderr


def test_nothing_of_the_sample_reaches_contract_manifest_or_any_file(outside: Path) -> None:
    rows = (outside / "rows.csv").read_text().splitlines()[1:]
    run("models", "publish", "churn.joblib", "--sample", "rows.csv")
    files = [file for file in outside.rglob("*") if file.is_file() and file.suffix in (".toml", ".json", ".sig", ".env", ".db")]
    assert {"v1.toml", "manifest.json", "contract.toml"} <= {file.name for file in files}
    for file in files:
        held = file.read_bytes().decode("latin-1")
        assert not [cell for row in rows for cell in row.split(",") if re.search(rf"(?<![0-9.]){re.escape(cell)}(?![0-9])", held)], file


def test_a_long_reason_is_folded_between_words(outside: Path) -> None:
    rows = np.random.default_rng(3).uniform(0, 10, (120, 3))
    splines = make_pipeline(SplineTransformer(3), LogisticRegression(max_iter=500)).fit(rows, np.where(rows[:, 0] > 5, "leaves", "stays"))
    joblib.dump(splines, outside / "churn.joblib")
    summary = run("models", "publish", "churn.joblib", "--sample", "rows.csv").stdout.partition("partners")[0]
    assert max(map(len, summary.splitlines())) <= 120
    words = " ".join(summary.split())
    assert "engine sklearn: skl2onnx cannot convert it (MissingShapeCalculator: Unable to find a shape calculator" in words
    assert "SplineTransformer'>') signed by" in words


def test_a_later_version_says_who_goes_on_with_what(outside: Path) -> None:
    run("models", "publish", "churn.joblib", "--sample", "rows.csv")
    again = run("models", "publish", "churn.joblib")
    assert "is drafted" not in again.stderr
    assert "partners go on with 1.0.0" in again.stdout
    assert run("models", "publish", "churn.joblib", "--model", "churn", "--json").stdout.count('"version": "1.0.2"') == 1


def test_where_the_environment_holds_settings_none_are_made(outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE_LISTEN_PORT", "8123")
    assert "GATEHOUSE_SECRET_KEY" in run("models", "publish", "churn.joblib", code=1).stderr
    assert not (outside / ".gatehouse" / "settings.env").exists()


def test_in_production_no_publishing_key_is_made(outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GATEHOUSE_SECRET_KEY", "GATEHOUSE_KEY_PEPPER", "GATEHOUSE_AUDIT_KEY"):
        monkeypatch.setenv(name, secrets.token_urlsafe(32))
    refused = run("models", "publish", "churn.joblib", "--sample", "rows.csv", code=1)
    assert "there is no publishing key here: gatehouse publishing-keys create" in refused.stderr
    assert [*(outside / ".gatehouse").rglob("*.pem")] == []
    assert run("models", "list", "--json").stdout == "[]\n"
    run("publishing-keys", "create")
    assert "churn/v1, active" in run("models", "publish", "churn.joblib").stdout


def test_the_key_that_a_first_publish_makes_is_audited(outside: Path) -> None:
    run("models", "publish", "churn.joblib", "--sample", "rows.csv")
    database = open_database(f"sqlite:///{outside / '.gatehouse' / 'gatehouse.db'}")
    with database.read() as session:
        assert {"publishing_key.create", "endpoint.create"} <= set(session.exec(select(AuditTable.action)))
    database.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "fitted without names of columns: give them in its order with --sample rows.csv"),
        (("--features", "age,spend"), "fitted on 3 features, --features names 2"),
        (("--sample", "rows.csv", "--model", "../churn"), "--model gives another name"),
        (("--sample", "rows.csv", "--version", "x.0.0"), "a model version is MAJOR.MINOR.PATCH"),
        (("--sample", "none.csv"), "none.csv cannot be read: No such file or directory"),
        (("--sample", "churn.joblib"), "churn.joblib"),
    ],
)
def test_what_only_the_publisher_knows_is_asked_for(outside: Path, arguments: tuple[str, ...], said: str) -> None:
    refused = run("models", "publish", "churn.joblib", *arguments, code=1)
    assert said in refused.stderr.splitlines()[-1]
    assert refused.stdout == ""


def test_a_class_without_a_name_is_refused_and_named(outside: Path) -> None:
    rows = np.arange(20.0).reshape(-1, 1)
    joblib.dump(LogisticRegression().fit(rows, (rows[:, 0] > 9).astype(int)), outside / "flag.joblib")
    refused = run("models", "publish", "flag.joblib", "--features", "size", code=1)
    assert "with --labels no,yes" in refused.stderr
    assert not (outside / "models" / "flag").exists()
    assert "flag/v1, active" in run("models", "publish", "flag.joblib", "--features", "size", "--labels", "small,large").stdout


def test_a_sample_that_the_contract_refuses_is_named_by_its_row(outside: Path) -> None:
    run("models", "publish", "churn.joblib", "--sample", "rows.csv")
    (outside / "odd.csv").write_text("age,spend,visits\n1,2,3\n1,x,3\n")
    assert "odd.csv, line 3 (row 2), spend: must be" in run("models", "publish", "churn.joblib", "--sample", "odd.csv", code=1).stderr
    contract = outside / "models" / "churn" / "v1.toml"
    contract.write_text(contract.read_text().replace("[features.spend]\n", "[features.spend]\nminimum = -15\nmaximum = 15\n"))
    (outside / "odd.csv").write_text("age,spend,visits\n1,4,3\n1,99.5,3\n")
    refused = run("models", "publish", "churn.joblib", "--sample", "odd.csv", code=1).stderr
    place, allowed = "odd.csv, line 3 (row 2), spend", "outside what models/churn/v1.toml allows, -15 to 15"
    assert refused.splitlines()[-1] == f"gatehouse: {place}: 99.5 is {allowed}: widen it there, or leave the row out"


def test_columns_may_have_other_names_in_the_contract_than_in_the_sample(outside: Path) -> None:
    fitted = LinearRegression().fit(np.arange(40.0).reshape(-1, 2), np.arange(20.0))
    fitted.feature_names_in_ = np.array(["Sepal Length (cm)", "größe"], dtype=object)
    joblib.dump(fitted, outside / "flower.joblib")
    (outside / "flowers.csv").write_text("größe,Sepal Length (cm)\n2,1\n4,3\n")
    run("models", "publish", "flower.joblib", "--sample", "flowers.csv")
    assert run("models", "publish", "flower.joblib", "--sample", "flowers.csv", "--json").stdout.count("1.0.1") == 1


def test_options_of_a_draft_do_not_contradict_a_contract_that_is_there(outside: Path) -> None:
    publish = ("models", "publish", "churn.joblib", "--features", "age,money/spent,visits", "--labels", "goes,stays")
    run(*publish)
    assert "1.0.1" in run(*publish).stdout  # the same words again: the next version
    for option, names, held in (("--features", "age,spend,visits", "age, money_spent, visits"), ("--labels", "stays,goes", "goes, stays")):
        refused = run("models", "publish", "churn.joblib", option, names, code=1)
        told = f"models/churn/v1.toml is there already and names {held}, not {names.replace(',', ', ')}"
        assert refused.stderr == f"gatehouse: {told}: correct the contract, or leave {option} out\n"
    contract = outside / "models" / "churn" / "v1.toml"
    refused = run("models", "publish", "churn.joblib", "--contract", contract, "--targets", "price", code=1)
    assert "names none, not price" in refused.stderr
    contract.write_text(contract.read_text().replace("[features.money_spent]", "[features.spend]").replace('"age"', '"years"'))
    refused = run("models", "publish", "churn.joblib", "--sample", "rows.csv", "--features", "age,spend,visits", code=1)
    assert "field renamed?" in refused.stderr  # the options agree with the sample and the contract: it goes on to the next check


def test_names_of_targets_and_of_their_classes_are_held_against_the_contract(outside: Path) -> None:
    rows = np.random.default_rng(9).uniform(0, 9, (60, 2))
    answers = np.column_stack([rows[:, 0] > 4, rows[:, 1] > 4]).astype(int)
    joblib.dump(MultiOutputClassifier(LogisticRegression()).fit(rows, answers), outside / "both.joblib")
    publish = ("models", "publish", "both.joblib", "--features", "a,b")
    told = ("--targets", "left,right", "--labels", "no,yes", "--labels", "small,large")
    run(*publish, *told)
    assert "1.0.1" in run(*publish, *told).stdout
    refused = run(*publish, *told[:2], "--labels", "no,yes", "--labels", "large,small", code=1)
    assert "names no, yes, small, large, not no, yes, large, small" in refused.stderr
    assert "names left, right, not right, left" in run(*publish, "--targets", "right,left", code=1).stderr


def test_a_version_that_is_none_is_said_before_anything_is_drafted(outside: Path) -> None:
    for version in ("01.0.0", "1.0", "2", "v1.0.0"):
        refused = run("models", "publish", "churn.joblib", "--sample", "rows.csv", "--version", version, code=1)
        assert "a model version is MAJOR.MINOR.PATCH" in refused.stderr
    assert not (outside / "models").exists()


def test_a_draft_that_cannot_be_written_whole_is_not_left(outside: Path) -> None:
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from gatehouse.cli.contract_choice import _write_new\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "_write_new(Path('models/churn/v1.toml'), 'x' * 500, 'v1.toml')\n"
    )
    failed = subprocess.run([sys.executable, "-c", script], cwd=outside, capture_output=True, text=True, check=False)
    assert "v1.toml cannot be written: File too large; --contract names a contract elsewhere" in failed.stderr
    assert not (outside / "models" / "churn" / "v1.toml").exists()


def test_labels_are_for_classes_only(outside: Path) -> None:
    joblib.dump(LinearRegression().fit(np.arange(40.0).reshape(-1, 2), np.arange(20.0)), outside / "line.joblib")
    refused = run("models", "publish", "line.joblib", "--features", "a,b", "--labels", "no,yes", code=1)
    assert "the estimator answers values, not classes: leave --labels out" in refused.stderr


def test_training_rows_that_an_estimator_keeps_are_accepted_by_word_and_audited(outside: Path) -> None:
    rows = np.random.default_rng(5).uniform(0, 9, (40, 2))
    joblib.dump(KNeighborsRegressor().fit(rows, rows.sum(axis=1)), outside / "near.joblib")
    refused = run("models", "publish", "near.joblib", "--features", "a,b", code=1)
    assert "add --accept-embedded-data if whoever gets the model file may see these rows, or" in refused.stderr
    assert refused.stderr.endswith("; the draft models/near/v1.toml stays: correct it there\n")
    assert (outside / "models" / "near" / "v1.toml").is_file()
    assert "the draft" not in run("models", "publish", "near.joblib", code=1).stderr  # it is the author's by now
    said = run("models", "publish", "near.joblib", "--features", "a,b", "--accept-embedded-data")
    assert "accepted and audited" in said.stdout
    database = open_database(f"sqlite:///{outside / '.gatehouse' / 'gatehouse.db'}")
    with database.read() as session:
        [detail] = session.exec(select(AuditTable.detail).where(AuditTable.action == "model.publish"))
    database.close()
    assert next(kept["rows"] for kept in json.loads(detail)["after"]["accepted_embedded_data"]) == 40


def test_code_of_a_notebook_comes_from_a_file(outside: Path) -> None:
    script = (
        "import joblib, numpy as np\n"
        "from sklearn.linear_model import LinearRegression\n"
        "from sklearn.pipeline import make_pipeline\n"
        "from sklearn.preprocessing import FunctionTransformer\n"
        "def doubled(rows):\n    return 2 * rows\n"
        "x = np.arange(20.0).reshape(-1, 1)\n"
        "joblib.dump(make_pipeline(FunctionTransformer(doubled), LinearRegression()).fit(x, x[:, 0]), 'twice.joblib')\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=outside, check=True)
    refused = run("models", "publish", "twice.joblib", "--features", "x", code=1)
    assert "doubled" in refused.stderr
    assert "--code features.py" in refused.stderr
    (outside / "features.py").write_text("def doubled(rows):\n    return 2 * rows\n")
    refused = run("models", "publish", "twice.joblib", "--features", "x", "--code", "features.py", code=1)
    assert "--allow-code" in refused.stderr
    said = run("models", "publish", "twice.joblib", "--features", "x", "--code", "features.py", "--allow-code")
    assert "twice/v1, active" in said.stdout
