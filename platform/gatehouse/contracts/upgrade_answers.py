"""Answers of the newer contract made into answers of the older one: what partners who stayed there were promised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, Protocol

from gatehouse.contracts.output import MAX_DECIMALS, Output
from gatehouse.contracts.upgrade_rules import AnswerRule
from gatehouse.errors import PredictionFailed

Answer = Mapping[str, Any]


class AnswerBack(Protocol):
    """One output of the older contract, made from one of the newer."""

    def told(self, answer: Answer, outputs: Sequence[str]) -> dict[str, Any]:
        """The older contract's `outputs` of one row. Raises PredictionFailed where a number is not finite."""

    def describe(self) -> dict[str, Any]:
        """The rule as plain data."""


@dataclass(frozen=True, slots=True)
class ValueBack:
    """Old value = new value × factor + offset, to the older contract's decimals."""

    old: Output
    new: Output
    rule: AnswerRule

    def told(self, answer: Answer, outputs: Sequence[str]) -> dict[str, Any]:
        return {"value": _rounded(float(answer["value"]) * self.rule.factor + self.rule.offset, self.old.decimals)}

    def describe(self) -> dict[str, Any]:
        return {
            "task": "regression",
            "factor": self.rule.factor,
            "offset": self.rule.offset,
            "unit": {"old": self.old.unit, "new": self.new.unit},
            "decimals": self.old.decimals,
            "note": self.rule.note,
        }


@dataclass(frozen=True, slots=True)
class LabelsBack:
    """`names` leads from every label of the newer contract to one of the older; probabilities of merged labels are summed.

    The label is the old name of the model's own. Where some are merged it is the most probable of the sums, the first in a tie.
    """

    old: Output
    names: Mapping[str, str]
    rule: AnswerRule

    def told(self, answer: Answer, outputs: Sequence[str]) -> dict[str, Any]:
        sums = self._sums(answer.get("probabilities", {}))
        made: dict[str, Any] = {}
        for name in outputs:
            if name == "label":
                made[name] = self._label(answer, sums)
            elif name == "confidence":
                made[name] = self._rounded(sums[self._label(answer, sums)] if sums else answer["confidence"])
            else:
                made[name] = {each: self._rounded(sums[each]) for each in self._kept(sums)}
        return made

    def _label(self, answer: Answer, sums: Mapping[str, float]) -> str:
        if "label" in answer and not (self.rule.merged and sums):
            return self.names[answer["label"]]
        return max(sums, key=lambda name: sums[name])

    def _sums(self, probabilities: Mapping[str, float]) -> dict[str, float]:
        """In the order of the older contract; empty where the newer one answers no probabilities."""
        sums = {label.name: 0.0 for label in self.old.labels} if probabilities else {}
        for name, probability in probabilities.items():
            sums[self.names[name]] += probability
        return sums

    def _kept(self, sums: Mapping[str, float]) -> list[str]:
        if self.old.top_k is None:
            return list(sums)
        kept = sorted(sums, key=lambda name: -sums[name])[: self.old.top_k]  # stable: in a tie the first wins
        return [name for name in sums if name in kept]

    def _rounded(self, probability: float) -> float:
        """A sum of rounded numbers may be a hair above 1."""
        return min(1.0, _rounded(probability, self.old.decimals))

    def describe(self) -> dict[str, Any]:
        return {
            "task": "classification",
            "labels": [{"new": new, "old": old} for new, old in self.names.items()],
            "merged": list(self.rule.merged),
            "never": list(self.rule.never),
            "decimals": self.old.decimals,
            "note": self.rule.note,
        }


class AnswersBack:
    """The whole answer. `output` is what the newer model is to be asked for: its contract's, unrounded and with all probabilities."""

    def __init__(self, new: Output, parts: Mapping[str | None, tuple[str | None, AnswerBack]]) -> None:
        """`parts`: by name of the older contract's target, or None for its only output, where it comes from and how."""
        self.output = _unrounded(new)
        self._parts = parts

    def told(self, answers: Sequence[Answer], outputs: Sequence[str]) -> list[dict[str, Any]]:
        """One mapping a row, its members the older contract's `outputs`. Raises PredictionFailed where a number is not finite."""
        return [self._told(answer, outputs) for answer in answers]

    def _told(self, answer: Answer, outputs: Sequence[str]) -> dict[str, Any]:
        if None in self._parts:
            source, back = self._parts[None]
            return back.told(answer if source is None else answer[source], outputs)
        made = {}
        for name in outputs:
            source, back = self._parts[name]
            made[name] = back.told(answer[source or name], self._returns(back))
        return made

    @staticmethod
    def _returns(back: Any) -> tuple[str, ...]:
        returns: tuple[str, ...] = back.old.returns
        return returns

    def describe(self) -> list[dict[str, Any]]:
        """Each output, old and new name (None for an only output) and its rule."""
        return [{"old": name, "new": source, **back.describe()} for name, (source, back) in self._parts.items()]


def _rounded(number: float, decimals: int) -> float:
    """Half to even on the scaled number, as served answers are."""
    if not isfinite(number):
        raise PredictionFailed(reason="upgrade_answer_not_finite")
    scale = 10.0**decimals
    return round(number * scale) / scale if abs(number) * scale < 2.0**52 else number


def _unrounded(output: Output) -> Output:
    targets = tuple(replace(target, output=_unrounded(target.output)) for target in output.targets)
    return replace(output, decimals=MAX_DECIMALS, top_k=None, targets=targets)
