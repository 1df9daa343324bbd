"""`make audit`: asks osv.dev for known vulnerabilities of what uv.lock names, and of the page library that lies in the repository.

Exit code 0: none is known. 1: each is named, with the version that mends it. 2: osv.dev could not be asked.
"""

import argparse
import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OSV = "https://api.osv.dev"
NONE, KNOWN, NOT_ASKED = 0, 1, 2


def locked_packages(service: str) -> int:
    """Says what `uv audit` finds; its exit code."""
    uv = str(Path(sys.executable).with_name("uv"))
    command = [uv, "audit", "--frozen", "--preview-features", "audit-command", "--service-url", service]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode in (NONE, KNOWN):
        print(done.stdout + done.stderr, end="")
        return done.returncode
    raise OSError(done.stderr.strip().splitlines()[-1].strip().removeprefix("cause: "))


def page_library(service: str) -> int:
    """The same of Swagger UI, whose version stands in NOTICE."""
    (version,) = re.findall(r"Swagger UI (\d+\.\d+\.\d+)", (ROOT / "NOTICE").read_text(encoding="utf-8"))
    asked = {"package": {"name": "swagger-ui-dist", "ecosystem": "npm"}, "version": version}
    request = urllib.request.Request(f"{service}/v1/query", json.dumps(asked).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        found = [str(each["id"]) for each in json.load(answer).get("vulns", [])]
    print(f"swagger-ui-dist {version}: {', '.join(found) or 'none known'}")
    return KNOWN if found else NONE


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--service-url", default=OSV)
    service = parser.parse_args(arguments).service_url.rstrip("/")
    try:
        return max(locked_packages(service), page_library(service))
    except (OSError, ValueError) as error:
        print(f"make audit: {service} could not be asked ({error}): try again where it can be reached", file=sys.stderr)
        return NOT_ASKED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
