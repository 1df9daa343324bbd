"""`gatehouse models rows`: rows as they are served, beside scikit-learn's own answer."""

import hashlib
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from gatehouse.serving.kept_estimator import keep_estimator

SAMPLE = "height,width\n-1.5,0.5\n2,1\n-3,3.5\n0.25,-0.5\n4,-4\n1,1\n"
Gatehouse = Callable[..., Any]


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    file = tmp_path / "rows.csv"
    file.write_text(SAMPLE)
    return file


@pytest.fixture
def kept(published: Gatehouse, state_dir: Path, estimator: Path) -> Gatehouse:
    """Like `published`, on the machine that published."""
    keep_estimator(state_dir / "estimators", "pair", "1.0.0", estimator.read_bytes())
    return published


def own(estimator: Path) -> Any:
    """scikit-learn's probabilities of the first five rows, in the estimator's order of columns."""
    return joblib.load(estimator).predict_proba(np.array([[0.5, -1.5], [1, 2], [3.5, -3], [-0.5, 0.25], [-4, 4]]))


def test_five_rows_are_shown_beside_scikit_learns_answers(kept: Gatehouse, sample: Path, estimator: Path) -> None:
    shown = kept("models", "rows", "pair", "--sample", sample)
    assert "served by pair 1.0.0 (onnx)" in shown.lines[0]
    assert shown.lines[-1] == "5 rows: served as scikit-learn answers them"
    assert shown.out.count("probabilities") == 5
    assert "differs" not in shown.out
    assert f"high {own(estimator)[1][1]:.4f}" in shown.out


def test_programs_get_both_answers_as_json(kept: Gatehouse, sample: Path, estimator: Path) -> None:
    said = kept("models", "rows", "pair", "--sample", sample, "--json").json
    assert {name: said[name] for name in ("model", "version", "engine", "same")} == {
        "model": "pair",
        "version": "1.0.0",
        "engine": "onnx",
        "same": True,
    }
    expected = own(estimator)
    assert [row["row"] for row in said["rows"]] == [1, 2, 3, 4, 5]
    for row, probabilities in zip(said["rows"], expected, strict=True):
        assert row["sklearn"]["probabilities"] == pytest.approx({"low": probabilities[0], "high": probabilities[1]}, abs=1e-12)
        assert row["served"]["probabilities"] == {"low": round(probabilities[0], 4), "high": round(probabilities[1], 4)}
        assert row["served"]["label"] == row["sklearn"]["label"] == ("low", "high")[probabilities.argmax()]
        assert row["differs"] == []


def test_without_the_kept_file_the_published_one_is_asked_for_and_taken(
    published: Gatehouse, state_dir: Path, sample: Path, estimator: Path, tmp_path: Path
) -> None:
    shutil.rmtree(state_dir / "estimators", ignore_errors=True)
    refused = published("models", "rows", "pair", "--sample", sample, code=1).error
    assert "estimators/pair/1.0.0.joblib does not exist" in refused
    assert "by --estimator FILE" in refused
    assert published("models", "rows", "pair", "--sample", sample, "--estimator", estimator).lines[-1].startswith("5 rows: served as")
    assert "cannot be read" in published("models", "rows", "pair", "--sample", sample, "--estimator", tmp_path, code=1).error


class Sentinel:
    """Its pickle writes a file when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def test_row_83_a_file_that_is_not_the_published_one_is_never_loaded(
    kept: Gatehouse, state_dir: Path, sample: Path, tmp_path: Path
) -> None:
    other, loaded = tmp_path / "other.joblib", tmp_path / "was-loaded"
    joblib.dump(Sentinel(loaded), other)
    for arguments in ([], ["--estimator", other]):
        shutil.copyfile(other, state_dir / "estimators" / "pair" / "1.0.0.joblib")
        refused = kept("models", "rows", "pair", "--sample", sample, *arguments, code=1).error
        assert "is not the file that was published as pair 1.0.0" in refused
    assert not loaded.exists()
    joblib.load(other)
    assert loaded.exists(), "the sentinel does work"


def test_a_version_that_answers_otherwise_is_marked_and_ends_with_code_1(
    kept: Gatehouse, state_dir: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signed digest is made to name another estimator, as if a wrong conversion had been published."""
    rows = np.random.default_rng(7).uniform(-4, 4, (200, 2))
    other = tmp_path / "other.joblib"
    joblib.dump(LogisticRegression().fit(rows, (rows[:, 0] > rows[:, 1]).astype(int)), other)
    resign(state_dir, hashlib.sha256(other.read_bytes()).hexdigest())
    arguments = ("models", "rows", "pair", "--sample", sample, "--estimator", other)
    shown = kept(*arguments, code=1)
    assert "differs" in shown.out
    assert shown.lines[-1] == "5 of 5 rows are served otherwise than scikit-learn answers them: publish the model again"
    said = kept(*arguments, "--json", code=1).json
    assert said["same"] is False
    assert {"label", "confidence", "probabilities.low", "probabilities.high"} in [set(row["differs"]) for row in said["rows"]]


def resign(state_dir: Path, estimator_digest: str) -> None:
    import msgspec

    from gatehouse.serving.repository import Repository
    from gatehouse.serving.signing import Signer, TrustedKeys

    repository = Repository(state_dir / "models", TrustedKeys.load(state_dir / "trusted-keys"))
    verified = repository.read("pair", "1.0.0")
    folder = state_dir / "models" / "pair" / "1.0.0"
    folder.chmod(0o700)
    shutil.rmtree(folder)
    changed = msgspec.structs.replace(verified.manifest, estimator_digest=estimator_digest)
    repository.write(changed, verified.contract, verified.artifact, Signer.load(state_dir / "publishing-key.pem"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pear",), "no model with an endpoint 'pear'"),
        (("pair", "--version", "1.0.9"), "pair 1.0.9 is not in the repository"),
        (("pair", "--sample", "none.csv"), "none.csv cannot be read"),
    ],
    ids=["model", "version", "sample"],
)
def test_what_is_not_there_is_refused_in_one_line(kept: Gatehouse, sample: Path, arguments: tuple[str, ...], said: str) -> None:
    given = arguments if "--sample" in arguments else (*arguments, "--sample", sample)
    refused = kept("models", "rows", *given, code=1).error
    assert said in refused
    assert refused.count("\n") == 1


def test_a_row_that_no_caller_could_send_is_refused_with_its_place(kept: Gatehouse, sample: Path) -> None:
    sample.write_text("width,height\n1,2\n1,99\n")
    said = "line 3 (row 2), height: 99 is outside what the contract allows, -4 to 4: widen"
    assert said in kept("models", "rows", "pair", "--sample", sample, code=1).error


def test_the_kept_file_is_for_the_publisher_alone(kept: Gatehouse, state_dir: Path) -> None:
    folder = state_dir / "estimators" / "pair"
    assert stat.S_IMODE((folder / "1.0.0.joblib").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [file.name for file in folder.iterdir()] == ["1.0.0.joblib"]
