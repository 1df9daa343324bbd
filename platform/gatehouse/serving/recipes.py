"""Recipes: a folder with a `train.py` that trains a model from public data."""

import importlib.util
import io
from pathlib import Path
from types import ModuleType

import joblib

PACKAGED = "_recipes"


class RecipeInvalid(Exception):
    """The folder is no recipe; the message names the remedy."""


def recipes_folder() -> Path:
    """Where the recipes lie: inside an installed package, else `models/` of the repository."""
    package = Path(__file__).resolve().parents[1]
    inside = package / PACKAGED
    return inside if inside.is_dir() else package.parents[1] / "models"


def train_recipe(folder: Path, api_version: str) -> bytes:
    """The fitted estimator of `folder/train.py` as a joblib file. Runs that file. Raises RecipeInvalid."""
    module = _load(folder / "train.py")
    try:
        estimator = module.train(api_version)
    except (AttributeError, KeyError) as error:
        raise RecipeInvalid(f"{folder / 'train.py'} has no train() for {api_version} ({error}): see models/iris/train.py") from None
    target = io.BytesIO()
    joblib.dump(estimator, target, compress=3)
    return target.getvalue()


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"gatehouse_recipe_{path.parent.name}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise RecipeInvalid(f"{path} is missing: a recipe is a folder with a train.py, see models/iris")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
