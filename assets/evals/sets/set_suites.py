"""The checks of sets and of results as Great Expectations suites over their tables, with data docs.

They decide in Dagster, on the same facts as `set_checks` and `result_checks`, by which commands go.
"""

from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from assets.evals.runs.result_checks import OUTCOMES, ResultFacts
from assets.shared.data_docs import Docs, Suite, Table, run_suites

from .case_facts import CaseFacts
from .eval_set import EvalSet
from .set_checks import FACTS, CheckedSet

FOLDER = "data-docs"


def set_docs(found: EvalSet, checked: CheckedSet, root: Path) -> Docs:
    """Writes the data docs of a set's version under `root`, the folder of the results. Raises `OSError`."""
    tables = {
        "cases": Table(tuple(field.name for field in fields(CaseFacts)), [astuple(case) for case in checked.cases]),
        "set": Table(("part", "present"), [(part.name, part.present) for part in checked.parts]),
    }
    name = f"{found.version}-{found.sha256[:12]}"
    return run_suites(name, tables, _set_suites(found.manifest.splits), root / FOLDER / "sets" / found.name)


def result_docs(run: str, checked: ResultFacts, root: Path) -> Docs:
    """Writes the data docs of a run's results under `root`. Raises `OSError`."""
    return run_suites(run, checked.tables, RESULT_SUITES, root / FOLDER / "results")


def _empty(e: Any, check: str) -> list[Any]:
    """Every fact that breaks this check is empty."""
    columns = [fact for fact, (broken, _) in FACTS.items() if broken == check]
    return [e.ExpectColumnValuesToBeInSet(column=column, value_set=[""]) for column in columns]


def _set_suites(splits: tuple[str, ...]) -> dict[str, Suite]:
    return {
        "cases_are_distinct": lambda e: {
            "cases": [
                e.ExpectColumnValuesToBeUnique(column="id"),
                e.ExpectColumnValuesToBeUnique(column="content"),
                *_empty(e, "cases_are_distinct"),
            ]
        },
        "no_fix_in_the_history": lambda e: {"cases": _empty(e, "no_fix_in_the_history")},
        "no_answer_in_the_query": lambda e: {"cases": _empty(e, "no_answer_in_the_query")},
        "nothing_is_missing": lambda e: {
            "cases": [
                *_empty(e, "nothing_is_missing"),
                e.ExpectTableRowCountToBeBetween(min_value=1),
                e.ExpectColumnValuesToBeInSet(column="split", value_set=list(splits)),
                e.ExpectColumnValueLengthsToBeBetween(column="cluster", min_value=1),
            ],
            "set": [e.ExpectColumnValuesToBeInSet(column="present", value_set=[True])],
        },
    }


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
