"""What `/metrics` reads of each room, by name."""

from collections.abc import Callable

from gatehouse.identity.service import Authenticator
from gatehouse.limits.concurrency import Concurrency
from gatehouse.limits.deployment_rates import DeploymentRates
from gatehouse.limits.failed_credentials import FailedCredentials
from gatehouse.limits.failed_logins import FailedLogins
from gatehouse.limits.idempotency import Idempotency
from gatehouse.limits.observed import Observed
from gatehouse.limits.quota import QuotaBook
from gatehouse.limits.watch import Watch
from gatehouse.limits.wrong_secrets import WrongSecrets
from gatehouse.metrics.reading import Reading
from gatehouse.notices.sender import Sender
from gatehouse.server.audit_desk import AuditDesk
from gatehouse.server.connections import Connections
from gatehouse.server.loop_lag import LoopLag
from gatehouse.server.shadow_book import ShadowBook
from gatehouse.server.shadows import Shadows
from gatehouse.serving.batching import Batching
from gatehouse.serving.rounds import Rounds
from gatehouse.usage.meter import Meter
from gatehouse.usage.spool import Spool


def credential_readings(
    authenticator: Authenticator, failures: FailedCredentials, wrong: WrongSecrets, logins: FailedLogins, meter: Meter
) -> list[Reading]:
    """Who is let in, and who is not."""
    return [
        Reading(
            "identity_stale_seconds",
            "Since a process has last read what changed of keys, tenants and grants.",
            authenticator.stale_for_s,
            over="max",
        ),
        Reading("failed_credentials_total", "Credentials that were refused.", lambda: failures.counted, counts=True),
        Reading(
            "credentials_not_looked_up_total", "Refused after too many failures from one address.", lambda: failures.refused, counts=True
        ),
        Reading("calls_of_nobody_total", "Calls refused before anybody was known.", meter.unknown.total, counts=True),
        Reading("wrong_secret_alarms_total", "Keys at which somebody guesses.", lambda: wrong.alarms, counts=True),
        Reading("failed_logins_total", "Passwords and one-time codes that were wrong.", lambda: logins.counted, counts=True),
        Reading("logins_not_tried_total", "Refused after too many failed logins.", lambda: logins.refused, counts=True),
    ]


def limit_readings(
    processes: Callable[[], int], rates: DeploymentRates, quota: QuotaBook, watch: Watch, observed: Observed, idempotency: Idempotency
) -> list[Reading]:
    """What decides on rates and quotas, and what they refused."""
    return [
        Reading("processes", "Processes that serve this deployment, on all machines.", processes, over="max"),
        Reading("redis_decides", "1 while Redis decides on the rates; 0: a process takes its share.", lambda: rates.attached, over="min"),
        Reading("quota_rows_held", "Rows of quotas that are held ahead.", lambda: quota.rows_held),
        Reading("quota_refusals_total", "Calls that a quota refused.", lambda: watch.exhausted, counts=True),
        Reading("quota_unavailable_total", "Calls refused with a block spent and no database.", lambda: watch.unavailable, counts=True),
        Reading(
            "observed_refusals_total",
            "What limits in observe mode, and soft quotas, would have refused.",
            lambda: sum(observed.totals.values()),
            counts=True,
        ),
        Reading(
            "idempotent_replays_total", "Repeats by Idempotency-Key: answered, not metered.", lambda: idempotency.replayed, counts=True
        ),
    ]


def usage_readings(meter: Meter, spool: Spool) -> list[Reading]:
    """Whether calls can be metered, and what waits for the database."""
    return [
        Reading("usage_backlog_bytes", "Of usage that is not in the database yet.", lambda: spool.backlog_bytes),
        Reading("usage_has_room", "1 while calls can be metered, else 0: predictions get 503.", lambda: spool.no_room is None, over="min"),
        Reading("usage_events_lost_total", "Refused calls that could not be written down.", lambda: meter.lost, counts=True),
    ]


def notice_readings(sender: Sender) -> list[Reading]:
    """Whether partners are told."""
    return [
        Reading("notices_delivered_total", "Webhooks that a target has taken.", lambda: sender.delivered, counts=True),
        Reading("notice_attempts_failed_total", "Attempts that a target did not take.", lambda: sender.failed, counts=True),
        Reading("notices_given_up_total", "Webhooks that were not taken in three days.", lambda: sender.given_up, counts=True),
        Reading("notices_waiting", "Webhooks that are to be delivered to a target.", lambda: sender.backlog.waiting, over="max"),
        Reading("notice_targets_failing", "Targets that take no webhooks.", lambda: sender.backlog.failing, over="max"),
    ]


def audit_readings(desk: AuditDesk) -> list[Reading]:
    """How far the audit trail is, as the log was told."""
    return [Reading("audit_rows", "Rows in the chain of the audit trail.", lambda: desk.head.sequence if desk.head else 0, over="max")]


def shadow_readings(shadows: Shadows, book: ShadowBook) -> list[Reading]:
    """Whether other versions keep up with the calls that they are to score too."""
    return [
        Reading("shadows_compared_total", "Calls that another version scored too.", lambda: book.compared, counts=True),
        Reading("shadows_dropped_total", "Calls beyond the budget of shadows.", lambda: book.dropped, counts=True),
        Reading("shadows_failed_total", "Calls on which the other version failed.", lambda: book.failed, counts=True),
        Reading("shadows_waiting", "Answered calls that wait to be scored by another version.", lambda: shadows.waiting),
        Reading("shadow_figures_lost_total", "Shadowed calls that could not be written down.", lambda: book.lost, counts=True),
    ]


def connection_readings(connections: Connections) -> list[Reading]:
    """Connections that are held, and those that were ended."""
    return [
        Reading("connections", "Connections that are held.", lambda: connections.held),
        Reading(
            "connections_ended_late_total", "Closed at the deadline of headers or silence.", lambda: connections.ended_late, counts=True
        ),
        Reading("connections_ended_for_room_total", "Idle ones closed for new ones.", lambda: connections.ended_for_room, counts=True),
        Reading("connections_refused_total", "Found no room beside calls under way.", lambda: connections.refused, counts=True),
    ]


def work_readings(concurrency: Concurrency, batching: Batching, rounds: Rounds, lag: LoopLag, refusals: Callable[[], int]) -> list[Reading]:
    """What is under way, and what it waits for."""
    return [
        Reading("calls_under_way", "Predictions that have been let in and are not answered yet.", lambda: concurrency.all_inside),
        Reading("calls_waiting", "Predictions that wait for a place among them.", lambda: concurrency.all_waiting),
        Reading(
            "refusals_waiting", "Calls beyond a limit, or refused for their credential, that wait for their turn to be refused.", refusals
        ),
        Reading(
            "batches_total",
            "Model calls that were made for one or more small predictions.",
            lambda: batching.batches + rounds.batches,
            counts=True,
        ),
        Reading("batched_calls_total", "Small predictions that were answered by them.", lambda: batching.calls + rounds.calls, counts=True),
        Reading("batched_rows_total", "The rows of these.", lambda: batching.rows + rounds.rows, counts=True),
        Reading("event_loop_lag_seconds", "The longest wait of the last half minute for the event loop.", lag.longest_s, over="max"),
    ]
