"""What scikit-learn itself says of rows, under the names that partners get, and where served answers are others."""

from collections.abc import Iterator
from typing import Any

from gatehouse.serving.classes import by_target, columns_of
from gatehouse.serving.engine import Scores, Values
from gatehouse.serving.reference import ask_reference
from gatehouse.serving.shape import ClassValue, ContractShape, OutputShape

Answer = dict[str, Any]


def own_answers(estimator: Any, values: Values, contract: ContractShape) -> list[Answer]:
    """One mapping a row with all that the estimator tells, numbers unrounded. Raises PublishRefused where it has no answer."""
    reference, output = ask_reference(estimator, values, contract), contract.output
    targets = [(target.name, target.output) for target in output.targets] or [("", output)]
    classes = by_target(reference.engine.classes) or ((),) * len(targets)
    segments = columns_of(len(each) or 1 for each in classes)
    table = reference.scores.reshape(len(values), -1)
    answers: list[Answer] = [{} for _ in range(len(values))]
    for place, ((name, told), known, segment) in enumerate(zip(targets, classes, segments, strict=True)):
        labels = None if reference.labels is None else reference.labels[:, place]
        for row, answer in enumerate(answers):
            own = _told(table[row, segment], known, told, None if labels is None else int(labels[row]))
            answer.update({name: own} if name else own)
    return answers


def differences(served: Answer, own: Answer, output: OutputShape) -> list[str]:
    """Dotted names of what was answered otherwise: another label, or a number more than one unit of its last decimal away."""
    decimals = {target.name: target.output.decimals for target in output.targets}
    paired = [(*each, decimals.get(each[0].partition(".")[0], output.decimals)) for each in _paired(served, own, "")]
    return [name for name, ours, theirs, places in paired if not _same(ours, theirs, places)]


def _told(scores: Scores, classes: tuple[ClassValue, ...], output: OutputShape, label: int | None) -> Answer:
    if label is None or not classes:
        return {"value": float(scores[0])}
    names = {each.cls: each.name for each in output.labels}
    probabilities = {names[cls]: float(score) for cls, score in zip(classes, scores, strict=True)}
    return {"label": names[classes[label]], "confidence": float(scores[label]), "probabilities": probabilities}


def _paired(served: Answer, own: Answer, before: str) -> Iterator[tuple[str, Any, Any]]:
    """Everything that is served, beside scikit-learn's; served probabilities may be some of them only."""
    for name, ours in served.items():
        if isinstance(ours, dict):
            yield from _paired(ours, own[name], f"{before}{name}.")
        else:
            yield f"{before}{name}", ours, own[name]


def _same(ours: Any, theirs: Any, decimals: int) -> bool:
    if isinstance(ours, str) or isinstance(theirs, str):
        return bool(ours == theirs)
    unit = 10.0**-decimals
    # the slack is that of doubles: of 0.3 and 0.2 the difference is not quite 0.1
    return bool(abs(ours - round(theirs, decimals)) <= unit * (1 + 1e-6) + abs(theirs) * 1e-15)
