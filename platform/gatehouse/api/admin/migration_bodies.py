"""What `/admin/migration` answers: the migration report by fixed lists of fields, as `migration/report_facts` fills them."""

from datetime import date, datetime

from gatehouse.api.admin.endpoint_shadows import ShadowFiguresEntry, UpgradeFailure
from gatehouse.api.key_bodies import Closed
from gatehouse.migration.endpoint import EndpointState
from gatehouse.migration.report_verdict import Code, Word


class ReportedEndpoint(Closed):
    """One of both endpoints of a report."""

    api_version: str
    state: EndpointState
    model_version: str
    bridged_to: str | None
    deprecated_at: datetime | None
    sunset: date | None
    successor: str | None


class VerdictReason(Closed):
    """What speaks for a verdict."""

    code: Code
    verdict: Word
    detail: str


class Standing(Closed):
    """A verdict and the calls that it goes by: of 30 days, and those that were answered in the last 7."""

    verdict: Word
    reasons: list[VerdictReason]
    last_old_call: datetime | None
    old_calls: int
    new_calls: int
    gone_calls: int
    share_on_new: float | None
    old_answered_7_days: int
    new_answered_7_days: int


class KeyStanding(Standing):
    """Of one key; `name` is null for one that is not known any more."""

    key_id: str
    name: str | None


class LastTold(Closed):
    """When a tenant was told of the deprecation."""

    by_notice: datetime | None
    by_answer: datetime | None


class TenantStanding(Standing):
    """Of one tenant. `upgrade_failures` is null where no row was tried."""

    tenant: str
    spared_by_brownouts: bool
    last_day: date | None
    told: LastTold
    shadow: ShadowFiguresEntry | None
    upgrade_failures: list[UpgradeFailure] | None
    keys: list[KeyStanding]


class SwitchedOff(Closed):
    """What would fail if the older version answered nobody from now on."""

    tenants: int
    calls_a_day: float


class MigrationReportBody(Closed):
    """`upgrade_rules` is null where the newer contract cannot be read here."""

    model: str
    old: ReportedEndpoint
    new: ReportedEndpoint
    at: datetime
    since: date
    days: int
    compared_with: str | None
    upgrade_rules: bool | None
    if_switched_off: SwitchedOff
    verdicts: dict[Word, int]
    tenants: list[TenantStanding]
