"""What changed in the answers of a contract."""

from collections.abc import Iterator, Sequence

from gatehouse.contracts.changes import Change
from gatehouse.contracts.feature_changes import unit_changes
from gatehouse.contracts.output import Label, Output
from gatehouse.contracts.toml_table import TomlTable


def output_changes(old: Output, new: Output, place: str) -> Iterator[Change]:
    """Of a task that changed nothing else is said: its results are others."""
    if old.task != new.task:
        yield Change(f"{place}.task", "task changed", f"was {old.task}, now {new.task}")
        return
    yield from _label_changes(old.labels, new.labels, f"{place}.labels")
    if new.task == "multioutput":
        yield from _target_changes(old, new, place)
        return
    yield from _named_changes(old.returns, new.returns, f"{place}.returns", "result")
    if old.decimals != new.decimals:
        kind = "more decimals" if new.decimals > old.decimals else "fewer decimals"
        yield Change(f"{place}.decimals", kind, f"was {old.decimals}, now {new.decimals}")
    if "probabilities" in old.returns and "probabilities" in new.returns:
        yield from _top_k_changes(old, new, place)
    yield from unit_changes(old.unit, new.unit, place)


def _label_changes(old: Sequence[Label], new: Sequence[Label], place: str) -> Iterator[Change]:
    """Names are what callers get. Classes are private, but one that kept its value and lost its name was renamed."""
    named = {label.cls: label.name for label in old}
    renamed = [label for label in new if named.get(label.cls, label.name) != label.name]
    for label in renamed:
        yield Change(place, "label renamed", f"was {named[label.cls]}, now {label.name}")
    if renamed:
        known = {label.cls for label in new}
        gone = [label.name for label in old if label.cls not in known]
        come = [label.name for label in new if label.cls not in named]
    else:
        was, now = {label.name for label in old}, {label.name for label in new}
        gone = [label.name for label in old if label.name not in now]
        come = [label.name for label in new if label.name not in was]
    yield from (Change(place, "label removed", name) for name in gone)
    yield from (Change(place, "label added", name) for name in come)
    if not renamed and not gone and not come and [label.name for label in old] != [label.name for label in new]:
        yield Change(place, "label order changed", f"now {', '.join(label.name for label in new)}")


def _named_changes(old: Sequence[str], new: Sequence[str], place: str, what: str) -> Iterator[Change]:
    yield from (Change(place, f"{what} removed", name) for name in old if name not in new)
    yield from (Change(place, f"{what} added", name) for name in new if name not in old)
    if [name for name in old if name in new] != [name for name in new if name in old]:
        yield Change(place, f"{what} order changed", f"now {', '.join(new)}")


def _top_k_changes(old: Output, new: Output, place: str) -> Iterator[Change]:
    was, now = old.top_k or len(old.labels), new.top_k or len(new.labels)
    if old.top_k != new.top_k:
        yield Change(f"{place}.top_k", "more labels in top k" if now > was else "fewer labels in top k", f"was {was}, now {now}")


def _target_changes(old: Output, new: Output, place: str) -> Iterator[Change]:
    """Only of targets that are answered: the others are the estimator's alone."""
    was, now = {target.name: target for target in old.targets}, {target.name: target for target in new.targets}
    kept = [name for name in old.returns if name in new.returns]
    for name in kept:
        yield from output_changes(was[name].output, now[name].output, TomlTable({}, f"{place}.targets", []).place_of(name))
    yield from _named_changes(old.returns, new.returns, f"{place}.returns", "target")
