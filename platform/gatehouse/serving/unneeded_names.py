"""Names that no estimator needs: a file that refers to one of them was made to do something else than predict."""

from collections.abc import Iterable

from gatehouse.serving.pickle_values import Global

# fmt: off
_MODULES = frozenset(
    {
        "asyncio", "code", "commands", "ctypes", "ftplib", "http", "imaplib", "importlib", "marshal", "mmap", "multiprocessing",
        "nt", "os", "pdb", "pip", "pkgutil", "popen2", "poplib", "posix", "pty", "runpy", "shutil", "signal", "smtplib", "socket",
        "socketserver", "ssl", "subprocess", "sys", "telnetlib", "tempfile", "timeit", "urllib", "webbrowser", "xmlrpc",
        "zipimport", "_ctypes", "_posixsubprocess", "_socket", "_winapi",
    }
)
# fmt: on
"""Whole, with what stands in them. Of a file of Python 2 as well: pickle takes `commands` for `subprocess`."""
_BUILTINS = frozenset(
    {"__import__", "breakpoint", "compile", "delattr", "eval", "exec", "execfile", "globals", "input", "locals", "open", "setattr", "vars"}
)
_OF_FILES = frozenset({"FileIO", "open", "open_code"})
_OF_PICKLES = frozenset({"load", "loads"})
"""They load a pickle inside the pickle, which nobody has read."""
_NAMES = {
    **dict.fromkeys(("builtins", "__builtin__"), _BUILTINS),
    **dict.fromkeys(("io", "_io"), _OF_FILES),
    **dict.fromkeys(("pickle", "_pickle", "cPickle", "joblib", "joblib.numpy_pickle"), _OF_PICKLES),
}


def unneeded(names: Iterable[Global]) -> Global | None:
    """The first of them that no estimator needs."""
    return next((found for found in names if _is_unneeded(found)), None)


def _is_unneeded(found: Global) -> bool:
    # a module lies in another that imports it, such as `os.system` of `joblib.disk`
    *through, last = found.name.split(".")
    owner = through[-1] if through else found.module
    return not _MODULES.isdisjoint({found.module.partition(".")[0], *through}) or last in _NAMES.get(owner, ())
