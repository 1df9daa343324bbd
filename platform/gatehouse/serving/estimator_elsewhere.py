"""An estimator that is loaded in another Python: it is asked there, and answers here."""

import json
import subprocess
from math import nan
from typing import Any

import msgspec
import numpy as np
from sklearn.exceptions import NotFittedError

from gatehouse.serving.embedded_data import Finding
from gatehouse.serving.facts import EstimatorFacts
from gatehouse.serving.fit import PublishRefused
from gatehouse.serving.plain_arrays import from_plain, to_plain
from gatehouse.serving.runtime import Runtime
from gatehouse.serving.scratch import scratch_folder

TIMEOUT_S = 300.0
_MODULE = "gatehouse.serving.estimator_child"
_RAISED = (ValueError, TypeError, KeyError, IndexError, AttributeError, NotFittedError)
_MAX_ANSWER_BYTES = 1024**3


class EstimatorElsewhere:
    """As much of an estimator as publishing asks for; every question loads the file once in a child."""

    def __init__(self, artifact: bytes, runtime: Runtime, *, timeout_s: float = TIMEOUT_S) -> None:
        """Raises PublishRefused where the file cannot be loaded there."""
        self._artifact = artifact
        self._runtime = runtime
        self._timeout_s = timeout_s
        told = self._ask({"ask": "facts"})
        self.facts = msgspec.convert(told["facts"], EstimatorFacts)
        self.libraries: dict[str, str] = told["libraries"]
        self.n_features_in_ = self.facts.features
        self.missing_text = nan if self.facts.nan_texts else None
        if self.facts.names is not None:
            self.feature_names_in_ = np.array(self.facts.names, dtype=object)
        if self.facts.classes:
            several = [np.array(classes) for classes in self.facts.classes]
            self.classes_ = several if self.facts.outputs > 1 else several[0]
        if self.facts.takes_text:
            self.build_analyzer = None  # by which a text vectorizer is known
        if self.facts.has_probabilities:
            self.predict_proba = self._predict_proba

    def embedded_data(self, training_rows: int | None) -> tuple[Finding, ...]:
        """What it keeps of its training rows."""
        return tuple(Finding(**each) for each in self._ask({"ask": "embedded_data", "training_rows": training_rows})["found"])

    def predict(self, values: Any) -> Any:
        return self._answer("predict", values)

    def _predict_proba(self, values: Any) -> Any:
        return self._answer("predict_proba", values)

    def _answer(self, method: str, values: Any) -> Any:
        return from_plain(self._ask({"ask": method, "values": to_plain(values)})["answer"])

    def _ask(self, question: dict[str, Any]) -> Any:
        """One question to a fresh child. Raises PublishRefused, or what the estimator raised, by the name of its class."""
        with scratch_folder("gatehouse-estimator-") as folder:
            model, asked, answered = folder / "model.joblib", folder / "question.json", folder / "answer.json"
            model.write_bytes(self._artifact)
            asked.write_text(json.dumps(question))
            try:
                ended = self._runtime.run(_MODULE, [str(model), str(asked), str(answered)], folder, self._timeout_s)
            except subprocess.TimeoutExpired:
                raise PublishRefused(
                    f"the estimator did not answer within {self._timeout_s:g} s: publish a smaller model, or train it again here"
                ) from None
            if ended.returncode or not answered.is_file() or answered.stat().st_size > _MAX_ANSWER_BYTES:
                raise PublishRefused(f"the estimator's process ended with status {ended.returncode}: train and save the model again here")
            answer = json.loads(answered.read_text())
        if "refused" in answer:
            raise PublishRefused(answer["refused"])
        if "raised" in answer:
            raise _exception(answer["raised"])
        return answer


def _exception(name: str) -> Exception:
    known: dict[str, type[Exception]] = {each.__name__: each for each in _RAISED}
    return known.get(name, RuntimeError)()
