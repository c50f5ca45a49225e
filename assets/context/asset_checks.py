"""Reports the quality gate of `context_index` as Dagster asset checks, with data docs of the checked rows.

The gate has decided before this runs. The suites take seconds of CPU, so the pages of a source that changes
often are written at most every `SUITES_EVERY` seconds, and whenever its gate fails.
"""

import re
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import AssetCheckResult, AssetCheckSeverity, AssetCheckSpec, MetadataValue, get_dagster_logger

from assets.context.indexing.quality import CHECKS, Gate
from assets.context.indexing.quality_sample import Sample

if TYPE_CHECKING:
    from assets.shared.data_docs import Docs

SUITES_EVERY = 600.0
"""The least time in seconds between two versions of a source's data docs while its gate passes."""

SPECS = [AssetCheckSpec(name=name, asset="context_index", description=promise) for name, promise in CHECKS.items()]


@dataclass(frozen=True, slots=True)
class Shown:
    """`page` is the index of the source's newest data docs. `suites` maps each check to the expectations that failed;
    it is empty if the suites did not run this time."""

    page: Path | None
    suites: dict[str, tuple[str, ...]]


def docs_folder(home: Path, team_id: uuid.UUID, source: str) -> Path:
    """The folder of a source's data docs."""
    return home / "data-docs" / str(team_id) / re.sub(r"[^a-z0-9._-]", "_", source)


def show(folder: Path, sample: Sample | None) -> Shown:
    """Writes the data docs of a sample, unless the newest ones are recent enough."""
    newest = max(folder.glob("*/index.html"), key=lambda page: page.stat().st_mtime, default=None)
    if sample is None:
        return Shown(newest, {})
    if sample.gate.passed and newest and time.time() - newest.stat().st_mtime < SUITES_EVERY:
        return Shown(newest, {})
    docs = run_late(sample, folder)
    return Shown(docs.index, {result.name: result.failed for result in docs.results}) if docs else Shown(newest, {})


def run_late(sample: Sample, folder: Path) -> "Docs | None":
    """Imports Great Expectations and runs the suites. Returns None if the pages cannot be written, which must not fail
    a refresh."""
    from assets.context.indexing.quality_suites import run_suites

    try:
        return run_suites(sample, folder)
    except OSError as error:  # such as a full disk or missing permissions
        get_dagster_logger().warning("could not write data docs to %s: %s", folder, error)
        return None


def check_results(gate: Gate | None, shown: Shown) -> list[AssetCheckResult]:
    """One result per check: the gate's decision, and the suites' result for the same rows."""
    decided = {check.name: check for check in gate.checks} if gate else {}
    results = []
    for name in CHECKS:
        check = decided.get(name)
        passed = check is None or check.passed
        metadata: dict[str, MetadataValue[Any]] = {
            "detail": MetadataValue.text(check.detail if check else "no version has been checked yet")
        }
        if gate:
            metadata["version"] = MetadataValue.text(f"{gate.source}#{gate.version}")
            metadata["commit"] = MetadataValue.text(gate.commit)
        if name in shown.suites:
            found = shown.suites[name]
            metadata["suite"] = MetadataValue.text("; ".join(found) or "agrees: all expectations were met")
            if bool(found) == passed:
                metadata["disagreement"] = MetadataValue.text("the gate and the suite disagree: one of them is wrong")
                passed = False
        if shown.page:
            metadata["data_docs"] = MetadataValue.path(shown.page)
        severity = AssetCheckSeverity.ERROR
        results.append(AssetCheckResult(check_name=name, passed=passed, severity=severity, metadata=metadata))
    return results
