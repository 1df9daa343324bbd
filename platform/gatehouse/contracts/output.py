"""What an endpoint answers with: task, labels or targets, and which results to how many decimals."""

from dataclasses import dataclass
from typing import Any, Literal

from gatehouse.contracts.feature import NAME, colliding, plain
from gatehouse.contracts.names import suggestion
from gatehouse.contracts.toml_table import TomlTable

Task = Literal["classification", "regression", "multioutput"]
ClassValue = int | str | bool

RETURNS_OF_TASK: dict[str, tuple[str, ...]] = {"classification": ("label", "confidence", "probabilities"), "regression": ("value",)}
KEYS_OF_TASK: dict[str, tuple[str, ...]] = {
    "classification": ("returns", "decimals", "labels", "top_k"),
    "regression": ("returns", "decimals", "unit"),
    "multioutput": ("returns", "targets"),
}
RESULTS = tuple(name for names in RETURNS_OF_TASK.values() for name in names)
DEFAULT_DECIMALS = 4
MAX_DECIMALS = 10
MAX_LABELS = 1_000
MAX_LABEL_NAME = 128
MAX_TARGETS = 100
LABEL_LINE = 'labels = [{class = 0, name = "no"}, {class = 1, name = "yes"}]'
TARGET_LINE = '[output.targets.price] with task = "regression"'


@dataclass(frozen=True, slots=True)
class Label:
    """`cls` is the value that the estimator knows; `name` is what partners get."""

    cls: ClassValue
    name: str


@dataclass(frozen=True, slots=True)
class Output:
    """`top_k`: `probabilities` hold only so many of the most probable labels; None for all.

    A multioutput's `returns` are names of `targets`, and its `decimals` the most of any target.
    """

    task: Task
    labels: tuple[Label, ...]
    returns: tuple[str, ...]
    decimals: int
    unit: str | None
    top_k: int | None = None
    targets: tuple["Target", ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """One of several outputs, in the order of the estimator's own columns. `output` is never a multioutput."""

    name: str
    output: Output


def read_output(table: TomlTable, complaints: list[str]) -> Output | None:
    """The output that `[output]` describes, None after a complaint."""
    task = _task(table, (*RETURNS_OF_TASK, "multioutput"))
    if task == "multioutput":
        return _multioutput(table, complaints)
    return _single(table, task) if task else None


def _task(table: TomlTable, known: tuple[str, ...]) -> str | None:
    task = table.take("task", str, example='task = "classification"', required=True)
    if task is None:
        return None
    if task not in known:
        table.complain("task", f"is not a known task; {suggestion(task, known)}")
        return None
    table.refuse_unknown(("task", *KEYS_OF_TASK[task]))
    return task


def _single(table: TomlTable, task: str) -> Output:
    classifies = task == "classification"
    labels = _labels(table) if classifies else ()
    returns = _returns(table, RETURNS_OF_TASK[task])
    return Output(
        task=task,  # type: ignore[arg-type]  # one of RETURNS_OF_TASK, seen by the caller
        labels=labels,
        returns=returns,
        decimals=_decimals(table),
        unit=None if classifies else table.take("unit", str, example='unit = "mg/dl"'),
        top_k=_top_k(table, labels, returns) if classifies else None,
    )


def _multioutput(table: TomlTable, complaints: list[str]) -> Output | None:
    written = table.take("targets", dict, example=TARGET_LINE, required=True)
    if written is None:
        return None
    if not 2 <= len(written) <= MAX_TARGETS:
        table.complain("targets", f"must hold 2 to {MAX_TARGETS} tables, one for each output of the estimator, for example {TARGET_LINE}")
        return None
    taken: dict[str, str] = {}
    targets = [_target(name, values, table, taken, complaints) for name, values in written.items()]
    returns = _returns(table, tuple(written))
    found = tuple(target for target in targets if target is not None)
    decimals = max((target.output.decimals for target in found), default=DEFAULT_DECIMALS)
    return Output(task="multioutput", labels=(), returns=returns, decimals=decimals, unit=None, targets=found)


def _target(name: str, values: Any, parent: TomlTable, taken: dict[str, str], complaints: list[str]) -> Target | None:
    place = TomlTable({}, parent.place_of("targets"), complaints).place_of(name)
    table = TomlTable(values if type(values) is dict else {}, place, complaints)
    if type(values) is not dict:
        table.complain("", f"must be a table; write [{place}] and its lines below")
        return None
    if not NAME.fullmatch(name) or name in RESULTS:
        table.complain("", f"is no good name; use 1 to 63 letters, digits, _ . - % ( ) and inner blanks, and not {', '.join(RESULTS)}")
    other = taken.setdefault(colliding(name), name)
    if other != name:
        table.complain("", f"differs from the target {other} only by case or punctuation; rename one of them")
    task = _task(table, tuple(RETURNS_OF_TASK))
    return Target(name, _single(table, task)) if task else None


def _returns(table: TomlTable, possible: tuple[str, ...]) -> tuple[str, ...]:
    line = "returns = [" + ", ".join(f'"{name}"' for name in possible) + "]"
    written = table.take("returns", list, example=line)
    if written is None:
        return possible
    if not written or any(name not in possible for name in written) or len(set(written)) != len(written):
        table.complain("returns", f"must hold some of these, each once: {line}")
        return possible
    return tuple(written)


def _decimals(table: TomlTable) -> int:
    decimals = table.take("decimals", int, example=f"decimals = {DEFAULT_DECIMALS}")
    if decimals is None:
        return DEFAULT_DECIMALS
    if not 0 <= decimals <= MAX_DECIMALS:
        table.complain("decimals", f"must be 0 to {MAX_DECIMALS}")
    return decimals


def _top_k(table: TomlTable, labels: tuple[Label, ...], returns: tuple[str, ...]) -> int | None:
    top_k = table.take("top_k", int, example="top_k = 3")
    if top_k is None:
        return None
    if "probabilities" not in returns:
        table.complain("top_k", 'bounds the probabilities, which are not returned; add "probabilities" to returns, or remove it')
    elif labels and not 1 <= top_k < len(labels):
        table.complain("top_k", f"must be at least 1 and less than the number of labels, {len(labels)}; leave it out to answer all of them")
    return top_k


def _labels(table: TomlTable) -> tuple[Label, ...]:
    written = table.take("labels", list, example=LABEL_LINE, required=True)
    if written is None:
        return ()
    if not 1 <= len(written) <= MAX_LABELS:
        table.complain("labels", f"must hold 1 to {MAX_LABELS} labels; write for example: {LABEL_LINE}")
        return ()
    labels = tuple(label for index, entry in enumerate(written) if (label := _label(table, index, entry)) is not None)
    if len({label.name for label in labels}) != len(labels):
        table.complain("labels", "must have different names")
    if len({type(label.cls) for label in labels}) > 1:
        table.complain("labels", "must have classes of one type: all whole numbers, all texts or all true/false")
    elif len({label.cls for label in labels}) != len(labels):
        table.complain("labels", "must have different classes")
    return labels


def _label(table: TomlTable, index: int, entry: Any) -> Label | None:
    place = f"labels[{index}]"
    if type(entry) is not dict or set(entry) != {"class", "name"}:
        table.complain(place, 'must have exactly class and name; write for example: {class = 0, name = "no"}')
        return None
    cls, name = entry["class"], entry["name"]
    if type(cls) not in (int, str, bool) or (type(cls) is str and not plain(cls)):
        table.complain(place, "has a class that is not a whole number, a text or true/false; write the value that the estimator knows")
        return None
    if type(name) is not str or not 0 < len(name) <= MAX_LABEL_NAME or not plain(name):
        table.complain(place, f"needs a name of 1 to {MAX_LABEL_NAME} characters in one line")
        return None
    return Label(cls, name)
