"""`penstock eval sets`, `seal` and `add`: lists eval sets, seals versions and adds cases."""

from pathlib import Path
from typing import Annotated, Any

import typer

from core.counts import counted
from dagster_project.cli.eval.errors import SetName, user_errors
from dagster_project.cli.output import AsJson, CommandFailed, data, line, note, table
from dagster_project.eval_places import find_set, set_roots


@user_errors
def sets(as_json: AsJson = False) -> None:
    """List the eval sets and their problems. Exit code 1 if there are any."""
    from assets.evals.sets.eval_set import find_sets, load_set
    from assets.evals.sets.set_checks import check_set
    from assets.evals.sets.set_files import EvalSetError

    rows: list[dict[str, Any]] = []
    for name, root in find_sets(set_roots()).items():
        try:
            found = load_set(root)
            looked = check_set(found)
            rows.append(
                {
                    "name": name, "kind": found.manifest.kind, "version": found.version, "sha256": found.sha256,
                    "cases": len(found.cases), "clusters": found.clusters, "splits": list(found.manifest.splits),
                    "licence": found.manifest.licence, "title": found.manifest.title, "folder": str(root),
                    "problems": list(looked.problems), "remarks": list(looked.remarks),
                }
            )  # fmt: skip
        except EvalSetError as error:
            rows.append({"name": name, "folder": str(root), "problems": [str(error)], "remarks": []})
    if as_json:
        data(rows)
    else:
        table(
            ["set", "version", "hash", "cases", "clusters", "splits", "what"],
            [
                [row["name"], row.get("version", "?"), row.get("sha256", "")[:12], row.get("cases", "?"),
                 row.get("clusters", "?"), ", ".join(row.get("splits", [])), row.get("title", "unusable")]
                for row in rows
            ],
            empty=f"No eval set: each is a folder in {set_roots()[0]}, as docs/evals.md says.",
        )  # fmt: skip
        for row in rows:
            for said in (*row["problems"], *row["remarks"]):
                note(f"{row['name']}: {said}")
    if any(row["problems"] for row in rows):
        raise typer.Exit(1)


@user_errors
def seal_set(name: SetName) -> None:
    """Seal the set's present version: from then on its cases cannot change without a new version."""
    from assets.evals.sets.eval_set import load_set, seal
    from assets.evals.sets.set_checks import check_set

    root = find_set(name)
    problems = check_set(load_set(root, sealed=False)).problems
    if problems:
        raise CommandFailed("; ".join(problems))
    sealed = seal(root)
    line(f"{sealed.name} {sealed.version}: {counted(len(sealed.cases), 'case')}, {sealed.sha256}")


@user_errors
def add(
    name: SetName,
    case: Annotated[Path, typer.Argument(help="The case's folder; for plain sets, a JSON lines file.", exists=True)],
) -> None:
    """Add a case to a set, which gets a new minor version."""
    from assets.evals.sets.additions import add_case

    grown = add_case(find_set(name), case)
    line(f"{grown.name} {grown.version}: {counted(len(grown.cases), 'case')}")
