"""Pairs of contracts with rules between them, drawn by hypothesis: each old field has one operation, each new one is filled."""

from dataclasses import dataclass, field

from hypothesis import strategies as st
from upgrade_text import contract, rules_text

from gatehouse.contracts.upgrade import Upgrade, bind_upgrade

WORDS = st.lists(st.sampled_from(["red", "green", "blue/dark", "blue/light", "x", "café", "a b"]), min_size=1, max_size=5, unique=True)
NULLS = st.sampled_from(["", "\nnullable = true", "\nrequired = false\nnullable = true"])
NUMBERS = st.one_of(st.integers(-1000, 1000), st.floats(-1e6, 1e6).map(lambda number: round(number, 3)))


@dataclass
class Draft:
    """What is drawn so far; a name is used once."""

    old: dict[str, str] = field(default_factory=dict)
    new: dict[str, str] = field(default_factory=dict)
    rules: list[str] = field(default_factory=list)

    def name(self, of: dict[str, str], prefix: str) -> str:
        return f"{prefix}{len(of)}"


@st.composite
def numbers(draw: st.DrawFn, *, whole: bool, unit: str = "") -> str:
    """Lines of a number or an integer, bounds now open, now exclusive."""
    low, high = sorted(draw(st.lists(st.integers(-500, 500) if whole else NUMBERS, min_size=2, max_size=2, unique_by=float)))
    high = high + 2 if whole else high
    lines = f'type = "{"integer" if whole else "number"}"\n{unit}'
    kind = draw(st.sampled_from(["", "exclusive_", "open"]))
    middle = low + 1 if whole else (low + high) / 2
    bounds = "" if kind == "open" else f"{kind}minimum = {low}\n{kind}maximum = {high}\n"
    return f"{lines}{bounds}example = {middle}"


@st.composite
def categories(draw: st.DrawFn) -> str:
    names = draw(WORDS)
    return f'type = "category"\nallowed = {quoted(names)}\nexample = {quoted(names[:1])[1:-1]}'


def texts(longest: int) -> str:
    return f'type = "text"\nmax_length = {longest}\nexample = "a"'


def quoted(names: list[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


@st.composite
def pairs(draw: st.DrawFn, operations: tuple[str, ...] = ()) -> Upgrade:
    """Rules that fit, over ranges that need not: some rows fail."""
    draft = Draft()
    every = ("keep", "rename", "widen", "scale", "whole", "map", "constant", "split", "join", "drop", "default")
    for operation in draw(st.lists(st.sampled_from(operations or every), min_size=1, max_size=6)):
        DRAWN[operation](draw, draft)
    if not draft.old:
        DRAWN["rename"](draw, draft)
    if not draft.new:
        DRAWN["constant"](draw, draft)
    text = rules_text(*draft.rules)
    return bind_upgrade(contract("v1", draft.old), contract("v2", draft.new, upgrade=text), "v2.toml")


def _field(draw: st.DrawFn) -> tuple[str, str]:
    """The lines of an old and of a new field of one type."""
    kind = draw(st.sampled_from(["number", "integer", "boolean", "category", "text"]))
    if kind in ("number", "integer"):
        return draw(numbers(whole=kind == "integer")), draw(numbers(whole=kind == "integer"))
    if kind == "boolean":
        return 'type = "boolean"\nexample = true', 'type = "boolean"\nexample = false'
    if kind == "category":
        return draw(categories()), draw(categories())
    return texts(draw(st.integers(1, 30))), texts(draw(st.integers(1, 30)))


def _moved(draw: st.DrawFn, draft: Draft, *, keep: bool) -> None:
    before, after = _field(draw)
    name = draft.name(draft.old, "old")
    target = name if keep else draft.name(draft.new, "new")
    draft.old[name], draft.new[target] = before + draw(NULLS), after + draw(NULLS)
    if not keep:
        draft.rules.append(f'{{rename = "{name}", to = "{target}"}}')


def _pair(draw: st.DrawFn, draft: Draft, before: str, after: str) -> tuple[str, str]:
    name, target = draft.name(draft.old, "old"), draft.name(draft.new, "new")
    draft.old[name], draft.new[target] = before + draw(NULLS), after + draw(NULLS)
    return name, target


def _widened(draw: st.DrawFn, draft: Draft) -> None:
    name, target = _pair(draw, draft, draw(numbers(whole=True)), draw(numbers(whole=False)))
    draft.rules.append(f'{{rename = "{name}", to = "{target}"}}')


def _scaled(draw: st.DrawFn, draft: Draft, *, whole: bool) -> None:
    factors = st.integers(-(2**53), 2**53) if whole else st.one_of(NUMBERS, st.sampled_from([0.1, 10, 2.54, 1e-30, -1, 3.4e38, 1e-320]))
    factor, offset = draw(factors.filter(bool)), draw(st.integers(-(2**53), 2**53) if whole else NUMBERS)
    small = whole and draw(st.booleans())
    factor, offset = (factor % 10 or 1, offset % 100) if small else (factor, offset)
    unit = 'unit = "cm"\n'
    before = draw(numbers(whole=whole, unit=unit))
    name, target = _pair(draw, draft, before, draw(numbers(whole=whole, unit='unit = "mm"\n')))
    draft.rules.append(f'{{scale = "{name}", to = "{target}", factor = {factor}, offset = {offset}}}')


def _mapped(draw: st.DrawFn, draft: Draft) -> None:
    names, others = draw(WORDS), draw(WORDS)
    after = f'type = "category"\nallowed = {quoted(others)}\nexample = "{others[0]}"'
    name, target = _pair(draw, draft, f'type = "category"\nallowed = {quoted(names)}\nexample = "{names[0]}"', after)
    said = [each for each in names if draw(st.integers(0, 4))] or names[:1]
    values = ", ".join(f'"{each}" = "{draw(st.sampled_from(others))}"' for each in said)
    draft.rules.append(f'{{map = "{name}", to = "{target}", values = {{{values}}}, partial = true}}')


def _constant(draw: st.DrawFn, draft: Draft) -> None:
    target = draft.name(draft.new, "new")
    draft.new[target] = 'type = "number"\nexample = 1'
    draft.rules.append(f'{{constant = {draw(NUMBERS)}, to = "{target}"}}')


def _split(draw: st.DrawFn, draft: Draft) -> None:
    before = draw(st.one_of(categories(), st.integers(1, 30).map(texts)))
    name = draft.name(draft.old, "old")
    draft.old[name] = before + draw(NULLS)
    targets = []
    for _ in range(draw(st.integers(2, 3))):
        targets.append(draft.name(draft.new, "new"))
        draft.new[targets[-1]] = _field(draw)[0].replace('"boolean"', '"text"').replace("example = true", 'example = ""') + draw(NULLS)
    separator = draw(st.sampled_from(["/", " ", "-", ", "]))
    draft.rules.append(f'{{split = "{name}", separator = "{separator}", to = {quoted(targets)}}}')


def _joined(draw: st.DrawFn, draft: Draft) -> None:
    few = draw(st.booleans())
    parts = st.one_of(
        categories(), numbers(whole=True) if not few else categories(), st.integers(1, 30).map(texts) if not few else categories()
    )
    names = []
    for _ in range(draw(st.integers(2, 3))):
        names.append(draft.name(draft.old, "old"))
        draft.old[names[-1]] = draw(parts) + draw(NULLS)
    target = draft.name(draft.new, "new")
    draft.new[target] = (draw(categories()) if few else texts(draw(st.integers(1, 60)))) + draw(NULLS)
    draft.rules.append(f'{{join = {quoted(names)}, separator = " ", to = "{target}"}}')


def _dropped(draw: st.DrawFn, draft: Draft) -> None:
    name = draft.name(draft.old, "old")
    draft.old[name] = _field(draw)[0]
    draft.rules.append(f'{{drop = "{name}"}}')


def _default(draw: st.DrawFn, draft: Draft) -> None:
    draft.new[draft.name(draft.new, "new")] = 'type = "integer"\nexample = 1\nrequired = false\n' + draw(
        st.sampled_from(["default = 3", "nullable = true"])
    )


DRAWN = {
    "keep": lambda draw, draft: _moved(draw, draft, keep=True),
    "rename": lambda draw, draft: _moved(draw, draft, keep=False),
    "widen": _widened,
    "scale": lambda draw, draft: _scaled(draw, draft, whole=False),
    "whole": lambda draw, draft: _scaled(draw, draft, whole=True),
    "map": _mapped,
    "constant": _constant,
    "split": _split,
    "join": _joined,
    "drop": _dropped,
    "default": _default,
}
