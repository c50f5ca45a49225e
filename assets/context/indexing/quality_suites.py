"""The checks of the quality gate as Great Expectations suites, with readable data docs.

They only document the gate: the refresh has decided before they run. Importing Great Expectations takes seconds,
so only the asset runs them, on the rows from `assets.context.indexing.quality_sample`.
"""

from pathlib import Path
from typing import Any

from assets.context.indexing.quality import CHECKS, LENGTH_ERROR
from assets.context.indexing.quality_sample import Sample
from assets.shared import data_docs
from assets.shared.data_docs import Docs, Suite, Table


def run_suites(sample: Sample, folder: Path) -> Docs:
    """Validates a sample and writes its data docs below `folder`, which retains those of the last few versions."""
    gate = sample.gate
    name = f"{gate.version:06d}-{gate.commit[:12]}{'' if gate.passed else '-failed'}"
    tables = {table: Table(columns, rows) for table, (columns, rows) in sample.tables.items()}
    return data_docs.run_suites(name, tables, {check: _SUITES[check] for check in CHECKS}, folder)


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
        "zeros": [
            e.ExpectColumnPairValuesAToBeGreaterThanB(column_A="allowed", column_B="found", or_equal=True),
            e.ExpectColumnPairValuesAToBeGreaterThanB(column_A="confirmed", column_B="found", or_equal=True),
        ],
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


_SUITES: dict[str, Suite] = {
    "no_orphan_chunks": _orphans,
    "vectors_are_sound": _vectors,
    "counts_agree_with_git": _counts,
    "no_duplicate_keys": _duplicates,
    "models_are_known": _models,
}
