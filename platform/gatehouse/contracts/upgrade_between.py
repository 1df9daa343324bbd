"""From one version of a model to any later one: by the rules of the newer contract, or within a major by the names of the fields."""

from dataclasses import replace

from gatehouse.contracts.contract import Contract, ContractInvalid
from gatehouse.contracts.output import Output
from gatehouse.contracts.upgrade import Upgrade, bind_upgrade, rules_from
from gatehouse.contracts.upgrade_answer_binding import bind_answers
from gatehouse.contracts.upgrade_binding import Binding
from gatehouse.contracts.upgrade_rules import UpgradeRules

MOST_TELLING = ("label", "confidence")


def bind_between(old: Contract, new: Contract, origin: str) -> Upgrade:
    """What makes rows of `old` rows of `new`, and answers of `new` answers of `old`. Raises ContractInvalid with all complaints.

    Rules that are one-way bind; then `answers` is None.
    """
    if old.api_version != new.api_version:
        return bind_upgrade(old, new, origin)
    complaints: list[str] = []
    fillings = Binding(old.api_version, old.features, new.features, complaints).fillings(())
    answers = bind_answers(old.output, new.output, (), complaints)
    if complaints:
        raise ContractInvalid(origin, complaints)
    rules = UpgradeRules(old.api_version, "features", (), (), one_way=False)
    return Upgrade(old, new, rules, fillings, answers)


def bind_for_comparison(old: Contract, new: Contract, origin: str) -> Upgrade:
    """The same where all that matters of an answer is its label and confidence, or its value, whatever callers get of these."""
    rules = rules_from(new, old.api_version)
    merged = rules is not None and any(rule.merged for rule in rules.answers)
    asked = (*MOST_TELLING, "probabilities") if merged else MOST_TELLING
    return bind_between(replace(old, output=telling(old.output)), replace(new, output=telling(new.output, asked)), origin)


def telling(output: Output, returns: tuple[str, ...] = MOST_TELLING) -> Output:
    """An output that answers these of a classification, of each of its targets if it has several."""
    if output.task == "classification":
        return replace(output, returns=returns, top_k=None)
    targets = tuple(replace(target, output=telling(target.output, returns)) for target in output.targets)
    return replace(output, targets=targets)
