"""docs/architecture.md and its picture name the middleware in the order of the road, and every room of the package."""

import re
from xml.etree import ElementTree

from documents import ROOT

PACKAGE = ROOT / "platform" / "gatehouse"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PICTURE = " ".join(ElementTree.parse(ROOT / "docs" / "architecture.svg").getroot().itertext())


def road() -> list[str]:
    """Names of the modules of the middleware, outermost first, as `app.py` puts it together."""
    source = (PACKAGE / "app.py").read_text(encoding="utf-8")
    modules = dict(re.findall(r"^from gatehouse\.(?:middleware|api)\.(\w+) import (\w+)", source, re.MULTILINE))
    classes = re.findall(r"(?:road(?:: ASGIApp)? = |self\._road = )(?:self\.pace = )?(\w+)\(", source)
    return [next(module for module, found in modules.items() if found == name) for name in reversed(classes)]


def test_the_page_lists_the_middleware_in_the_order_of_the_road() -> None:
    section = PAGE.partition("## The road of a prediction")[2].partition("`api/predict` then")[0]

    assert re.findall(r"^\d+\. (?:The )?`(\w+)`", section, re.MULTILINE) == road()
    assert len(road()) > 6


def test_the_picture_shows_the_middleware_in_the_order_of_the_road() -> None:
    assert re.findall(r"(?:middleware|api)/(\w+)", PICTURE) == [*road(), "predict"]


def test_page_and_picture_name_every_room_and_no_other() -> None:
    rooms = {folder.parent.name for folder in PACKAGE.glob("*/__init__.py")}
    table = PAGE.partition("## Rooms")[2].partition("\nImports run one way")[0]
    layers = PICTURE.partition("never import each other")[2].split()

    assert set(re.findall(r"^\| `(\w+)/`", table, re.MULTILINE)) == rooms
    assert set(layers) == rooms | {"app", "readings", "errors", "principal"}


def test_words_that_are_this_programs_own_are_explained_before_they_are_used() -> None:
    before, _, after = PAGE.partition("## Words\n")
    explained, _, rest = after.partition("\n## Rooms")
    words = re.findall(r"^- \*\*(\w+)\*\*: ", explained, re.MULTILINE)

    assert words == ["bridge", "brownout", "canary", "shadow", "spool", "sunset"]
    assert [word for word in words if word in before or word not in rest] == []


def test_the_page_says_who_imports_settings() -> None:
    files = [file for file in PACKAGE.rglob("*.py") if "from gatehouse.settings import" in file.read_text(encoding="utf-8")]
    importing = {file.relative_to(PACKAGE).parts[0] for file in files}
    [said] = re.findall(r"`settings` is imported by (.+?) alone", PAGE)

    assert set(re.findall(r"`(\w+)`", said)) == {name.removesuffix(".py") for name in importing}
