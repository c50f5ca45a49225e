"""Runs Great Expectations over small tables in memory and writes data docs that show what was checked.

The caller defines the expectations. Importing Great Expectations takes seconds, so only assets call this,
at their end. The pages load nothing from the network.
"""

import html
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from assets.shared.offline_pages import make_offline, offline_page

KEPT_DOCS = 10
SHOWN = 300

Suite = Callable[[Any], dict[str, list[Any]]]
"""Takes the module `great_expectations.expectations`; returns the expectations of each table by its name."""


@dataclass(frozen=True)
class Table:
    """A table to validate: column names, and rows of plain values."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """The result of one suite; `failed` lists the expectations that were not met, with the values that failed."""

    name: str
    passed: bool
    expectations: int
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Docs:
    """The suites' results, to be looked up by the check's name, and the page that shows them."""

    results: tuple[SuiteResult, ...]
    index: Path

    def __getitem__(self, name: str) -> SuiteResult:
        return next(result for result in self.results if result.name == name)


def run_suites(name: str, tables: Mapping[str, Table], suites: Mapping[str, Suite], folder: Path) -> Docs:
    """Validates the tables, one suite per check, and writes the data docs to `folder/name`, replacing existing ones.

    `folder` retains the docs of the newest `KEPT_DOCS` names. Raises `OSError` when it cannot be written.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    import pandas as pd  # type: ignore[import-untyped,unused-ignore]

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=folder))
    try:
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False, "metric_calculations": False}  # type: ignore[assignment]
        for site in context.get_site_names():
            context.delete_data_docs_site(site)
        context.add_data_docs_site("docs", _site(building))
        source = context.data_sources.add_pandas("rows")
        batches = {}
        for table, content in tables.items():
            frame = pd.DataFrame([_safe(row) for row in content.rows], columns=list(content.columns))
            asset = source.add_dataframe_asset(table)
            batches[table] = (asset.add_batch_definition_whole_dataframe("all"), frame)
        results = tuple(_run(gx, context, check, suite, batches) for check, suite in suites.items())
        context.build_data_docs()
        shutil.rmtree(building / "static" / "fonts", ignore_errors=True)  # most of a page's bytes
        make_offline(building)
        # The library's own index page lists nothing without scripts from the network.
        (building / "index.html").write_bytes(offline_page(_index(f"{folder.name} {name}", results, building).encode()))
        made = folder / name
        shutil.rmtree(made, ignore_errors=True)
        building.rename(made)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    _prune(folder)
    return Docs(results, made / "index.html")


def _index(name: str, results: Sequence[SuiteResult], root: Path) -> str:
    """A page of all checks with the expectations that were not met, and links to the pages of each suite."""
    rows = []
    for result in results:
        pages = sorted(root.glob(f"validations/{result.name} (*)/**/*.html"))
        links = ", ".join(
            f'<a href="{quote(page.relative_to(root).as_posix())}">{html.escape(page.relative_to(root).parts[1])}</a>'
            for page in pages
        )
        failures = "".join(f"<li>{html.escape(html.unescape(one))}</li>" for one in result.failed)
        rows.append(
            f"<tr><td>{html.escape(result.name)}</td><td>{'holds' if result.passed else '<b>does not hold</b>'}</td>"
            f"<td>{result.expectations}</td><td><ul>{failures}</ul></td><td>{links}</td></tr>"
        )
    head = "".join(f"<th>{title}</th>" for title in ("check", "", "expectations", "not met", "details"))
    title = html.escape(name)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head><body>'
        f"<h1>{title}</h1><table><tr>{head}</tr>{''.join(rows)}</table></body></html>\n"
    )


def _safe(row: Sequence[object]) -> list[object]:
    """Escapes texts, which come from outside, since the library writes them to its pages unescaped."""
    return [html.escape(value) if isinstance(value, str) else value for value in row]


def _site(folder: Path) -> Any:
    return {
        "class_name": "SiteBuilder",
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
    }


def _run(gx: Any, context: Any, check: str, suite: Suite, batches: dict[str, Any]) -> SuiteResult:
    """Runs the suite of one check: one validation per table."""
    failed: list[str] = []
    count = 0
    for table, expectations in suite(gx.expectations).items():
        batch, frame = batches[table]
        made = context.suites.add(gx.ExpectationSuite(name=f"{check} ({table})", expectations=expectations))
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(name=f"{check} ({table})", data=batch, suite=made)
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
                column = result.expectation_config.kwargs.get("column", "")
                failed.append(f"{table}: {column} {result.expectation_config.type}: {str(seen)[:SHOWN]}")
    return SuiteResult(check, not failed, count, tuple(failed))


def _prune(folder: Path) -> None:
    made = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for old in made[:-KEPT_DOCS]:
        shutil.rmtree(old, ignore_errors=True)
