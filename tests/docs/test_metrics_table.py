"""docs/operations.md shows every metric of `/metrics` in its own words, and no other."""

import re
from pathlib import Path

from stage import Stage

from gatehouse.principal import Scope

ROW = re.compile(r"^\| `(gatehouse_\w+)` \| (.*?) \|(.*)\|$", re.MULTILINE)
HELP = re.compile(r"^# HELP (\w+) (.*)$", re.MULTILINE)


def test_the_table_of_metrics_is_what_metrics_says(stage: Stage) -> None:
    shown = ROW.findall((Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8"))
    with stage.serving() as live:
        said = live.get("/metrics", stage.key("_operator", scopes={Scope.METRICS_READ})).text
    assert {name: meaning for name, meaning, _ in shown} == dict(HELP.findall(said))
    assert len(shown) == len({name for name, *_ in shown})
