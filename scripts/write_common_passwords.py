"""Writes the list of passwords that anybody tries first, from the wheels of Django and zxcvbn (docs/dependencies.md says when)."""

import ast
import gzip
import sys
from pathlib import Path
from zipfile import ZipFile

from gatehouse.identity.passwords import COMMON, SHORTEST


def main(django: Path, zxcvbn: Path) -> None:
    """Each wheel's list, every password once, those aside that are too short to be anybody's."""
    with ZipFile(django) as wheel:
        first = gzip.decompress(wheel.read("django/contrib/auth/common-passwords.txt.gz")).decode("utf-8").splitlines()
    with ZipFile(zxcvbn) as wheel:
        second = _frequency_list(wheel.read("zxcvbn/frequency_lists.py").decode("utf-8"), "passwords")
    common = {password.strip().casefold() for password in (*first, *second)}
    COMMON.write_text("".join(f"{password}\n" for password in sorted(common) if len(password) >= SHORTEST), encoding="utf-8")


def _frequency_list(source: str, name: str) -> list[str]:
    """One of the lists of a module that is read and not run."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == name:
                    text = value.func.value if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) else value
                    return str(ast.literal_eval(text)).split(",")
    raise SystemExit(f"no list {name!r} in the wheel of zxcvbn")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
