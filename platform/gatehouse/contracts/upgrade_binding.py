"""Holds upgrade rules against both contracts: each new field is filled, each old one goes somewhere or is dropped on purpose."""

from collections.abc import Iterator, Sequence

from gatehouse.contracts.feature import EXACT_INTEGER_MAX, Feature
from gatehouse.contracts.names import suggestion
from gatehouse.contracts.reach import listed, may_be_null
from gatehouse.contracts.upgrade_fillings import Constant, Filling, Moved
from gatehouse.contracts.upgrade_listings import MAX_COMBINATIONS, Joined, Mapped, Part, combinations, key_of
from gatehouse.contracts.upgrade_rules import EXAMPLES, Rule
from gatehouse.contracts.upgrade_scales import Scaled, ScaledIntegers

SHOWN = 10
FITS = {
    ("number", "number"),
    ("integer", "number"),
    ("integer", "integer"),
    ("boolean", "boolean"),
    ("category", "category"),
    ("category", "text"),
    ("text", "text"),
}
"""Old and new type of a field whose values stay as they are."""
FILLINGS: dict[str, type[Filling]] = {"keep": Moved, "rename": Moved, "scale": Scaled, "map": Mapped, "split": Part, "join": Joined}


class Binding:
    """Two contracts' features and the rules between them; `complaints` gets whatever is wrong. `old` is the older API version."""

    def __init__(self, old: str, was: Sequence[Feature], now: Sequence[Feature], complaints: list[str]) -> None:
        self._old = old
        self._was = {feature.name: feature for feature in was}
        self._now = {feature.name: feature for feature in now}
        self._places = {feature.name: place for place, feature in enumerate(was)}
        self._complaints = complaints
        self._used: dict[str, str] = {}
        self._dropped: dict[str, str] = {}

    def fillings(self, rules: Sequence[Rule]) -> tuple[Filling, ...]:
        """One for each field of the newer contract, in its order; fewer after a complaint."""
        filled: dict[str, Filling] = {}
        for rule in rules:
            if self._note_sources(rule):
                filled |= {filling.target.name: filling for filling in self._of_rule(rule)}
        targets = {name for rule in rules for name in rule.targets}
        for name, feature in self._now.items():
            if name not in targets:
                filled |= {filling.target.name: filling for filling in self._unruled(feature)}
        for name in self._was:
            if name not in self._used and name not in self._dropped:
                self._complaints.append(
                    f"{self._old}'s field '{name}' goes nowhere: write {{rename = \"{name}\", to = …}},"
                    f' or {{drop = "{name}"}} if this version does not need it'
                )
        return tuple(filled[name] for name in self._now if name in filled)

    def _note_sources(self, rule: Rule) -> bool:
        """Whether all of them are fields of the older contract; notes where they went."""
        known = True
        for name in rule.sources:
            if name not in self._was:
                self._complain(rule, f"takes {name}, which is no field of {self._old}; {suggestion(name, self._was)}")
                known = False
                continue
            noted, other = (self._dropped, self._used) if rule.operation == "drop" else (self._used, self._dropped)
            if name in other or (rule.operation == "drop" and name in noted):
                self._complain(
                    rule, f"takes {name}, which {other.get(name) or noted[name]} takes as well: a field is used, or dropped once"
                )
            noted.setdefault(name, rule.place)
        return known

    def _of_rule(self, rule: Rule) -> Iterator[Filling]:
        targets = [self._now[name] for name in rule.targets]
        if rule.operation == "constant":
            yield from (Constant(target, rule.constant, rule) for target in targets)
            return
        sources = [self._was[name] for name in rule.sources]
        wrong = next((wrong for target in targets for wrong in self._wrong(rule, sources, target)), None)
        if wrong is not None:
            self._complain(rule, wrong)
            return
        places = [self._places[name] for name in rule.sources]
        kind = FILLINGS.get(rule.operation)
        for target in targets:
            whole = rule.operation == "scale" and target.type == "integer"
            yield (ScaledIntegers if whole else kind)(target, sources, places, rule)  # type: ignore[misc]  # only drop has no kind, and no target

    def _unruled(self, target: Feature) -> Iterator[Filling]:
        """What fills a field of which no rule says anything: the old field of its name, or its own default."""
        same = self._was.get(target.name)
        if same is not None and target.name not in self._used and target.name not in self._dropped:
            self._used[target.name] = "its namesake"
            wrong = _unfit(same, target) or _other_unit(same, target)
            if wrong:
                self._complaints.append(f"features.{target.name} {wrong}")
            else:
                yield Moved(target, (same,), (self._places[target.name],))
        elif target.required:
            self._complaints.append(
                f"features.{target.name} is required, and nothing fills it from {self._old}:"
                f' write {{constant = …, to = "{target.name}"}}, or a rule that takes a field of {self._old}'
            )
        else:
            yield Constant(target, target.default)

    def _wrong(self, rule: Rule, sources: Sequence[Feature], target: Feature) -> Iterator[str]:
        """Why the operation cannot lead from these fields to that one."""
        if rule.if_null is not None and not any(map(may_be_null, sources)):
            yield f"has if_null, which is never used, because {' and '.join(rule.sources)} of {self._old} is never null; remove it"
        check = {"scale": _wrong_scale, "map": _wrong_map, "split": _wrong_split, "join": _wrong_join}.get(rule.operation, _wrong_move)
        yield from check(rule, sources, target)

    def _complain(self, rule: Rule, what: str) -> None:
        self._complaints.append(f"{rule.place} {what}")


def _unfit(old: Feature, new: Feature) -> str:
    if (old.type, new.type) in FITS:
        return ""
    remedy = f"make it {_a(old.type)}" if listed(old) is None else f"write for example: {EXAMPLES['map']}"
    return f"is of type {new.type}, but comes from {old.name} of type {old.type}; {remedy}, or drop {old.name}"


def _other_unit(old: Feature, new: Feature) -> str:
    """A unit may be said where none was; anything else is another meaning of the same number."""
    if old.unit in (None, new.unit):
        return ""
    return f"is in {new.unit or 'no unit'}, but comes from {old.name} in {old.unit}; write for example: {EXAMPLES['scale']}"


def _wrong_move(_: Rule, sources: Sequence[Feature], target: Feature) -> Iterator[str]:
    wrong = _unfit(sources[0], target) or _other_unit(sources[0], target)
    if wrong:
        yield f"fills {target.name}, which {wrong}"


def _wrong_scale(rule: Rule, sources: Sequence[Feature], target: Feature) -> Iterator[str]:
    old = sources[0].type
    if (old, target.type) not in {("number", "number"), ("integer", "number"), ("integer", "integer")}:
        yield f"makes {_a(target.type)} of {_a(old)}; scale leads from number to number, from integer to number or integer"
    elif target.type == "integer" and not all(_whole(number) for number in (rule.factor, rule.offset)):
        yield f"fills the integer {target.name}, so factor and offset must be whole numbers; or make {target.name} a number"


def _whole(number: float | int) -> bool:
    return float(number).is_integer() and abs(number) <= EXACT_INTEGER_MAX


def _wrong_map(rule: Rule, sources: Sequence[Feature], target: Feature) -> Iterator[str]:
    known = listed(sources[0])
    if known is None:
        yield f"maps {sources[0].name}, whose values cannot be listed; map leads from a category, a boolean or an integer of a short range"
        return
    keys = [key_of(cell) for cell in known]
    said = dict(rule.values)
    unknown = [key for key in said if key not in keys]
    if unknown:
        yield f"maps {_shown(unknown)}, which {sources[0].name} never is; known are {_shown(keys)}"
    lacking = [key for key in keys if key not in said]
    if lacking and not rule.partial:
        yield f"maps {sources[0].name}, but not {_shown(lacking)}; add it to values, or write partial = true to refuse rows that hold it"


def _wrong_split(_: Rule, sources: Sequence[Feature], target: Feature) -> Iterator[str]:
    if sources[0].type not in ("text", "category"):
        yield f"splits {sources[0].name}, which is {_a(sources[0].type)}; only a text or a category has parts"
    if target.type == "boolean":
        yield f"fills {target.name}, which is a boolean; a part becomes a text, a category, a number or an integer"


def _wrong_join(_: Rule, sources: Sequence[Feature], target: Feature) -> Iterator[str]:
    for source in sources:
        if source.type not in ("text", "category", "integer"):
            yield f"joins {source.name}, which is {_a(source.type)}; texts, categories and integers can be joined"
    if target.type not in ("text", "category"):
        yield f"fills {target.name}, which is {_a(target.type)}; what is joined is a text or a category"
    elif target.type == "category" and not _can_be_listed(sources):
        yield f"fills the category {target.name} from more than {MAX_COMBINATIONS} combinations; make {target.name} a text"


def _can_be_listed(sources: Sequence[Feature]) -> bool:
    number = combinations(sources)
    return number is not None and number <= MAX_COMBINATIONS


def _a(type_: str) -> str:
    return f"an {type_}" if type_ == "integer" else f"a {type_}"


def _shown(names: Sequence[str]) -> str:
    listed_names = ", ".join(f'"{name}"' for name in names[:SHOWN])
    return listed_names + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
