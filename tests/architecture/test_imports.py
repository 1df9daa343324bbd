"""Who may import what, where a file's name decides; the lines between rooms are held by import-linter (`make imports`)."""

import ast
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "platform"
FILES = {str(file.relative_to(SOURCE / "gatehouse")): file.read_text(encoding="utf-8") for file in SOURCE.rglob("*.py")}


def imported(text: str) -> Iterator[str]:
    """Every module name that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""


def reads_environment(text: str) -> bool:
    """Whether a file reads the environment; handing all of it to a function of gatehouse.settings is not reading it."""
    tree = ast.parse(text)
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "os" for alias in node.names}
    if names & {"environ", "environb", "getenv", "getenvb"}:
        return True
    handed = {
        id(argument)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("find_state_dir", "read_settings")
        for argument in node.args
    }
    words = ("environ", "environb", "getenv", "getenvb")
    return any(isinstance(node, ast.Attribute) and node.attr in words and id(node) not in handed for node in ast.walk(tree))


def outside(allowed: tuple[str, ...], guilty: Callable[[str], bool]) -> list[str]:
    return [name for name, text in FILES.items() if guilty(text) and not any(fnmatch(name, pattern) for pattern in allowed)]


@pytest.mark.parametrize(
    ("packages", "allowed"),
    [
        (("psycopg", "sqlite3"), ("db/*.py",)),
        (("alembic",), ("db/*.py",)),
        (("jose",), ("identity/tokens.py",)),
        (("passlib",), ("identity/passwords.py",)),
        (("slowapi",), ("api/*.py", "app.py")),
        (("fastapi", "starlette"), ("api/*.py", "middleware/*.py", "server/*.py", "app.py", "cli/serve.py")),
        (("uvicorn",), ("server/*.py",)),
        (("prometheus_client",), ("metrics/exposition.py",)),
        (("typer", "rich"), ("cli/*.py",)),
        (("joblib", "sklearn", "skl2onnx", "onnx", "onnxruntime"), ("serving/*.py", "cli/dev.py")),
        (("pickle", "shelve", "marshal", "dill", "cloudpickle"), ()),
        (("dotenv", "pydantic_settings"), ("settings.py",)),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_a_library_is_imported_only_behind_its_door(packages: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    def guilty(text: str) -> bool:
        return any(name.split(".")[0] in packages for name in imported(text))

    assert outside(allowed, guilty) == []


def test_sql_stands_only_in_stores_and_in_db() -> None:
    # a session may be handed through, and a failure of the database may be caught, anywhere
    harmless = {("sqlmodel", "Session")}

    def guilty(text: str) -> bool:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import) and any(alias.name.split(".")[0] in ("sqlalchemy", "sqlmodel") for alias in node.names):
                return True
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("sqlalchemy", "sqlmodel"):
                names = {(node.module, alias.name) for alias in node.names}
                if node.module != "sqlalchemy.exc" and not names <= harmless:
                    return True
        return False

    assert outside(("db/*.py", "*/store.py", "*/*_store.py"), guilty) == []


def test_only_settings_reads_the_environment() -> None:
    # runtime.py hands the environment on to a child process and takes nothing from it
    assert outside(("settings.py", "serving/runtime.py"), reads_environment) == []


def test_the_watch_sees_an_import_inside_a_function_and_both_ways_to_the_environment() -> None:
    assert list(imported("def f():\n    from jose import jwt\n    import a.b\n")) == ["jose", "a.b"]
    assert reads_environment("import os\nx = os.environ['A']")
    assert reads_environment("from os import getenv")
    assert not reads_environment("import os\nx = os.cpu_count()")
    assert not reads_environment("import os\nx = find_state_dir(os.environ, here)")
    assert reads_environment("import os\nx = find_state_dir(os.environ, os.getenv('A'))")
