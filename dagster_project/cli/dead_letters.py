"""`penstock dead-letters`: lists events and publications that could not be processed, and replays them."""

import uuid
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.cli.access import TeamName, on_record, team_of
from dagster_project.cli.output import AsJson, CommandFailed, data, line, note, table
from dagster_project.cli.task import opened

if TYPE_CHECKING:
    from core.database import Database
    from core.dead_letters import DeadLetter

dead_letters = typer.Typer(
    name="dead-letters", help="Show what could not be processed, and replay it.", no_args_is_help=True
)

MOST_AT_ONCE = 1000


@dead_letters.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=MOST_AT_ONCE, help="Maximum number of entries.")] = 50,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """List what could not be processed and has not been replayed, newest first."""
    from core.dead_letters import list_dead_letters

    with opened() as database:
        found = list_dead_letters(database, team_of(database, team), limit=limit)
    if as_json:
        data([asdict(letter) for letter in found])
        return
    table(
        ["id", "since", "kind", "reason"],
        [[letter.id, f"{letter.at:%Y-%m-%d %H:%M:%S}", letter.kind, letter.reason] for letter in found],
        empty="No dead letters: everything was processed.",
    )


@dead_letters.command()
def show(
    identity: Annotated[str, typer.Argument(metavar="ID")], team: TeamName = None, as_json: AsJson = False
) -> None:
    """Show one dead letter: what it is about and the full reason."""
    with opened() as database:
        letter = _find(database, team_of(database, team), identity)
    if as_json:
        data(asdict(letter))
        return
    line(f"id      {letter.id}")
    line(f"kind    {letter.kind}")
    line(f"since   {letter.at:%Y-%m-%d %H:%M:%S}")
    line(f"about   {letter.about}")
    line(f"reason  {letter.reason}")


@dead_letters.command()
def replay(
    identity: Annotated[str | None, typer.Argument(metavar="ID")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Replay everything in `penstock dead-letters list`.")
    ] = False,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Replay one dead letter or all: a publication is tried again, a record is appended to its topic."""
    from core.dead_letters import NotReplayed, list_dead_letters
    from core.dead_letters import replay as replay_one
    from core.eventlog import open_log
    from core.settings import load_settings

    if (identity is None) == (not everything):
        raise typer.BadParameter("give one ID, or --all", param_hint="ID")
    replayed, failed = [], {}
    with opened() as database:
        here = team_of(database, team)
        letters = (
            [_find(database, here, identity)] if identity else list_dead_letters(database, here, limit=MOST_AT_ONCE)
        )
        log = open_log(load_settings(), database)
        try:
            for letter in letters:
                try:
                    replay_one(database, log, letter, here)
                    on_record(database, here, "dead-letter.replay", letter.id)
                    replayed.append(letter.id)
                except NotReplayed as error:
                    failed[letter.id] = str(error)
                    note(str(error))
        finally:
            log.close()
    if as_json:
        data({"replayed": replayed, "failed": failed})
    else:
        line(f"{len(replayed)} replayed, {len(failed)} not")
    if failed:
        raise CommandFailed(f"{len(failed)} of {len(letters)} could not be replayed")


def _find(database: "Database", team: uuid.UUID, identity: str) -> "DeadLetter":
    from core.dead_letters import find_dead_letter

    found = find_dead_letter(database, team, identity)
    if found is None:
        raise CommandFailed(f"no dead letter {identity[:200]!r}; `penstock dead-letters list` shows all")
    return found
