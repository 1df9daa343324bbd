"""A `curl` line that works as pasted: a granted endpoint with its contract's own example."""

import json
import shlex
from datetime import UTC, datetime
from typing import Any

from gatehouse.cli.deployment import Deployment
from gatehouse.errors import Refused
from gatehouse.identity.store import Grant, Tenant
from gatehouse.migration.endpoint import Endpoint
from gatehouse.operating.granted import granted_endpoints
from gatehouse.operating.published import contract_of


def first_call(deployment: Deployment, tenant: Tenant, grants: list[Grant]) -> str:
    """For a shell in which KEY is the key. Lists the models where there is none to call."""
    curl, key = f"curl -s {deployment.settings.base_url}", '-H "Authorization: Bearer $KEY"'
    endpoint = _endpoint(deployment, tenant, grants)
    if endpoint is None:
        return f"{curl}/v1/models {key}"
    line = f"{curl}/{endpoint.api_version}/models/{endpoint.model}/predict {key}"
    try:
        body = {"instances": [example_row(deployment, endpoint)]}
    except Refused:
        return line
    return f"{line} -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body, ensure_ascii=False))}"


def example_row(deployment: Deployment, endpoint: Endpoint) -> dict[str, Any]:
    """The example of each field of the endpoint's contract. Raises Refused when its model version cannot be read."""
    contract = contract_of(deployment.settings, endpoint.model, endpoint.stable_version)
    return {feature.name: feature.example for feature in contract.features}


def _endpoint(deployment: Deployment, tenant: Tenant, grants: list[Grant]) -> Endpoint | None:
    """Of the default model and active if there is one."""
    with deployment.database.read() as session:
        granted = granted_endpoints(session, tenant, grants, datetime.now(UTC))
    return min(granted, key=lambda endpoint: (endpoint.model != tenant.default_model, endpoint.state != "active"), default=None)
