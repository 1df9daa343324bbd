"""The documents agree with the repository: links lead somewhere, commands of make exist, the order of the README holds."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_repository_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))

    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def anchors(page: Path) -> set[str]:
    """Of all headings, as GitHub makes them."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_heading_leads_to_one(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]*)#([^)]+)\)", page.read_text(encoding="utf-8"))

    inside = [(page if not link else page.parent / link, heading) for link, heading in links if "://" not in link]
    assert [(target.name, heading) for target, heading in inside if target.suffix == ".md" and heading not in anchors(target)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_command_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)

    assert [name for name in named if not re.search(rf"^{name}:", MAKEFILE, re.MULTILINE)] == []


def test_the_readme_shows_its_first_command_before_line_15() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()

    assert lines.index("make run") < 14


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\(([^)#]+)", (ROOT / "README.md").read_text(encoding="utf-8")))

    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "reference").glob("*.md")]
    assert {str(page.relative_to(ROOT)) for page in pages} - linked == set()


def test_decisions_are_numbered_without_a_gap_and_have_the_same_parts() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))

    numbers = {file.name[:4] for file in decisions}
    assert [file.name[:4] for file in decisions] == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    for file in decisions:
        text = file.read_text(encoding="utf-8")
        assert text.startswith(f"# {file.name[:4]}: ")
        said = re.search(r"^# .+\n\nStatus: (?:in force|superseded by \d{4})(?:; (.+))?\.$", text, re.MULTILINE)
        assert said, file.name
        assert set(re.findall(r"\d{4}", said[0].partition("Status")[2])) <= numbers - {file.name[:4]}
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences", "Rejected"]


def test_every_dependency_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")

    wanted = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["publish"],
        *project["dependency-groups"]["dev"],
    ]
    names = [re.match(r"[a-z0-9-]+", entry)[0] for entry in wanted]
    assert [name for name in names if not re.search(rf"(?<![a-z-]){name}(?![a-z])", page)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_script_that_is_named_runs_by_the_python_of_the_environment(page: Path) -> None:
    assert re.findall(r".*(?<!\.venv/bin/)\bpython scripts/.*", page.read_text(encoding="utf-8")) == []
