"""The page of `gatehouse tenants welcome` on a running server: what it prints is pasted and runs, whatever a contract says."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hostile_model import HOSTILE, NAMES, ROW, UNIT, publish_hostile
from markdown_it import MarkdownIt
from markdown_it.token import Token
from powershell import PowerShellError, Session
from stage import WIDE, Live, Stage, instances, problem

from gatehouse.api.admin.welcome import WelcomeBody
from gatehouse.errors import CATALOGUE
from gatehouse.operating.welcome import COMMONEST
from gatehouse.principal import Rate, Scope

pytestmark = pytest.mark.endpoints("iris v1", "iris v2")
PARSER = MarkdownIt("commonmark").enable("table")


@pytest.fixture(scope="module")
def live(published: Path, module_stage: Stage) -> Iterator[Live]:
    publish_hostile(published, module_stage)
    with module_stage.serving() as running:
        yield running


class Welcomed:
    """A tenant with a key, and the page that was written for it."""

    def __init__(self, live: Live, name: str, *models: str) -> None:
        self.key = live.stage.tenant(name, *models)
        operator = live.stage.key("_operator", scopes=frozenset({Scope.ADMIN_READ}))
        path = f"/admin/tenants/{name}/welcome"
        self.facts = live.get(path, operator).json()
        self.markdown = live.get(f"{path}?format=markdown", operator).text
        self.tokens = PARSER.parse(self.markdown)

    def programs(self, language: str) -> list[str]:
        """The code blocks of one language, as a reader of Markdown shows them."""
        return [token.content for token in self.tokens if token.type == "fence" and token.info == language]

    def pasted(self, arguments: list[str], text: str, folder: Path, key: str | None = None) -> str:
        """What a program prints that is run with the key in its environment, in a folder that stays empty."""
        environment = {"PATH": os.environ["PATH"], "PARTNER_KEY": self.key if key is None else key}
        done = subprocess.run([*arguments, text], env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert list(folder.iterdir()) == []
        return done.stdout


@pytest.fixture(scope="module")
def hostile(live: Live) -> Welcomed:
    return Welcomed(live, "hostile-partner", "hostile")


@pytest.fixture(scope="module")
def flowers(live: Live) -> Welcomed:
    return Welcomed(live, "flower-partner", "iris")


def asked(live: Live, welcomed: Welcomed) -> Any:
    """What the server answers to the example row of the first endpoint."""
    endpoint = next(each for each in welcomed.facts["endpoints"] if each["url"] in welcomed.facts["first"]["code"]["curl"])
    return live.predict(welcomed.key, instances(endpoint["row"]), endpoint["url"].removeprefix(live.base_url)).json()["predictions"]


@pytest.fixture(params=["hostile", "flowers"])
def welcomed(request: pytest.FixtureRequest) -> Welcomed:
    found: Welcomed = request.getfixturevalue(request.param)
    return found


def test_the_curl_line_runs_as_pasted_once_the_key_is_read(live: Live, welcomed: Welcomed, tmp_path: Path) -> None:
    read_key, curl = welcomed.programs("sh")
    expected = asked(live, welcomed)
    assert json.loads(welcomed.pasted(["bash", "-euc"], curl, tmp_path))["predictions"] == expected
    told = subprocess.run(
        ["bash", "-euc", read_key + curl], input=welcomed.key + "\n", capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(told.stdout)["predictions"] == expected


def test_the_python_runs_as_pasted_and_a_frame_is_answered_in_one_line_more(live: Live, welcomed: Welcomed, tmp_path: Path) -> None:
    expected = asked(live, welcomed)
    printed = welcomed.pasted([sys.executable, "-Ic"], "\n".join(welcomed.programs("python")), tmp_path)
    assert printed == f"{json.dumps(expected)}\n{pd.DataFrame(expected)}\n"


def test_the_python_of_a_refused_row_shows_the_whole_answer(flowers: Welcomed) -> None:
    program = flowers.programs("python")[0].replace("52", "-52")
    environment = {"PARTNER_KEY": flowers.key}
    done = subprocess.run([sys.executable, "-Ic", program], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert '"code":"invalid_input"' in done.stderr
    assert '"/instances/0/sepal_length_mm"' in done.stderr


def test_the_powershell_runs_as_pasted_once_the_key_is_read(live: Live, welcomed: Welcomed) -> None:
    """Not by PowerShell, which is not here: by `powershell.py`, an evaluator of ours over the syntax tree of an independent grammar.

    It sends what the script says. One prediction comes out of the pipeline without its array.
    """
    read_key, program = welcomed.programs("powershell")
    [expected] = asked(live, welcomed)
    assert json.loads(Session({"PARTNER_KEY": welcomed.key}).run(program)) == expected
    told = Session({}, typed=[welcomed.key])
    assert (told.run(read_key), json.loads(told.run(program))) == ("", expected)


def test_the_powershell_of_a_refused_row_shows_the_whole_answer(flowers: Welcomed) -> None:
    program = flowers.programs("powershell")[1].replace("52", "-52")
    with pytest.raises(PowerShellError, match=r'"code":"invalid_input".*"/instances/0/sepal_length_mm"'):
        Session({"PARTNER_KEY": flowers.key}).run(program)


def test_each_body_on_the_page_is_valid_as_it_stands(live: Live, flowers: Welcomed, hostile: Welcomed) -> None:
    for each in (flowers, hostile):
        WelcomeBody.model_validate(each.facts)
        bodies = each.programs("json")
        assert len(bodies) == len(each.facts["endpoints"])
        for body, endpoint in zip(bodies, each.facts["endpoints"], strict=True):
            assert json.loads(body) == instances(endpoint["row"])
            assert live.predict(each.key, body.encode(), endpoint["url"].removeprefix(live.base_url)).status_code == 200


def inlines(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield from token.children or []


def test_texts_of_a_contract_stay_texts_and_all_of_its_facts_are_there(live: Live, hostile: Welcomed) -> None:
    assert hostile.facts["endpoints"][0]["row"] == ROW
    found = list(inlines(hostile.tokens))
    assert {token.content for token in found if token.type == "html_inline"} == {"<br>"}
    assert {str(token.attrs["href"]) for token in found if token.type == "link_open"} == {f"{live.base_url}/docs"}
    assert not [token for token in found if token.type in ("image", "em_open")]
    text = "".join(token.content for token in found)
    shown = HOSTILE.replace("\u202e", "\\u202e")
    for fact in (*NAMES, UNIT, shown, f"number, {UNIT}, at least 0, below 10", "at most 200 characters, may be null, may be left out"):
        assert fact in text
    assert "\u202e" not in hostile.markdown


def test_the_page_holds_no_key(live: Live, flowers: Welcomed) -> None:
    assert "gate_" in flowers.markdown
    assert re.search(r"gate_\w", flowers.markdown) is None
    assert [key for key in live.stage.issued if key in json.dumps(flowers.facts)] == []


def test_the_five_commonest_errors_come_as_the_page_says(live: Live, flowers: Welcomed, tmp_path: Path) -> None:
    curl = flowers.programs("sh")[1]
    slow = live.stage.plan(replace(WIDE, name="slow", requests=Rate(1, 86_400, 1)))
    late = live.stage.tenant("late-partner", "iris", plan=slow)
    tries = {
        "credential_missing": ("", curl),
        "credential_malformed": (flowers.key[:-1], curl),
        "not_found": (flowers.key, curl.replace("models/iris", "models/irises")),
        "invalid_input": (flowers.key, curl.replace('"sepal_length_mm": 52', '"sepal_length": 52')),
        "rate_limited": (late, curl),
    }
    assert tuple(tries) == COMMONEST == tuple(each["code"] for each in flowers.facts["errors"])
    flowers.pasted(["bash", "-euc"], curl, tmp_path, late)  # the one call of the day
    for said, (key, program) in zip(flowers.facts["errors"], tries.values(), strict=True):
        refusal = json.loads(flowers.pasted(["bash", "-euc"], program, tmp_path, key))
        assert (refusal["code"], refusal["status"], refusal["type"]) == (said["code"], said["status"], said["page"])
        shown = live.get(said["page"].removeprefix(live.base_url)).text
        assert f"<code>{said['code']}</code>" in shown
        assert (said["cause"], said["remedy"]) == (CATALOGUE[said["code"]].cause, CATALOGUE[said["code"]].remedy)


def test_it_is_refused_over_http_where_there_is_nothing_to_call(live: Live) -> None:
    operator = live.stage.key("_operator", scopes=frozenset({Scope.ADMIN_READ}))
    live.stage.tenant("empty-handed")
    said = problem(live.get("/admin/tenants/empty-handed/welcome", operator), 409, "conflict")
    assert said["detail"] == "Empty-handed may call nothing yet, so there is nothing to welcome it with."
    problem(live.get("/admin/tenants/nobody/welcome", operator), 404, "not_found")
    problem(live.get("/admin/tenants/empty-handed/welcome?format=pdf", operator), 422, "invalid_input")
    page = live.client.get("/admin/tenants/flower-partner/welcome", headers={"authorization": f"Bearer {operator}", "accept": "text/html"})
    assert (page.status_code, page.headers["content-type"], page.headers["vary"]) == (200, "text/html; charset=utf-8", "Accept")
