"""What the studies of one run share: folders, models, rows and deployments."""

import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import joblib
from comparison.deployment import Deployment
from comparison.environments import BASELINES, ROOT, packages
from comparison.turns import Places, Turns, places
from sklearn.datasets import load_breast_cancer

from gatehouse.serving.recipes import train_recipe

MODELS = ROOT / "models"


@dataclass(frozen=True)
class Workbench:
    """`full` is the whole of the work, of which the short run leaves out the most."""

    folder: Path
    turns: Turns
    full: bool = False
    with_wrk: bool = False

    @cached_property
    def on(self) -> Places:
        return places()

    @property
    def longer(self) -> Turns:
        """For what answers a few times a second."""
        return replace(self.turns, seconds=max(self.turns.seconds, 1.0))

    @cached_property
    def forest(self) -> Path:
        """The random forest of 100 trees that the demo's iris v1 is."""
        return self._trained("iris")

    @cached_property
    def boosting(self) -> Path:
        """The gradient boosting with 30 fields."""
        return self._trained("breast_cancer")

    def _trained(self, model: str) -> Path:
        file = self.folder / f"{model}.joblib"
        file.write_bytes(train_recipe(MODELS / model, "v1"))
        return file

    @cached_property
    def flask_packages(self) -> Path:
        """Raises NotInstalled."""
        return packages("flask", BASELINES / "requirements.txt")

    @cached_property
    def deployment(self) -> Deployment:
        """The demo on SQLite, which nobody serves from: studies serve copies."""
        return self.new_deployment("demo", {})

    def new_deployment(self, name: str, values: Mapping[str, str]) -> Deployment:
        folder = self.folder / name
        folder.mkdir()
        deployment = Deployment(folder, values)
        deployment.prepare()
        return deployment

    def copied(self, name: str) -> Deployment:
        """Another deployment with the same models and the same plan."""
        folder = self.folder / name
        folder.mkdir()
        shutil.copytree(self.deployment.folder / ".gatehouse", folder / ".gatehouse")
        return Deployment(folder, {})

    @cached_property
    def cells(self) -> "Cells":
        contract = tomllib.loads((MODELS / "breast_cancer" / "v1.toml").read_text(encoding="utf-8"))
        labels = [each["name"] for each in contract["output"]["labels"]]
        return Cells(list(contract["features"]), labels, joblib.load(self.boosting))


class Cells:
    """Rows of 30 fields, and what the model says of them."""

    def __init__(self, names: Sequence[str], labels: Sequence[str], estimator: Any) -> None:
        self.names = list(names)
        self.labels = list(labels)
        self._estimator = estimator
        self._known = load_breast_cancer().data.tolist()

    def rows(self, count: int) -> list[list[float]]:
        """The patients of the data set, again and again."""
        return [self._known[place % len(self._known)] for place in range(count)]

    def holds(self, rows: list[list[float]]) -> tuple[tuple[bytes, int], ...]:
        """How often an answer to them must name each label."""
        said = self._estimator.predict(rows).tolist()
        return tuple((b'"label":"%s"' % label.encode(), said.count(place)) for place, label in enumerate(self.labels))
