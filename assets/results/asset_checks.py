"""The asset check that every accepted delivery is accounted for."""

from datetime import timedelta

from dagster import AssetCheckResult, AssetCheckSeverity, MetadataValue, ResourceParam, asset_check

from assets.platform import Platform
from core.health.ledger import read_ledger

WITHIN = timedelta(days=7)


@asset_check(
    asset="result",
    name="ledger_balances",
    description="Each delivery accepted during the last seven days is published, unresolved, failed, refused, ignored, "
    "cancelled, dead-lettered, applied as a change, or in progress; none is lost.",
)
def ledger_balances(platform: ResourceParam[Platform]) -> AssetCheckResult:
    with platform.database.system() as connection:
        found = read_ledger(connection, WITHIN)
    rows = [f"| {outcome} | {count} |" for outcome, count in found.outcomes.items()]
    return AssetCheckResult(
        passed=found.balanced,
        severity=AssetCheckSeverity.ERROR,
        metadata={
            "accepted": found.accepted,
            "duplicates": found.duplicates,
            "lost": found.lost,
            "attempts_without_outcome_event": found.without_outcome,
            "outcomes": MetadataValue.md("\n".join(["| outcome | deliveries |", "|---|---|", *rows])),
        },
    )
