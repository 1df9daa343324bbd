"""One row of three kinds of model, against the tutorial service with the same estimator."""

import tempfile
from dataclasses import replace
from pathlib import Path

import joblib
from comparison.contenders import gatehouse, tutorial
from comparison.figures import all_figures
from comparison.finding import Finding
from comparison.many_rows import exchanges, gatehouse_many, tutorial_many
from comparison.table import comparison_rows
from comparison.turns import in_turns, served
from comparison.workbench import MODELS, Workbench
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

CONNECTIONS = 64
LOGISTIC = "iris_logistic"


def study(bench: Workbench) -> list[Finding]:
    """The forest is the subject of one_row."""
    deployment = bench.copied("models")
    logistic = bench.folder / f"{LOGISTIC}.joblib"
    joblib.dump(LogisticRegression(max_iter=1000).fit(*load_iris(return_X_y=True)), logistic)
    with tempfile.TemporaryDirectory() as folder:
        contract = Path(folder) / "v1.toml"
        contract.write_text((MODELS / "iris" / "v1.toml").read_text(encoding="utf-8").replace('"iris"', f'"{LOGISTIC}"'), encoding="utf-8")
        deployment.run("models", "publish", str(logistic), "--model", LOGISTIC, "--contract", str(contract))
    key = deployment.tenant("bench", LOGISTIC, "breast_cancer")
    pairs = {
        "logistic regression": (tutorial(bench.folder, logistic), gatehouse(deployment, key, model=LOGISTIC)),
        "gradient boosting with 30 fields": (
            replace(tutorial_many(bench), exchanges=exchanges(bench, 1, "records")),
            replace(gatehouse_many(deployment), exchanges=exchanges(bench, 1, "records", key)),
        ),
    }
    findings = []
    for name, pair in pairs.items():
        with served(pair, bench.on) as running:
            samples = in_turns(running, bench.on, bench.turns, CONNECTIONS)
        figures = all_figures(samples)
        said = {each: of.as_json() for each, of in figures.items()}
        title = f"One row of a {name}, {CONNECTIONS} connections"
        findings.append(
            Finding(title, comparison_rows(figures, samples, "Gatehouse"), {"servers": said}, notes=(deployment.check_events(),))
        )
    deployment.close()
    return findings
