"""What `/account/migration` answers: fixed lists of fields, in the OpenAPI document as they stand here."""

from gatehouse.api.admin.endpoint_shadows import ShadowFiguresEntry, UpgradeFailure
from gatehouse.api.admin.migration_bodies import KeyStanding, LastTold, Standing
from gatehouse.api.key_bodies import Closed
from gatehouse.api.model_bodies import SuccessorBody
from gatehouse.migration.endpoint import EndpointState


class MigrationEntry(Standing):
    """Where you stand with one endpoint that ends."""

    model: str
    api_version: str
    lifecycle: EndpointState
    deprecated_at: str | None
    sunset: str | None
    successor: SuccessorBody | None
    reason: str | None
    link: str | None
    at: str
    since: str
    days: int
    compared_with: str | None
    upgrade_rules: bool | None
    calls_a_day: float
    spared_by_brownouts: bool
    last_day: str | None
    told: LastTold
    shadow: ShadowFiguresEntry | None
    upgrade_failures: list[UpgradeFailure] | None
    keys: list[KeyStanding]


class MigrationsBody(Closed):
    tenant: str
    migrations: list[MigrationEntry]
