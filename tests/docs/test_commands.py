"""Every command of the documents, run as it stands there, in order, against `gatehouse dev`."""

import json
import re
import runpy
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from dev_server import DevServer, dev_server
from documents import ROOT, blocks, languages, run_block
from quick_start import Programs

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLLOWED_ELSEWHERE = ("go-live.md",)
"""test_go_live_page.py follows it on a machine of its own."""
START = "make run\nmake test\n"
FROM_NOTHING = {"publish-your-model.md"}
"""Pages that are followed in an empty folder, beside a server that runs."""


def test_commands_and_bodies_are_the_only_blocks_so_that_no_command_escapes() -> None:
    # the Python of docs/notices.md is run by test_notices_page.py
    assert set().union(*(languages(page) - ({"python"} if page.name == "notices.md" else set()) for page in PAGES)) == {"sh", "json"}


def test_bodies_that_are_shown_are_json() -> None:
    for page in PAGES:
        for text in blocks(page, "json"):
            json.loads(text)


@pytest.mark.timeout(1200)  # it follows all pages, one after the other
def test_the_documents_commands_work_as_they_stand(tmp_path: Path, programs: Programs) -> None:
    first, *rest = blocks(ROOT / "README.md", "sh")
    assert first == START
    assert all(subprocess.run(["make", "-n", name], cwd=ROOT, capture_output=True, check=False).returncode == 0 for name in ("run", "test"))
    programs.make_environment(tmp_path / ".venv")
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")

    with dev_server(tmp_path) as server:
        call, *others = [run(server, text) for text in rest]
        check_picture(server, others[-1])
        for page in (page for page in PAGES[1:] if page.name not in FOLLOWED_ELSEWHERE):
            followed = in_empty_folder(server, page.stem, programs) if page.name in FROM_NOTHING else server
            printed = [run(followed, text) for text in scripts(page)]
            if page.name == "publish-your-model.md":
                check_first_answer(followed, page, printed)

        shown = json.loads(blocks(ROOT / "README.md", "json")[0])
        answered = json.loads(call)
        assert answered | {"request_id": ""} == shown | {"request_id": ""}
        (key,) = set(re.findall(r"gate_\w+", others[-1]))
        assert predict(server, key, "churn", {"months": 40, "support_calls": 0})["predictions"][0]["label"] == "stays"
        wait_for_usage(server, "iris")


def scripts(page: Path) -> list[str]:
    """What is run at once: each block, or all of a page that says that it is one session."""
    found = blocks(page, "sh")
    return ["\n".join(found)] if "This page is one session at a terminal" in page.read_text(encoding="utf-8") else found


def in_empty_folder(server: DevServer, name: str, programs: Programs) -> DevServer:
    """The same server, for a reader whose folder holds the program alone."""
    folder = server.folder / name
    programs.make_environment(folder / ".venv")
    return replace(server, folder=folder)


def check_first_answer(server: DevServer, page: Path, printed: list[str]) -> None:
    """What `keys create` says to paste gets the answer that the page shows."""
    (said,) = [text for text in printed if "a first call:" in text]
    key, call = re.findall(r"^  (KEY=\S+|curl .*)$", said, re.MULTILINE)
    (shown,) = (json.loads(text) for text in blocks(page, "json"))
    answered = json.loads(run(server, f"{key}\n{call}"))
    assert answered | {"request_id": ""} == shown | {"request_id": ""}


def check_picture(server: DevServer, printed: str) -> None:
    """docs/terminal.svg holds the commands of the README's own model, and what they and the first call print."""
    script = runpy.run_path(str(ROOT / "scripts" / "draw_terminal.py"))
    (call,) = re.findall(r"^  (curl .*)$", printed, re.MULTILINE)
    (key,) = set(re.findall(r"gate_\w+", printed))
    predict(server, key, "churn", {"months": 1, "support_calls": 2})  # once it is known to the server
    answer = run(server, "\n".join(re.findall(r"^  (KEY=\S+|curl .*)$", printed, re.MULTILINE)))

    _, dollar, text = " ".join(ElementTree.parse(script["PICTURE"]).getroot().itertext()).partition("$")
    shown = squeezed(dollar + text)
    for command in [*script["own_model"]()[1], *script["masked"](call)]:
        typed = squeezed("$" + command.removeprefix(".venv/bin/"))
        assert typed in shown, f"for {command} run: .venv/bin/python scripts/draw_terminal.py"
        shown = shown.replace(typed, "", 1)
    said = squeezed(" ".join(script["masked"](f"{printed}\n{answer}")))
    assert shown == said, "run: .venv/bin/python scripts/draw_terminal.py"


def squeezed(text: str) -> str:
    """Without blanks and rules, which depend on how wide a terminal is."""
    return re.sub(r"[\s─]+", "", text)


def run(server: DevServer, text: str) -> str:
    """What it prints."""
    return run_block(text.replace("http://127.0.0.1:8000", server.url), server.folder, server.environment)


def predict(server: DevServer, key: str, model: str, row: dict[str, Any]) -> Any:
    """The answer to one row; a grant takes up to a second to be known."""
    request = urllib.request.Request(
        f"{server.url}/v1/models/{model}/predict",
        data=json.dumps({"instances": [row]}).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    deadline = time.monotonic() + 10
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            refusal.close()
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def wait_for_usage(server: DevServer, model: str) -> None:
    deadline = time.monotonic() + 30
    while model not in run(server, ".venv/bin/gatehouse usage show"):
        assert time.monotonic() < deadline
