"""`penstock eval find-fixes` and `check-fixes`: real bugs between source releases, found and held to their tests."""

from pathlib import Path
from typing import Annotated

import typer

from dagster_project.cli.eval.errors import SetName, told
from dagster_project.cli.output import CommandFailed, line, note
from dagster_project.eval_places import find_set


@told
def find_fixes(
    packages: Annotated[list[str], typer.Argument(metavar="PACKAGE…", help="Names in the package registry.")],
    last: Annotated[int, typer.Option(min=1, max=50, help="Pairs of releases to look at, newest first.")] = 8,
    max_lines: Annotated[int, typer.Option(min=1, max=1000, help="Lines that a fix may remove or add.")] = 60,
    max_files: Annotated[int, typer.Option(min=1, max=20, help="Files that a fix may change.")] = 3,
    out: Annotated[Path, typer.Option(help="Folder for proposals.")] = Path("proposed-cases"),
) -> None:
    """Find fixes between consecutive source releases, each with tests that fail before it and pass after.

    Fetches the archives through pip without building them, and runs their tests in the sandbox. What is found is a
    proposal: read ID.diff, write the issue as a user would, fill what is empty in case.json, then add it to the set.
    """
    from assets.evals.harvest.released_proposal import propose
    from assets.evals.harvest.released_search import find_fixes as look
    from assets.evals.harvest.releases import ReleaseUnavailable
    from core.settings import load_settings
    from sandbox import open_sandbox

    sandbox, failed = open_sandbox(load_settings().sandbox), False
    for package in packages:
        try:
            for fix in look(package, sandbox, last=last, max_lines=max_lines, max_files=max_files, tell=note):
                line(f"{propose(fix, out)}: {fix.lines} lines, {len(fix.fails)} tests fail before")
        except ReleaseUnavailable as error:
            failed = True
            note(f"{package}: {error}")
    if failed:
        raise typer.Exit(1)


@told
def check_fixes(
    name: SetName,
    case: Annotated[list[str] | None, typer.Option(help="A case's id; may be repeated. All without it.")] = None,
) -> None:
    """Run a set's released fixes against their tests: each must fail before its fix, and pass with it."""
    from assets.evals.harvest.releases import ReleaseUnavailable
    from assets.evals.sets.eval_set import load_set
    from assets.evals.sets.released import ReleasedCase, check_released
    from assets.evals.sets.set_files import EvalSetError
    from core.settings import load_settings
    from sandbox import open_sandbox

    cases = {one.id: one.payload for one in load_set(find_set(name), sealed=False).cases}
    if unknown := sorted(set(case or ()) - set(cases)):
        raise CommandFailed(f"{name} has no case {unknown[0]!r}")
    sandbox, sound = open_sandbox(load_settings().sandbox), True
    for one in case or sorted(cases):
        payload = cases[one]
        if not isinstance(payload, ReleasedCase):
            raise CommandFailed(f"{one} is no released fix; sets of kind `released` hold those")
        try:
            problems = check_released(payload, sandbox)
        except (ReleaseUnavailable, EvalSetError) as error:
            problems = [str(error)]
        sound = sound and not problems
        line(f"{one}: {'; '.join(problems) or 'sound'}")
    if not sound:
        raise typer.Exit(1)
