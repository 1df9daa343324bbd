"""From a partner's calls to its webhook, through the server that ships."""

import json
import time
from dataclasses import replace
from typing import Any

from stage import IRIS_ROW, WIDE, Stage
from target_server import signed_by, target_server
from typer.testing import CliRunner

from gatehouse.cli import app


def test_tenants_are_told_at_80_and_100_percent_of_their_quota_and_by_a_replay(stage: Stage, monkeypatch: Any) -> None:
    stage.values["GATEHOUSE_NOTICES_NETWORKS"] = "127.0.0.1"
    for name, value in (stage.values | {"GATEHOUSE_STATE_DIR": str(stage.state_dir)}).items():
        monkeypatch.setenv(name, value)
    stage.plan(replace(WIDE, name="ten", rows_per_month=10))
    keys = {tenant: stage.tenant(tenant, "iris", plan="ten") for tenant in ("acme", "globex")}

    def gatehouse(*words: str) -> Any:
        done = CliRunner().invoke(app, [*words, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    with target_server() as target, stage.serving() as live:
        url = f"http://127.0.0.1:{target.port}/"
        secrets = {tenant: gatehouse("notice-targets", "create", tenant, "--url", url + tenant)["secret"] for tenant in keys}
        for tenant, rows in (("acme", 8), ("globex", 10)):
            assert live.predict(keys[tenant], {"instances": [IRIS_ROW] * rows}).status_code == 200
        target.wait()
        target.wait()
        for taken in target.taken:
            said = json.loads(taken.body)["data"]
            tenant, percent, rows = ("acme", 80, 8) if taken.path == "/acme" else ("globex", 100, 10)
            assert signed_by(secrets[tenant], taken)
            assert said == {
                "tenant": tenant,
                "month": said["month"],
                "percent": percent,
                "rows": rows,
                "rows_per_month": 10,
                "quota": "soft",
            }
        (notice,) = gatehouse("notices", "list", "--tenant", "acme")
        gatehouse("notices", "replay", notice["id"])
        assert (target.wait().headers["webhook-id"], target.taken[-1].path) == (notice["id"], "/acme")
        deadline = time.monotonic() + 10
        while {each["state"] for each in gatehouse("notices", "list")} != {"delivered"}:
            assert time.monotonic() < deadline
    assert sorted(taken.path for taken in target.taken) == ["/acme", "/acme", "/globex"]
