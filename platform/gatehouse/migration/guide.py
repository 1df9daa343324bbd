"""The guide from one API version of a model to a newer one, as plain data: what its JSON is, and what its pages are made from."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gatehouse.migration.ending import guide_path
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.guide_curl import curl_script
from gatehouse.migration.guide_javascript import javascript_script
from gatehouse.migration.guide_python import python_script

Facts = Mapping[str, Any]
Guide = dict[str, Any]


def guide_of(facts: Facts, base_url: str, life: Facts | None = None, calls: Facts | None = None) -> Guide:
    """`facts` are those of two contracts and the rules between them; `life` and `calls` what is known of the older endpoint and the caller.

    `life` is None where nothing is served yet, `calls` where nobody's are to be told.
    """
    model, old, new = facts["model"], facts["from"], facts["to"]
    addresses = {
        "old": f"{base_url}/{old}/models/{model}/predict",
        "new": f"{base_url}/{new}/models/{model}/predict",
        "translate": f"{base_url}/{new}/models/{model}/translate?from={old}",
        "guide": base_url + guide_path(model, old, new),
    }
    return {
        "model": model,
        "from": old,
        "to": new,
        "addresses": addresses,
        "life": life,
        "calls": calls,
        **{name: facts[name] for name in ("fields", "dropped", "gaps", "codes", "answers", "output", "examples")},
        "code": None if facts["examples"] is None else _code(facts, addresses),
    }


def life_of(endpoint: Endpoint, now: datetime, tenant_id: str) -> Guide:
    """Where the older endpoint stands, for one tenant."""
    ending, last_day = endpoint.deprecation, endpoint.last_day(tenant_id)
    return {
        "state": endpoint.state_at(now, tenant_id),
        "deprecated_at": ending.since.isoformat() if ending else None,
        "sunset": last_day.isoformat() if last_day else None,
        "successor": ending.successor if ending else None,
        "reason": ending.reason if ending else None,
        "link": ending.link if ending else None,
    }


def _code(facts: Facts, addresses: Mapping[str, str]) -> dict[str, str]:
    """Programs that run as they stand, with a key in the environment."""
    body = facts["examples"]["old"]
    return {
        "curl": curl_script(addresses["translate"], addresses["new"], body),
        "python": python_script(facts, addresses["new"], body["instances"]),
        "javascript": javascript_script(facts, addresses["new"], body["instances"]),
    }
