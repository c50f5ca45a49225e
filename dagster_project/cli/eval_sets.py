"""`penstock eval sets`, `seal`, `add` and `harvest`: what there is to run, and how it grows."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dagster_project.cli.eval_errors import SetName, told
from dagster_project.cli.output import AsJson, CommandFailed, data, line, note, table
from dagster_project.eval_places import find_set, set_roots


@told
def sets(as_json: AsJson = False) -> None:
    """List the eval sets, and what is wrong with them. Exit code 1 if anything is."""
    from assets.evals.set_checks import check_set
    from assets.evals.sets import EvalSetError, find_sets, load_set

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
            empty="no eval sets",
        )  # fmt: skip
        for row in rows:
            for said in (*row["problems"], *row["remarks"]):
                note(f"{row['name']}: {said}")
    if any(row["problems"] for row in rows):
        raise typer.Exit(1)


@told
def seal_set(name: SetName) -> None:
    """Record what the set's present version holds. Its cases cannot change afterwards without a new version."""
    from assets.evals.set_checks import check_set
    from assets.evals.sets import load_set, seal

    root = find_set(name)
    problems = check_set(load_set(root, sealed=False)).problems
    if problems:
        raise CommandFailed("; ".join(problems))
    sealed = seal(root)
    line(f"{sealed.name} {sealed.version}: {len(sealed.cases)} cases, {sealed.sha256}")


@told
def add(
    name: SetName,
    case: Annotated[Path, typer.Argument(help="A folder; for plain sets, a file of JSON lines.", exists=True)],
) -> None:
    """Add a case to a set, as its next minor version."""
    from assets.evals.additions import add_case

    grown = add_case(find_set(name), case)
    line(f"{grown.name} {grown.version}: {len(grown.cases)} cases")


@told
def harvest_case(
    name: SetName,
    case: Annotated[str, typer.Argument(metavar="ID", help="The new case's id, as page-numbers-off-by-one.")],
    repo: Annotated[Path, typer.Option(help="The git repository.", exists=True, file_okay=False)],
    issue: Annotated[Path, typer.Option(help="The issue; its title in the first line.", exists=True, dir_okay=False)],
    fixed: Annotated[str, typer.Option(help="The commit with the accepted fix and its tests, or its branch.")],
    bug_class: Annotated[str, typer.Option(help="What kind of bug, as off-by-one.")],
    family: Annotated[str, typer.Option(help="A family of the set, as condition or numeric.")],
    base: Annotated[str | None, typer.Option(help="The commit before the fix; the parent if not given.")] = None,
    split: Annotated[str, typer.Option(help="dev, or check for cases that nobody looks into.")] = "check",
    visible: Annotated[
        list[str] | None, typer.Option(help="A test of the fix that the solver may see; may be repeated.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for proposals.")] = Path("proposed-cases"),
) -> None:
    """Propose a case from an accepted fix, as that of a resolved task. It counts once `eval add` takes it in."""
    from datetime import date

    from pydantic import ValidationError

    from assets.evals.harvest import harvest
    from assets.evals.repair_set import CaseFields, check_case, load_case
    from assets.evals.sets import load_set
    from core.git import Repository
    from core.settings import load_settings
    from sandbox import open_sandbox

    found = load_set(find_set(name))
    if found.manifest.kind != "repair":
        raise CommandFailed(f"{found.name} is of kind {found.manifest.kind!r}; cases are harvested for sets of repairs")
    pytest = ("python", "-m", "pytest", "-q")
    try:
        fields = CaseFields.model_validate(
            {
                "id": case, "bug_class": bug_class, "family": family, "split": split, "cluster": repo.resolve().name,
                "expected": "resolved", "runner": "pytest", "layout": "src" if (repo / "src").is_dir() else "flat",
                "test": pytest, "heldback": pytest, "tags": ("harvested",), "created": date.today(),
            }
        )  # fmt: skip
    except ValidationError as error:
        raise CommandFailed("; ".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors())) from error
    folder = harvest(
        Repository(repo.resolve()), base or f"{fixed}~1", fixed, fields, issue.read_text(encoding="utf-8"), out,
        visible=tuple(visible or ()),
    )  # fmt: skip
    problems = check_case(load_case(folder), open_sandbox(load_settings().sandbox))
    line(f"proposed: {folder}")
    for problem in problems:
        line(f"not sound yet: {problem}")
    if problems:
        raise typer.Exit(1)
    line(f"Read it as a stranger would; then: penstock eval add {name} {folder}")
