"""What a joblib or pickle file refers to, read from its opcodes: nothing in it is loaded, imported or run.

A small machine follows the opcodes with values that only stand for what would be made. joblib writes the bytes of an array right
behind the opcodes that describe it, so the machine must understand those descriptions to step over the bytes.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gatehouse.serving.pickle_arrays import ArrayBytes, array_behind
from gatehouse.serving.pickle_stream import PickleRefused, PickleStream
from gatehouse.serving.pickle_values import OPAQUE, Global, Made, Members

MAX_OPCODES = 20_000_000
MAX_STACK = 1_000_000
MAX_NESTED = 16
"""Pickles inside a pickle: joblib writes each array of objects as one."""
MAX_GLOBALS = 10_000
_NOT_A_PICKLE = "the file is not a pickle: save the fitted estimator with joblib.dump"
_VERSION = "_sklearn_version"


@dataclass(frozen=True, slots=True)
class PickleContents:
    """`globals` in the order of the file; `sklearn_versions`: all that its estimators say they were saved by, mostly one."""

    globals: tuple[Global, ...]
    sklearn_versions: tuple[str, ...]


def read_contents(artifact: bytes) -> PickleContents:
    """Raises PickleRefused for what is no whole pickle, or too large to follow."""
    reading = _Reading(PickleStream(artifact))
    try:
        reading.follow_pickle(MAX_NESTED)
    except (ValueError, OverflowError):  # pickletools, on an opcode or an argument that there is not
        raise PickleRefused(_NOT_A_PICKLE) from None
    return PickleContents(tuple(reading.globals), tuple(reading.versions))


class _Reading:
    """One file: what was found so far, and how much work may still be done."""

    def __init__(self, stream: PickleStream) -> None:
        self.stream = stream
        self.globals: dict[Global, None] = {}
        self.versions: dict[str, None] = {}
        self._opcodes_left = MAX_OPCODES

    def follow_pickle(self, nested_left: int) -> None:
        """From here to the end of this pickle, pickled arrays inside it included."""
        if not nested_left:
            raise PickleRefused("the file nests pickles too deeply: save the fitted estimator with joblib.dump")
        machine = _Machine(self)
        for opcode, argument, _ in pickletools.genops(self.stream):  # type: ignore[arg-type]  # all that it calls is there
            self._opcodes_left -= 1
            if not self._opcodes_left:
                raise PickleRefused("the file holds too many objects to be read: publish a smaller model")
            behind = machine.step(opcode, argument)
            if behind is None:
                continue
            if behind.pickled:
                self.follow_pickle(nested_left - 1)
            else:
                if behind.padded:
                    self.stream.skip(self.stream.read(1)[0])
                self.stream.skip(behind.bytes)

    def refers_to(self, module: Any, name: Any) -> Global:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise PickleRefused(_NOT_A_PICKLE)
        found = Global(module, name)
        self.globals[found] = None
        if len(self.globals) > MAX_GLOBALS:
            raise PickleRefused("the file refers to too many objects: save the fitted estimator with joblib.dump")
        return found


class _Machine:
    """The stack and the memo of one pickle."""

    def __init__(self, reading: _Reading) -> None:
        self._reading = reading
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def step(self, opcode: pickletools.OpcodeInfo, argument: Any) -> ArrayBytes | None:
        """Follow one opcode; the array whose bytes come next, if any do."""
        act = _ACTS.get(opcode.name)
        if act is not None:
            act(self, argument)
        elif opcode.name == "BUILD":
            return self._build()
        else:
            self._plain(opcode, argument)
        if len(self._stack) > MAX_STACK:
            raise PickleRefused("the file holds too many objects at once: publish a smaller model")
        return None

    def _plain(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        """An opcode that only takes things and leaves one that nobody asks about: numbers, bytes, lists, sets."""
        if pickletools.markobject in opcode.stack_before:
            self._above_mark()
            # what stands below the mark in such an opcode is changed in place
            return None if opcode.name in _IN_PLACE else self._stack.append(OPAQUE)
        for _ in opcode.stack_before:
            self.pop()
        if opcode.stack_after:
            self._stack.append(_kept(argument))
        return None

    def pop(self) -> Any:
        if not self._stack or (self._marks and len(self._stack) <= self._marks[-1]):
            raise PickleRefused(_NOT_A_PICKLE)
        return self._stack.pop()

    def _above_mark(self) -> list[Any]:
        if not self._marks:
            raise PickleRefused(_NOT_A_PICKLE)
        mark = self._marks.pop()
        found = self._stack[mark:]
        del self._stack[mark:]
        return found

    def _build(self) -> ArrayBytes | None:
        state, made = self.pop(), self.pop()
        if isinstance(state, tuple) and state and isinstance(state[0], Members):
            self._note_version(state[0])
        if isinstance(state, Members):
            self._note_version(state)
        if isinstance(made, Made):
            made.state = state
        self._stack.append(made)
        return array_behind(made)

    def _note_version(self, state: Members) -> None:
        version = state.named.get(_VERSION) if state.named else None
        if isinstance(version, str):
            self._reading.versions[version[:40]] = None

    def memoize(self, place: int | None) -> None:
        top = self.pop()
        self._stack.append(top)
        self._memo[len(self._memo) if place is None else int(place)] = top

    def recall(self, place: int) -> None:
        if int(place) not in self._memo:
            raise PickleRefused(_NOT_A_PICKLE)
        self._stack.append(self._memo[int(place)])

    def mark(self, _: Any) -> None:
        self._marks.append(len(self._stack))

    def pop_one(self, _: Any) -> None:
        # POP right behind a MARK takes the mark away
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self.pop()

    def pop_to_mark(self, _: Any) -> None:
        self._above_mark()

    def duplicate(self, _: Any) -> None:
        top = self.pop()
        self._stack += [top, top]

    def tuple_of(self, count: int) -> None:
        found = [self.pop() for _ in range(count)]
        self._stack.append(tuple(reversed(found)))

    def tuple_above_mark(self, _: Any) -> None:
        self._stack.append(tuple(self._above_mark()))

    def members(self, _: Any) -> None:
        self._stack.append(Members())

    def members_above_mark(self, _: Any) -> None:
        made = Members()
        made.set(self._above_mark())
        self._stack.append(made)

    def set_item(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        self._set([key, value])

    def set_items(self, _: Any) -> None:
        self._set(self._above_mark())

    def _set(self, pairs: list[Any]) -> None:
        if self._stack and isinstance(self._stack[-1], Members):
            self._stack[-1].set(pairs)

    def refer(self, named: str) -> None:
        module, _, name = named.partition(" ")
        self._stack.append(self._reading.refers_to(module, name))

    def refer_by_stack(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        self._stack.append(self._reading.refers_to(module, name))

    def make(self, _: Any) -> None:
        arguments, called = self.pop(), self.pop()
        self._stack.append(Made(called, arguments))

    def make_with_names(self, _: Any) -> None:
        self.pop()
        self.make(None)

    def make_above_mark(self, _: Any) -> None:
        called, *arguments = self._above_mark() or [OPAQUE]
        self._stack.append(Made(called, tuple(arguments)))

    def make_named_above_mark(self, named: str) -> None:
        self.refer(named)
        called = self._stack.pop()
        self._stack.append(Made(called, tuple(self._above_mark())))

    def refuse(self, _: Any) -> None:
        raise PickleRefused("the file needs more than itself to be loaded: save the fitted estimator with joblib.dump")


def _kept(argument: Any) -> Any:
    """Of plain values only what a reference or an array's description can hang on."""
    return argument if isinstance(argument, str | int) or argument is None else OPAQUE


_IN_PLACE = frozenset({"APPENDS", "ADDITEMS"})
_ACTS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.pop_one,
    "POP_MARK": _Machine.pop_to_mark,
    "DUP": _Machine.duplicate,
    "EMPTY_TUPLE": lambda machine, _: machine.tuple_of(0),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "TUPLE": _Machine.tuple_above_mark,
    "EMPTY_DICT": _Machine.members,
    "DICT": _Machine.members_above_mark,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "GLOBAL": _Machine.refer,
    "STACK_GLOBAL": _Machine.refer_by_stack,
    "REDUCE": _Machine.make,
    "NEWOBJ": _Machine.make,
    "NEWOBJ_EX": _Machine.make_with_names,
    "OBJ": _Machine.make_above_mark,
    "INST": _Machine.make_named_above_mark,
    "MEMOIZE": lambda machine, _: machine.memoize(None),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.memoize),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.recall),
    **dict.fromkeys(("PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"), _Machine.refuse),
}
