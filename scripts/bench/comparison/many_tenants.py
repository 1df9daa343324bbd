"""Makes many tenants with a key each, in the deployment that the environment names; prints the keys as JSON. Run by studies."""

import json
import sys

from gatehouse.cli.deployment import open_deployment
from gatehouse.identity.keys import create_key
from gatehouse.identity.tenants import create_tenant
from gatehouse.migration.store import api_versions_by_model


def main() -> int:
    count, model, plan = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    keys = []
    with open_deployment() as deployment:
        for number in range(count):
            name = f"tenant-{number:04}"
            create_tenant(deployment.database, deployment.actor, name, api_versions_by_model, plan=plan, models=[model])
            keys.append(create_key(deployment.database, deployment.actor, name, deployment.peppers.current).text)
    json.dump(keys, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
