"""Holds the rules for answers against both contracts: whatever the older one promises can be made, and nothing is lost in silence."""

from collections.abc import Mapping, Sequence

from gatehouse.contracts.names import suggestion
from gatehouse.contracts.output import Output
from gatehouse.contracts.upgrade_answers import AnswerBack, AnswersBack, LabelsBack, ValueBack
from gatehouse.contracts.upgrade_rules import AnswerRule

ONE_WAY = "or write one_way = true: then rows are upgraded and no answer goes back"
NO_RULE = AnswerRule("upgrade")


def bind_answers(old: Output, new: Output, rules: Sequence[AnswerRule], complaints: list[str]) -> AnswersBack:
    """How answers go back; of no use after a complaint."""
    if old.task != "multioutput":
        rule = rules[0] if rules else NO_RULE
        if rule.target is not None:
            complaints.append(f"{rule.place} names a target, but the older contract answers one output; write its lines under .answer")
            return AnswersBack(new, {})
        part = _part(rule.source, old, new, rule, complaints)
        return AnswersBack(new, {} if part is None else {None: (rule.source, part)})
    of_target = {rule.target: rule for rule in rules if rule.target is not None}
    known = ", ".join(old.returns)
    complaints += [
        f"{rule.place} is for no target that the older contract answers; known are {known}" for rule in rules if _stray(rule, old)
    ]
    parts: dict[str | None, tuple[str | None, AnswerBack]] = {}
    for target in old.targets:
        if target.name in old.returns:
            rule = of_target.get(target.name, AnswerRule(f"upgrade: answer {target.name}"))
            source = rule.source or target.name
            found = _part(source, target.output, new, rule, complaints)
            if found is not None:
                parts[target.name] = (source, found)
    return AnswersBack(new, parts)


def _stray(rule: AnswerRule, old: Output) -> bool:
    """Whether it says something, but of no target; the rule that is read from nothing says nothing."""
    return rule.target not in old.returns and rule != AnswerRule(rule.place)


def _part(source: str | None, old: Output, new: Output, rule: AnswerRule, complaints: list[str]) -> AnswerBack | None:
    found = _source(source, new, rule, complaints)
    if found is None:
        return None
    if found.task != old.task:
        complaints.append(f"{rule.place} cannot make a {old.task} of a {found.task}; name another target with from, {ONE_WAY}")
        return None
    if old.task == "regression":
        return _value(old, found, rule, complaints)
    return _labels(old, found, rule, complaints)


def _source(source: str | None, new: Output, rule: AnswerRule, complaints: list[str]) -> Output | None:
    if new.task != "multioutput":
        if source is None:
            return new
        complaints.append(f"{rule.place} takes the target {source}, but this contract answers one output; remove from, {ONE_WAY}")
        return None
    targets = {target.name: target.output for target in new.targets if target.name in new.returns}
    if source in targets:
        return targets[source]
    missing = "needs from, the target that it comes from" if source is None else f"comes from {source}, which is no target that is answered"
    complaints.append(f"{rule.place} {missing}; {suggestion(source or '', targets)}; {ONE_WAY}")
    return None


def _value(old: Output, new: Output, rule: AnswerRule, complaints: list[str]) -> AnswerBack:
    if rule.labels or rule.merged or rule.never:
        complaints.append(f"{rule.place} maps labels, but the answer is a value; write factor and offset, or remove them")
    if old.unit != new.unit and old.unit is not None and not rule.scaled:
        complaints.append(f"{rule.place} gives a value in {new.unit or 'no unit'} back as {old.unit}; write for example: factor = 0.1")
    return ValueBack(old, new, rule)


def _labels(old: Output, new: Output, rule: AnswerRule, complaints: list[str]) -> AnswerBack:
    if rule.scaled:
        complaints.append(f"{rule.place} has factor or offset, but the answer is a label; write labels, or remove them")
    known = [label.name for label in old.labels]
    said = dict(rule.labels)
    names: dict[str, str] = {}
    for label in new.labels:
        name = said.get(label.name, label.name)
        if name not in known:
            complaints.append(
                f'{rule.place} loses "{label.name}": "{name}" is no label of the older contract;'
                f' write labels = {{"{label.name}" = …}} with one of {", ".join(known)}'
            )
        names[label.name] = name
    unknown = [name for name in said if name not in names]
    if unknown:
        complaints.append(f'{rule.place}.labels has "{unknown[0]}", which is no label of this contract; {suggestion(unknown[0], names)}')
    _check_counts(known, names, rule, complaints)
    _check_results(old, new, rule, complaints)
    return LabelsBack(old, names, rule)


def _check_counts(known: Sequence[str], names: Mapping[str, str], rule: AnswerRule, complaints: list[str]) -> None:
    """Which old labels come from several new ones, or from none, must be said."""
    made = list(names.values())
    for key, said, right in (
        ("merged", rule.merged, [name for name in known if made.count(name) > 1]),
        ("never", rule.never, [name for name in known if name not in made]),
    ):
        what = "the sum of several labels" if key == "merged" else "what no label leads to any more"
        unsaid = [name for name in right if name not in said]
        complaints += [f'{rule.place} makes "{name}" {what}; if that is meant, write {key} = ["{name}"]' for name in unsaid]
        wrong = [name for name in said if name not in right]
        complaints += [f'{rule.place}.{key} has "{name}", which is not {what}; remove it there' for name in wrong]


def _check_results(old: Output, new: Output, rule: AnswerRule, complaints: list[str]) -> None:
    """Decimals and top_k lose nothing, since the newer model's own numbers go back; a result that it does not answer would."""
    for name in old.returns:
        enough = {"probabilities"} if rule.merged and name == "confidence" else {name, "probabilities"}
        if enough.isdisjoint(new.returns):
            complaints.append(
                f"{rule.place} cannot make {name}: output.returns of this contract lacks {' and '.join(sorted(enough))}; {ONE_WAY}"
            )
