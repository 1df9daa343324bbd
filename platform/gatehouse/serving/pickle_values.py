"""What stands in for the objects of a pickle that is read but not loaded. None of these is ever hashed, compared or called
by what the file says, so a file cannot make them costly."""

from typing import Any, NamedTuple

MEMBERS_OF_INTEREST = frozenset({"_sklearn_version", "dtype", "shape", "numpy_array_alignment_bytes"})


class Global(NamedTuple):
    """A module-level name that loading would import."""

    module: str
    name: str


class Opaque:
    """A value that nobody asks about."""

    __slots__ = ()


OPAQUE = Opaque()


class Members:
    """A dictionary, of which only the members of interest are kept."""

    __slots__ = ("named",)

    def __init__(self) -> None:
        self.named: dict[str, Any] | None = None

    def set(self, pairs: list[Any]) -> None:
        """Keys and values in turn."""
        for key, value in zip(pairs[::2], pairs[1::2], strict=False):
            if isinstance(key, str) and key in MEMBERS_OF_INTEREST:
                self.named = self.named or {}
                self.named[key] = value


class Made:
    """What loading would make by calling `called`, which is a Global where the file is an honest one."""

    __slots__ = ("arguments", "called", "state")

    def __init__(self, called: Any, arguments: Any) -> None:
        self.called = called
        self.arguments = arguments
        self.state: Any = None

    @property
    def kind(self) -> Global | None:
        """The class of it, as far as the file tells."""
        found = self.called
        if isinstance(found, Global) and found in _RECONSTRUCTORS and isinstance(self.arguments, tuple):
            found = next(iter(self.arguments), None)
        return found if isinstance(found, Global) else None


_RECONSTRUCTORS = (Global("copyreg", "_reconstructor"), Global("copy_reg", "_reconstructor"))
