"""A `curl` line that works as pasted: a granted endpoint with its contract's own example."""

import json
import shlex
from datetime import UTC, datetime
from typing import Any

from gatehouse.cli.deployment import Deployment
from gatehouse.errors import Refused
from gatehouse.identity.store import Grant, Tenant
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.store import list_endpoints
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
    """An endpoint that the grants cover, of the default model and active if there is one."""
    with deployment.database.read() as session:
        endpoints = [each for each in list_endpoints(session) if each.state_at(datetime.now(UTC), tenant.id) != "retired"]
    covered = [endpoint for endpoint in endpoints if any(_covers(grant, endpoint) for grant in grants)]
    return min(covered, key=lambda endpoint: (endpoint.model != tenant.default_model, endpoint.state != "active"), default=None)


def _covers(grant: Grant, endpoint: Endpoint) -> bool:
    if grant.api_version is None:
        return grant.model == endpoint.model and endpoint.state != "preview"
    return (grant.model, grant.api_version) == (endpoint.model, endpoint.api_version)
