"""Checks of sets and results as Dagster shows them: what was decided, and what the suites found on the same rows.

Here Great Expectations decides, and the plain checks name what is wrong; commands, which have no seconds to import it,
go by the plain checks alone.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    MetadataValue,
    get_dagster_logger,
)

from assets.shared.data_docs import Docs
from assets.shared.markdown import cell

SAID = 20
"""Problems that are written out; all are in the data docs."""


def specs(asset: str, checks: Mapping[str, str]) -> list[AssetCheckSpec]:
    """Blocking ones: what comes after the asset in the same run does not start when one of them fails."""
    return [
        AssetCheckSpec(name=name, asset=asset, description=promise, blocking=True) for name, promise in checks.items()
    ]


def docs_of(write: Callable[[], Docs]) -> Docs | None:
    """Data docs are for people: what keeps them from being written is told, and is no reason to fail a run."""
    try:
        return write()
    except OSError as error:  # a full disk, a folder that is not ours
        get_dagster_logger().warning("no data docs were written: %s", error)
        return None


def results_of(by_check: Mapping[str, tuple[str, ...]], docs: tuple[Docs | None, ...]) -> list[AssetCheckResult]:
    """One result a check, with the problems, what the suites found, and the pages."""
    results = []
    for name, problems in by_check.items():
        metadata: dict[str, MetadataValue[Any]] = {}
        if problems:
            more = [f"- … and {len(problems) - SAID} more"] if len(problems) > SAID else []
            metadata["problems"] = MetadataValue.md(
                "\n".join([*(f"- {cell(said)}" for said in problems[:SAID]), *more])
            )
        suites = [one[name] for one in docs if one is not None]
        met = sum(suite.expectations for suite in suites)
        failed = [said for suite in suites for said in suite.failed] if suites else list(problems)
        if suites:
            metadata["suite"] = MetadataValue.text("; ".join(failed) or f"all {met} expectations were met")
        pages = [one.index for one in docs if one is not None]
        for number, page in enumerate(pages, 1):
            metadata["data_docs" if len(pages) == 1 else f"data_docs_{number}"] = MetadataValue.path(page)
        told = problems or failed
        said = "; ".join(told[:2]) + (f" and {len(told) - 2} more" if len(told) > 2 else "")
        results.append(
            AssetCheckResult(
                check_name=name,
                passed=not failed,
                severity=AssetCheckSeverity.ERROR,
                description=said or (f"All {met} expectations were met." if suites else "Holds."),
                metadata=metadata,
            )
        )
    return results


def docs_metadata(docs: Docs | None, name: str = "data_docs") -> dict[str, MetadataValue[Any]]:
    return {name: MetadataValue.path(Path(docs.index))} if docs else {}


def with_losses(one: AssetCheckResult, complete: bool, said: str, flaky: str) -> AssetCheckResult:
    """The check that results are whole, which fails for those lost to infrastructure too. That alone does not block:
    how many may be lost is the comparison's to say."""
    return AssetCheckResult(
        check_name=one.check_name,
        passed=one.passed and complete,
        severity=AssetCheckSeverity.WARN if one.passed else one.severity,
        description=said if one.passed else f"{one.description} ({said})",
        metadata={**one.metadata, "flaky": MetadataValue.text(flaky)},
    )
