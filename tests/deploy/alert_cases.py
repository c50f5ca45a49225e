"""For each alert: series with which it fires, and like ones with which it must not. Times are in minutes: a series is
written as promtool reads it, one value a minute."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    alert: str
    fires: dict[str, str]
    quiet: dict[str, str]
    after: int = 20
    """The minute at which it is asked."""
    labels: tuple[tuple[str, str], ...] = ()
    """Of the alert, beside its severity."""


def _still(value: float, minutes: int = 90) -> str:
    return f"{value}x{minutes}"


def _rising(step: float, minutes: int = 90) -> str:
    return f"0+{step}x{minutes}"


_BUCKETS = ("5", "3600", "14400", "+Inf")


def _latency(metric: str, bounds: tuple[str, ...], slow: str, **labels: str) -> dict[str, str]:
    """A histogram whose observations all lie in the bucket that ends at `slow`."""
    told = "".join(f'{name}="{value}",' for name, value in labels.items())
    place = bounds.index(slow)
    return {
        f'{metric}_bucket{{{told}le="{bound}"}}': _rising(60 if number >= place else 0)
        for number, bound in enumerate(bounds)
    }


_WEB = ("1.0", "2.5", "5.0", "10.0", "+Inf")
_RESULTS = "penstock_event_to_result_seconds"
_REQUESTS = "penstock_request_seconds"

CASES = (
    Case(
        "PenstockGatewayDown",
        {'up{job="penstock-gateway",instance="a"}': _still(0)},
        {'up{job="penstock-gateway",instance="a"}': _still(1), 'up{job="other",instance="a"}': _still(0)},
        labels=(("job", "penstock-gateway"), ("instance", "a")),
    ),
    Case(
        "PenstockDatabaseDown",
        {'penstock_database_up{job="g"}': _still(0)},
        {
            'penstock_database_up{job="g",instance="a"}': _still(0),
            'penstock_database_up{job="g",instance="b"}': _still(1),
        },
        labels=(("job", "g"),),
    ),
    Case(
        "PenstockMetricsIncomplete",
        {'penstock_metrics_group_failed{group="log"}': _still(1), "penstock_database_up": _still(1)},
        {'penstock_metrics_group_failed{group="log"}': _still(1), "penstock_database_up": _still(0)},
        labels=(("group", "log"),),
    ),
    Case(
        "PenstockPartDown",
        {'penstock_part_up{part="daemon"}': _still(0)},
        {'penstock_part_up{part="daemon"}': "1x15 0x2 1x90"},
        labels=(("part", "daemon"),),
    ),
    Case(
        "PenstockDeliveryLost", {"penstock_ledger_unaccounted": _still(1)}, {"penstock_ledger_unaccounted": _still(0)}
    ),
    Case(
        "PenstockRequestsFail",
        {f'{_REQUESTS}_count{{status="503"}}': _rising(6), f'{_REQUESTS}_count{{status="202"}}': _rising(60)},
        {f'{_REQUESTS}_count{{status="503"}}': _rising(3), f'{_REQUESTS}_count{{status="404"}}': _rising(60)},
    ),
    Case(
        "PenstockIntakeSlow",
        _latency(_REQUESTS, _WEB, "5.0", route="/webhooks/github"),
        _latency(_REQUESTS, _WEB, "2.5", route="/webhooks/github") | _latency(_REQUESTS, _WEB, "10.0", route="/tasks"),
    ),
    Case(
        "PenstockConsumerLag",
        {'penstock_log_lag_seconds{consumer="relay",topic="t"}': _still(121)},
        {'penstock_log_lag_seconds{consumer="relay",topic="t"}': _still(119)},
        labels=(("consumer", "relay"), ("topic", "t")),
    ),
    Case(
        "PenstockQueueOld",
        {'penstock_tasks_oldest_seconds{state="queued"}': _still(1801)},
        {
            'penstock_tasks_oldest_seconds{state="queued"}': _still(1799),
            'penstock_tasks_oldest_seconds{state="waiting"}': _still(99999),
        },
    ),
    Case(
        "PenstockLeasesLapsed",
        {'penstock_leases{state="lapsed"}': _still(1)},
        {'penstock_leases{state="lapsed"}': _still(0), 'penstock_leases{state="live"}': _still(5)},
    ),
    Case(
        "PenstockAttemptsFail",
        {
            'penstock_attempts_total{outcome="failed"}': _rising(1),
            'penstock_attempts_total{outcome="resolved"}': _rising(2),
        },
        {
            'penstock_attempts_total{outcome="failed"}': _rising(1),
            'penstock_attempts_total{outcome="resolved"}': _rising(9),
        },
        after=70,
    ),
    Case(
        "PenstockResultsSlow",
        _latency(_RESULTS, _BUCKETS, "14400"),
        _latency(_RESULTS, _BUCKETS, "3600"),
        after=80,
    ),
    Case(
        "PenstockRelaunches",
        {'penstock_attempt_relaunches_total{reason="infrastructure"}': _rising(1)},
        {
            'penstock_attempt_relaunches_total{reason="infrastructure"}': _rising(0.1),
            'penstock_attempt_relaunches_total{reason="not begun"}': _rising(5),
        },
        after=50,
    ),
    Case(
        "PenstockSandboxUnavailable",
        {'penstock_sandbox_refusals_total{reason="unavailable"}': _rising(1)},
        {
            'penstock_sandbox_refusals_total{reason="unavailable"}': _still(7),
            'penstock_sandbox_refusals_total{reason="workspace"}': _rising(1),
        },
    ),
    Case(
        "PenstockPublicationsWait",
        {"penstock_publications_oldest_pending_seconds": _still(3601)},
        {"penstock_publications_oldest_pending_seconds": _still(3599)},
    ),
    Case(
        "PenstockDeadLetters",
        {'penstock_dead_letters{kind="record"}': _still(1)},
        {'penstock_dead_letters{kind="record"}': _still(0)},
        labels=(("kind", "record"),),
    ),
    Case(
        "PenstockModelRetries",
        {
            'penstock_model_retries_total{model="m"}': _rising(4),
            'penstock_model_requests_total{model="m"}': _rising(10),
        },
        {
            'penstock_model_retries_total{model="m"}': _rising(2),
            'penstock_model_requests_total{model="m"}': _rising(10),
        },
        after=40,
        labels=(("model", "m"),),
    ),
    Case(
        "PenstockModelCost",
        {'penstock_model_cost_money_total{model="m"}': _rising(3)},
        {'penstock_model_cost_money_total{model="m"}': _rising(0.5)},
        after=80,
        labels=(("model", "m"),),
    ),
    Case(
        "PenstockIndexFailing",
        {'penstock_index_failed_refreshes{team="t",source="s"}': _still(3)},
        {'penstock_index_failed_refreshes{team="t",source="s"}': _still(2)},
        labels=(("team", "t"), ("source", "s")),
    ),
    Case(
        "PenstockIndexBehind",
        {'penstock_index_waiting_seconds{team="t",source="s"}': _still(901)},
        {'penstock_index_waiting_seconds{team="t",source="s"}': _still(899)},
        labels=(("team", "t"), ("source", "s")),
    ),
    Case(
        "PenstockIndexUnchecked",
        {"penstock_index_oldest_look_age_seconds": _still(21601)},
        {"penstock_index_oldest_look_age_seconds": _still(21599)},
    ),
    Case(
        "PenstockMigrationStalled",
        {'penstock_migration_stalled{migration="1",state="building"}': _still(1)},
        {'penstock_migration_stalled{migration="1",state="building"}': _still(0)},
        labels=(("migration", "1"), ("state", "building")),
    ),
    Case(
        "PenstockEvalDrifted",
        {'penstock_eval_drifted{set="r",subject="s"}': _still(1)},
        {'penstock_eval_drifted{set="r",subject="s"}': _still(0)},
        labels=(("set", "r"), ("subject", "s")),
    ),
)
