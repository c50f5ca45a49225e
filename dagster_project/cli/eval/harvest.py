"""`penstock eval harvest`: proposes an accepted fix as a case of a repair set."""

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.cli.access import TeamName, team_of
from dagster_project.cli.eval.errors import SetName, user_errors
from dagster_project.cli.output import CommandFailed, line
from dagster_project.eval_places import find_set

if TYPE_CHECKING:
    from assets.evals.harvest.from_task import ResolvedTask
    from assets.evals.sets.repair import CaseFields
    from core.git import Repository

PYTEST = ("python", "-m", "pytest", "-q")


@user_errors
def harvest_case(
    name: SetName,
    case: Annotated[str, typer.Argument(metavar="ID", help="The new case's id, for example page-numbers-off-by-one.")],
    bug_class: Annotated[str, typer.Option(help="The kind of bug, for example off-by-one.")],
    family: Annotated[str, typer.Option(help="A family of the set, for example condition or numeric.")],
    task: Annotated[
        str | None, typer.Option(help="A resolved task, which provides repository, base, issue, patch and tests.")
    ] = None,
    repo: Annotated[Path | None, typer.Option(help="The git repository.", exists=True, file_okay=False)] = None,
    issue: Annotated[
        Path | None, typer.Option(help="File with the issue, its title in the first line.", exists=True, dir_okay=False)
    ] = None,
    fixed: Annotated[str | None, typer.Option(help="Commit or branch with the accepted fix and its tests.")] = None,
    base: Annotated[str | None, typer.Option(help="The commit before the fix; by default its parent.")] = None,
    split: Annotated[str, typer.Option(help="dev, or check for cases that nobody looks at.")] = "check",
    visible: Annotated[
        list[str] | None, typer.Option(help="A test of the fix that the solver may see; can be repeated.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for proposals.")] = Path("proposed-cases"),
    team: TeamName = None,
) -> None:
    """Propose a case from an accepted fix of a task or a commit. `eval add` adds it to the set after review."""
    from assets.evals.harvest.from_task import harvest_task
    from assets.evals.harvest.proposal import REVIEW, harvest
    from assets.evals.sets.eval_set import load_set
    from assets.evals.sets.repair import check_case, load_case
    from core.git import Repository
    from core.settings import load_settings
    from sandbox import open_sandbox

    found = load_set(find_set(name))
    if found.manifest.kind != "repair":
        raise CommandFailed(f"{found.name} is of kind {found.manifest.kind!r}; only repair sets accept harvested cases")
    if task is not None:
        if repo or issue or base:
            raise typer.BadParameter("the task provides repository, base and issue: omit them", param_hint="--task")
        repository, resolved, source = _resolved(task, team)
        fields = _fields(case, bug_class, family, split, source, repository, resolved.base_commit)
        if fixed is None:
            folder = harvest_task(repository, resolved, fields, out)
        else:
            folder = harvest(
                repository, resolved.base_commit, fixed, fields, resolved.issue, out, visible=tuple(visible or ())
            )
    else:
        if repo is None or issue is None or fixed is None:
            raise typer.BadParameter("give --task, or --repo, --issue and --fixed", param_hint="--task")
        repository = Repository(repo.resolve())
        before = base or f"{fixed}~1"
        fields = _fields(case, bug_class, family, split, repo.resolve().name, repository, before)
        text = issue.read_text(encoding="utf-8")
        folder = harvest(repository, before, fixed, fields, text, out, visible=tuple(visible or ()))
    problems = check_case(load_case(folder), open_sandbox(load_settings().sandbox))
    line(f"proposed: {folder}")
    for problem in problems:
        line(f"problem: {problem}")
    line(f"Review it as somebody who does not know the fix, and enter your name in {folder / REVIEW};")
    line(f"then: penstock eval add {name} {folder}")
    if problems:
        raise typer.Exit(1)


def _fields(
    case: str, bug_class: str, family: str, split: str, cluster: str, repository: "Repository", commit: str
) -> "CaseFields":
    from datetime import date

    from pydantic import ValidationError

    from assets.evals.sets.repair import CaseFields

    flat = not any(path.startswith("src/") for path in repository.paths(repository.resolve(commit)))
    try:
        return CaseFields.model_validate(
            {
                "id": case, "bug_class": bug_class, "family": family, "split": split, "cluster": cluster,
                "expected": "resolved", "runner": "pytest", "layout": "flat" if flat else "src",
                "test": PYTEST, "heldback": PYTEST, "tags": ("harvested",), "created": date.today(),
            }
        )  # fmt: skip
    except ValidationError as error:
        raise CommandFailed("; ".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors())) from error


def _resolved(text: str, team: str | None) -> "tuple[Repository, ResolvedTask, str]":
    """The platform's mirror of a task's repository, the task's records, and the name of its source."""
    from assets.context.indexing.refresh import mirror_path
    from assets.context.source.sources import SourceError, find_source
    from assets.evals.harvest.from_task import resolved_task
    from core.git import GitError, Repository
    from core.settings import load_settings
    from core.tasks import details
    from core.work import Execution
    from dagster_project.cli.task import find_task, opened

    with opened() as database:
        here = team_of(database, team)
        identity: uuid.UUID = find_task(database, here, text)
        with database.team(here) as connection:
            found = details(connection, identity)
        task = found["task"]
        bodies = {stage["stage"]: stage["body"] for stage in found["stages"]}
        tests = Execution.model_validate(bodies["execution"]).evidence.target_tests if "execution" in bodies else ()
        resolved = resolved_task(str(identity), task.text, found["patch"], tests, task.state)
        try:
            source = find_source(database, here, task.source)
            mirror = Repository(mirror_path(load_settings().home / "mirrors", source))
            mirror.resolve(resolved.base_commit)
        except (SourceError, GitError) as error:
            raise CommandFailed(f"the repository of task {identity} no longer has its base commit: {error}") from error
    return mirror, resolved, str(task.source)
