"""The quality gate once more, as Great Expectations suites with data docs that people can read.

Importing Great Expectations takes seconds, so only the asset does this, after the refresh has decided;
nothing here decides. Runs on the rows that `assets.context.quality_sample` took.
"""

import html
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.context.quality import CHECKS, LENGTH_ERROR
from assets.context.quality_sample import Sample

KEPT_DOCS = 10


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """What one suite found: `failed` names the expectations that were not met, with what was seen."""

    name: str
    passed: bool
    expectations: int
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Docs:
    """The suites' results by check, and the page that shows them."""

    results: tuple[SuiteResult, ...]
    index: Path


def run_suites(sample: Sample, folder: Path) -> Docs:
    """Validates a sample and writes its data docs below `folder`, which keeps those of the last `KEPT_DOCS`."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    import pandas as pd  # type: ignore[import-untyped,unused-ignore]

    gate = sample.gate
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{gate.version:06d}-{gate.commit[:12]}{'' if gate.passed else '-failed'}"
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=folder))
    try:
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = _quiet()
        for site in context.get_site_names():
            context.delete_data_docs_site(site)
        context.add_data_docs_site("docs", _site(building))
        source = context.data_sources.add_pandas("staged version")
        batches = {}
        for table, (columns, rows) in sample.tables.items():
            frame = pd.DataFrame([_safe(row) for row in rows], columns=list(columns))
            asset = source.add_dataframe_asset(table)
            batches[table] = (asset.add_batch_definition_whole_dataframe("all"), frame)
        results = tuple(_run(gx, context, check, batches) for check in CHECKS)
        context.build_data_docs()
        shutil.rmtree(building / "static" / "fonts", ignore_errors=True)  # most of a page's bytes
        made = folder / name
        shutil.rmtree(made, ignore_errors=True)
        building.rename(made)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    _prune(folder)
    return Docs(results, made / "index.html")


def _safe(row: Sequence[object]) -> list[object]:
    """Paths come from the repository, and the pages show them as they are."""
    return [html.escape(value) if isinstance(value, str) else value for value in row]


def _quiet() -> Any:
    return {"globally": False, "metric_calculations": False}


def _site(folder: Path) -> Any:
    return {
        "class_name": "SiteBuilder",
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
    }


def _run(gx: Any, context: Any, check: str, batches: dict[str, Any]) -> SuiteResult:
    """One suite a check; a check that looks at two tables has a part for each."""
    parts = _EXPECTATIONS[check](gx.expectations)
    failed: list[str] = []
    count = 0
    for table, expectations in parts.items():
        batch, frame = batches[table]
        suite = context.suites.add(gx.ExpectationSuite(name=f"{check} ({table})", expectations=expectations))
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(name=f"{check} ({table})", data=batch, suite=suite)
        )
        outcome = definition.run(
            batch_parameters={"dataframe": frame},
            result_format={"result_format": "SUMMARY"},
            run_id=gx.RunIdentifier(run_name=f"{check} ({table})"),
        )
        for result in outcome.results:
            count += 1
            if not result.success:
                seen = result.result.get("partial_unexpected_list") or result.exception_info
                failed.append(f"{table}: {result.expectation_config.type}: {str(seen)[:300]}")
    return SuiteResult(check, not failed, count, tuple(failed))


def _orphans(e: Any) -> dict[str, list[Any]]:
    return {
        "contents": [
            e.ExpectColumnValuesToBeInSet(column="found", value_set=[True]),
            e.ExpectColumnPairValuesToBeEqual(column_A="chunks_wanted", column_B="chunks_found"),
            e.ExpectColumnPairValuesToBeEqual(column_A="chunks_wanted", column_B="chunks_numbered"),
        ]
    }


def _vectors(e: Any) -> dict[str, list[Any]]:
    from great_expectations.expectations.row_conditions import Column

    return {
        "vectors": [
            e.ExpectColumnValuesToNotBeNull(column="length"),
            e.ExpectColumnPairValuesToBeEqual(column_A="width_wanted", column_B="width"),
            e.ExpectColumnValuesToBeBetween(
                column="length",
                min_value=1 - LENGTH_ERROR,
                max_value=1 + LENGTH_ERROR,
                row_condition=Column("length") != 0,
            ),
        ],
        "zeros": [e.ExpectColumnPairValuesAToBeGreaterThanB(column_A="allowed", column_B="found", or_equal=True)],
    }


def _counts(e: Any) -> dict[str, list[Any]]:
    return {"counts": [e.ExpectColumnPairValuesToBeEqual(column_A="wanted", column_B="found")]}


def _duplicates(e: Any) -> dict[str, list[Any]]:
    return {
        "files": [
            e.ExpectColumnValuesToBeUnique(column="path"),
            e.ExpectColumnValuesToBeBetween(column="rows_of_path", min_value=1, max_value=1),
            e.ExpectColumnValuesToMatchRegex(column="blob", regex="^(?:[0-9a-f]{40}|[0-9a-f]{64})$"),
        ],
        "vectors": [e.ExpectCompoundColumnsToBeUnique(column_list=["model", "content", "chunk"])],
    }


def _models(e: Any) -> dict[str, list[Any]]:
    return {
        "models": [
            e.ExpectColumnValuesToNotBeNull(column="model"),
            e.ExpectColumnValuesToNotBeInSet(column="state", value_set=["retired"]),
        ]
    }


_EXPECTATIONS: dict[str, Callable[[Any], dict[str, list[Any]]]] = {
    "no_orphan_chunks": _orphans,
    "vectors_are_sound": _vectors,
    "counts_agree_with_git": _counts,
    "no_duplicate_keys": _duplicates,
    "models_are_known": _models,
}


def _prune(folder: Path) -> None:
    made = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for old in made[:-KEPT_DOCS]:
        shutil.rmtree(old, ignore_errors=True)
