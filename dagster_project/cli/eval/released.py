"""`penstock eval find-fixes`, `check-fixes` and `find-later`: finds real bug fixes between source releases, runs their
tests, and finds releases whose tests judge patches."""

from pathlib import Path
from typing import Annotated

import typer

from dagster_project.cli.eval.errors import SetName, user_errors
from dagster_project.cli.output import CommandFailed, line, note
from dagster_project.eval_places import find_set


@user_errors
def find_fixes(
    packages: Annotated[list[str], typer.Argument(metavar="PACKAGE…", help="Names in the package registry.")],
    last: Annotated[int, typer.Option(min=1, max=50, help="Pairs of releases to compare, newest first.")] = 8,
    max_lines: Annotated[int, typer.Option(min=1, max=1000, help="Maximum of removed and added lines.")] = 60,
    max_files: Annotated[int, typer.Option(min=1, max=20, help="Maximum of changed files.")] = 3,
    out: Annotated[Path, typer.Option(help="Folder for proposals.")] = Path("proposed-cases"),
) -> None:
    """Find fixes between consecutive source releases whose tests fail before the fix and pass after it.

    Downloads the archives through pip without building them, and runs their tests in the sandbox. Each result is a
    proposal: read ID.diff, write the issue as a user would, complete case.json, then add it to the set.
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


@user_errors
def check_fixes(
    name: SetName,
    case: Annotated[list[str] | None, typer.Option(help="A case's id; can be repeated. All cases by default.")] = None,
) -> None:
    """Run the tests of a set's released fixes: they must fail before the fix and pass with it."""
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
            raise CommandFailed(f"{one} is not a released fix; only sets of kind `released` hold those")
        try:
            problems = check_released(payload, sandbox)
        except (ReleaseUnavailable, EvalSetError) as error:
            problems = [str(error)]
        sound = sound and not problems
        line(f"{one}: {'; '.join(problems) or 'sound'}")
    if not sound:
        raise typer.Exit(1)


@user_errors
def find_later(
    name: SetName,
    case: Annotated[list[str] | None, typer.Option(help="A case's id; can be repeated. All cases by default.")] = None,
) -> None:
    """Find a later release for each released fix whose tests judge a patch made with the fix's own tests in sight.

    Writes it into the case's case.json. The set changes: raise its version and seal it.
    """
    import json

    from assets.evals.harvest.releases import ReleaseUnavailable
    from assets.evals.sets.released import load_released
    from assets.evals.sets.released_laid_over import find_later as look
    from core.settings import load_settings
    from sandbox import open_sandbox
    from sandbox.protocol import SandboxUnavailable

    cases = {one.id: one for one in load_released(find_set(name))}
    if unknown := sorted(set(case or ()) - set(cases)):
        raise CommandFailed(f"{name} has no case {unknown[0]!r}")
    sandbox, failed = open_sandbox(load_settings().sandbox), False
    for one in case or sorted(cases):
        try:
            release = look(cases[one], sandbox)
        except (ReleaseUnavailable, SandboxUnavailable) as error:
            failed = True
            note(f"{one}: {error}")
            continue
        path = cases[one].folder / "case.json"
        fields = json.loads(path.read_text(encoding="utf-8"))
        fields["later"] = None if release is None else release.model_dump()
        path.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")
        line(f"{one}: {release.version if release else 'no later release has other tests that pass with the fix'}")
    if failed:
        raise typer.Exit(1)
