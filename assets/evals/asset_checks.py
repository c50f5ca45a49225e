"""Turns checks of sets and results into Dagster asset checks, with the outcome of the suites on the same rows.

Great Expectations decides here, and the plain checks name what is wrong. Commands use the plain checks alone, since
importing Great Expectations takes seconds.
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
"""The most problems that are listed; the data docs have all."""


def specs(asset: str, checks: Mapping[str, str]) -> list[AssetCheckSpec]:
    """Blocking checks: if one fails, assets downstream of the asset do not start in the same run."""
    return [
        AssetCheckSpec(name=name, asset=asset, description=promise, blocking=True) for name, promise in checks.items()
    ]


def docs_of(write: Callable[[], Docs]) -> Docs | None:
    """The data docs; None if they cannot be written, which is logged and does not fail the run."""
    try:
        return write()
    except OSError as error:  # for example a full disk
        get_dagster_logger().warning("the data docs could not be written: %s", error)
        return None


def results_of(by_check: Mapping[str, tuple[str, ...]], docs: tuple[Docs | None, ...]) -> list[AssetCheckResult]:
    """One result per check, with the problems, the outcome of the suites, and the paths of the data docs."""
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
                description=said or (f"All {met} expectations were met." if suites else "Passed."),
                metadata=metadata,
            )
        )
    return results


def docs_metadata(docs: Docs | None, name: str = "data_docs") -> dict[str, MetadataValue[Any]]:
    return {name: MetadataValue.path(Path(docs.index))} if docs else {}


def with_losses(one: AssetCheckResult, complete: bool, said: str, flaky: str) -> AssetCheckResult:
    """The check that results are whole, failing also for results lost to infrastructure. Lost results alone only warn
    and do not block: the comparison decides how many may be lost."""
    return AssetCheckResult(
        check_name=one.check_name,
        passed=one.passed and complete,
        severity=AssetCheckSeverity.WARN if one.passed else one.severity,
        description=said if one.passed else f"{one.description} ({said})",
        metadata={**one.metadata, "flaky": MetadataValue.text(flaky)},
    )
