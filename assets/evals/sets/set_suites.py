"""The checks of a set and of results as Great Expectations suites over their tables, with data docs.

They decide in Dagster, on the same facts as `set_checks` and `result_checks`, by which commands go.
"""

from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from assets.evals.runs.result_checks import OUTCOMES, ResultFacts
from assets.shared.data_docs import Docs, Suite, Table, run_suites

from .case_facts import CaseFacts
from .eval_set import EvalSet
from .set_checks import CHECKS, Found

FOLDER = "data-docs"


def set_docs(found: EvalSet, looked: Found, root: Path) -> Docs:
    """Data docs of a set's version, below `root` (that of the results). Raises `OSError`."""
    tables = {
        "cases": Table(tuple(field.name for field in fields(CaseFacts)), [astuple(case) for case in looked.cases]),
        "set": Table(("part", "present"), [(part.name, part.present) for part in looked.parts]),
    }
    name = f"{found.version}-{found.sha256[:12]}"
    return run_suites(name, tables, _set_suites(found.manifest.splits), root / FOLDER / "sets" / found.name)


def result_docs(run: str, looked: ResultFacts, root: Path) -> Docs:
    """Data docs of a run's results, below `root`. Raises `OSError`."""
    return run_suites(run, looked.tables, RESULT_SUITES, root / FOLDER / "results")


def _empty(e: Any, *columns: str) -> list[Any]:
    return [e.ExpectColumnValuesToBeInSet(column=column, value_set=[""]) for column in columns]


def _set_suites(splits: tuple[str, ...]) -> dict[str, Suite]:
    suites: dict[str, Suite] = {
        "cases_are_distinct": lambda e: {
            "cases": [
                e.ExpectColumnValuesToBeUnique(column="id"),
                e.ExpectColumnValuesToBeUnique(column="content"),
                *_empty(e, "near"),
            ]
        },
        "no_fix_in_the_history": lambda e: {"cases": _empty(e, "history", "link", "fix_object")},
        "no_answer_in_the_query": lambda e: {"cases": _empty(e, "quoted_fix", "quoted_test", "shown_test")},
        "nothing_is_missing": lambda e: {
            "cases": [
                *_empty(e, "missing"),
                e.ExpectTableRowCountToBeBetween(min_value=1),
                e.ExpectColumnValuesToBeInSet(column="split", value_set=list(splits)),
                e.ExpectColumnValueLengthsToBeBetween(column="cluster", min_value=1),
            ],
            "set": [e.ExpectColumnValuesToBeInSet(column="present", value_set=[True])],
        },
    }
    return {name: suites[name] for name in CHECKS}


RESULT_SUITES: dict[str, Suite] = {
    "results_are_whole": lambda e: {
        "results": [
            e.ExpectCompoundColumnsToBeUnique(column_list=["case", "repeat"]),
            e.ExpectColumnValuesToBeInSet(column="planned", value_set=[True]),
        ],
        "counts": [e.ExpectColumnPairValuesToBeEqual(column_A="wanted", column_B="found")],
    },
    "results_are_sound": lambda e: {
        "results": [
            e.ExpectColumnPairValuesToBeEqual(column_A="learnt", column_B="has_success"),
            e.ExpectColumnValuesToBeInSet(column="outcome", value_set=list(OUTCOMES)),
            e.ExpectColumnValuesToBeBetween(column="least_metric", min_value=0),
            e.ExpectColumnValuesToBeBetween(column="tries", min_value=1),
            e.ExpectColumnValueLengthsToBeBetween(column="ended", min_value=1),
        ]
    },
    "versions_are_known": lambda e: {
        "inputs": [e.ExpectColumnValueLengthsToBeBetween(column="value", min_value=1)],
    },
}
