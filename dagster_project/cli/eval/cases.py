"""`penstock eval check-cases`: runs the tests of a set's cases, before and after their fixes."""

from typing import Annotated

import typer

from core.counts import counted
from dagster_project.cli.eval.errors import SetName, user_errors
from dagster_project.cli.output import CommandFailed, line
from dagster_project.eval_places import find_set


@user_errors
def check_cases(
    name: SetName,
    case: Annotated[list[str] | None, typer.Option(help="A case's id; can be repeated. All cases by default.")] = None,
    language: Annotated[str | None, typer.Option(help="Only cases in this language.")] = None,
) -> None:
    """Run the tests of a repair set's cases. Exit code 1 if one is not sound.

    The visible and the held-back tests must fail before the fix and pass with it, and a case's wrong patch must please
    the visible tests alone. Cases whose language is missing on this machine are reported as not runnable.
    """
    from assets.evals.sets.eval_set import load_set
    from assets.evals.sets.repair import RepairCase, check_case
    from assets.evals.sets.suite_runs import CaseNotRunnable
    from core.settings import load_settings
    from sandbox import open_sandbox

    found = load_set(find_set(name), sealed=False)
    if found.manifest.kind != "repair":
        raise CommandFailed(f"{found.name} is of kind {found.manifest.kind!r}; only cases of repair sets are checked")
    cases: dict[str, RepairCase] = {one.id: one.payload for one in found.cases}
    if unknown := sorted(set(case or ()) - set(cases)):
        raise CommandFailed(f"{name} has no case {unknown[0]!r}")
    sandbox = open_sandbox(load_settings().sandbox)
    sound, broken, absent, wrong = 0, 0, 0, 0
    for identity in case or sorted(cases):
        one = cases[identity]
        if language not in (None, one.fields.language):
            continue
        try:
            problems = check_case(one, sandbox)
        except CaseNotRunnable as error:
            absent += 1
            line(f"{identity}: not runnable here: {error}")
            continue
        sound, broken, wrong = sound + (not problems), broken + bool(problems), wrong + (one.wrong is not None)
        line(f"{identity}: {'; '.join(problems) or 'sound'}")
    line(f"{counted(sound, 'case')} sound, {broken} not, {absent} not runnable here; {wrong} have a wrong patch")
    if broken:
        raise typer.Exit(1)
