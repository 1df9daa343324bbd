"""The programs of a welcome page: one call in each language, as pasted, with the key in the environment variable PARTNER_KEY."""

import json
from collections.abc import Mapping
from typing import Any

from gatehouse.migration.guide_literals import javascript_text, json_text, python_text, shell_text

CURL = """\
curl -sS {url} \\
  -H "Authorization: Bearer $PARTNER_KEY" -H 'Content-Type: application/json' \\
  --data-binary {body}
"""
POWERSHELL = """\
$call = @{{
  Method = 'Post'
  Uri = {url}
  Headers = @{{ Authorization = "Bearer $env:PARTNER_KEY" }}
  ContentType = 'application/json'
  Body = {body}
}}
(Invoke-RestMethod @call).predictions | ConvertTo-Json -Depth 5
"""
PYTHON = """\
import json
import os
import urllib.error
import urllib.request

URL = {url}

def predict(body):
    headers = {{"Authorization": "Bearer " + os.environ["PARTNER_KEY"], "Content-Type": "application/json"}}
    try:
        with urllib.request.urlopen(urllib.request.Request(URL, body.encode(), headers), timeout={seconds}) as answer:
            return json.load(answer)["predictions"]
    except urllib.error.HTTPError as refusal:
        raise RuntimeError(refusal.read().decode()) from None

row = {row}
print(json.dumps(predict(json.dumps({{"instances": [row]}}))))
"""
PANDAS = """\
import pandas

frame = pandas.DataFrame([row])
print(pandas.DataFrame(predict(frame.to_json(orient="split", index=False, double_precision=15))))
"""
JAVASCRIPT = """\
const url = {url};
const row = {row};
const answer = await fetch(url, {{
  method: "POST",
  headers: {{ Authorization: `Bearer ${{process.env.PARTNER_KEY}}`, "Content-Type": "application/json" }},
  body: JSON.stringify({{ instances: [row] }}),
}});
if (!answer.ok) throw new Error(await answer.text());
console.log(JSON.stringify((await answer.json()).predictions));
"""


def programs(url: str, row: Mapping[str, Any], seconds: int) -> dict[str, str]:
    """By language; that of pandas goes on where that of Python ends. `seconds` is the longest that an answer takes."""
    body = {"instances": [row]}
    return {
        "curl": CURL.format(url=shell_text(url), body=shell_text(json_text(body))),
        "powershell": POWERSHELL.format(url=powershell_text(url), body=powershell_text(json.dumps(body))),
        "python": PYTHON.format(url=python_text(url), row=python_text(row), seconds=seconds),
        "pandas": PANDAS,
        "javascript": JAVASCRIPT.format(url=javascript_text(url), row=javascript_text(row)),
    }


def powershell_text(ascii_text: str) -> str:
    """A literal in which nothing is replaced. Beyond ASCII PowerShell knows further quotes, and its older versions lose what is sent."""
    return "'" + ascii_text.replace("'", "''") + "'"
