"""The fenced blocks of the documents, and how a reader would run them."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def languages(page: Path) -> set[str]:
    """Of all fenced blocks."""
    return {language for language, _ in BLOCK.findall(page.read_text(encoding="utf-8"))}


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return [text for found, text in BLOCK.findall(page.read_text(encoding="utf-8")) if found == language]


def run_block(script: str, folder: Path, environment: Mapping[str, str]) -> str:
    """What a block prints, run by bash where the reader would run it."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout
