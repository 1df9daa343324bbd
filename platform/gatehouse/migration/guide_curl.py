"""The shell of a guide: the server converts a body, and the newer version answers it."""

from typing import Any

from gatehouse.migration.guide_literals import json_text, shell_text

SCRIPT = """\
# your API key is in the environment variable KEY
curl -sS --fail-with-body {translate} \\
  -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \\
  --data-binary {body} |
curl -sS --fail-with-body {predict} \\
  -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \\
  --data-binary @-
"""


def curl_script(translate: str, predict: str, body: Any) -> str:
    """Two calls that run as they stand. `translate` and `predict` are addresses."""
    return SCRIPT.format(translate=shell_text(translate), predict=shell_text(predict), body=shell_text(json_text(body)))
