"""`penstock object submit`, `write` and `update`: code of a team's own types of durable objects."""

import json
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dagster_project.cli.access import TeamName, access_errors, command_user, team_of
from dagster_project.cli.output import AsJson, CommandFailed, data, line, note
from dagster_project.cli.task import opened

if TYPE_CHECKING:
    from core.database import Database

TypeName = Annotated[str, typer.Argument(help="The type's name.", metavar="TYPE")]


def submit(
    kind: TypeName,
    source: Annotated[Path, typer.Argument(help="The handler's source.", exists=True, dir_okay=False)],
    manifest: Annotated[Path, typer.Option(help="Methods with their schemas, as JSON.", exists=True, dir_okay=False)],
    scenarios: Annotated[
        Path | None, typer.Option(help="Tests that the code must pass, as JSON.", exists=True, dir_okay=False)
    ] = None,
    percent: Annotated[
        int, typer.Option(min=1, max=100, help="The share of keys that get it first, if it is not the first version.")
    ] = 20,
    wait: Annotated[float, typer.Option(min=0, max=600, help="How long to wait for the verdict, in seconds.")] = 120,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Submit code for a type of the team's own. It is tried in the sandbox, and serves a share of the keys first."""
    from core.access.audit import audited
    from core.settings import load_settings
    from objects.canary import why_unused
    from objects.manifest import BadManifest
    from objects.scenarios import BadScenario
    from objects.submissions import Submission
    from objects.submissions import submit as store

    tests = _json(scenarios, "--scenarios") if scenarios else []
    with opened() as database, access_errors():
        here, me = team_of(database, team), command_user()
        try:
            with audited(database, here, me, "object-type.submit", kind) as connection:
                given = Submission(
                    kind, source.read_text(encoding="utf-8"), _json(manifest, "--manifest"), tests, str(me), percent
                )
                code = store(connection, here, given)
        except (BadManifest, BadScenario) as error:
            raise CommandFailed(str(error)) from None
        load_settings().objects_wanted.touch(mode=0o600)
        found = _await(database, here, kind, code.version, wait)
        with database.team(here) as connection:
            unused = why_unused(connection, kind, code.version)
    if as_json:
        shown = {"type": kind, "version": found.version, "state": found.state, "verdict": found.verdict}
        data({**shown, "unused": unused})
    else:
        reasons = (found.verdict or {}).get("reasons") or []
        line(f"version {found.version} of {kind}: {found.state}" + (f", but {unused}" if unused else ""))
        for reason in reasons[:10]:
            line(f"  - {reason}")
    if found.state == "refused" or unused:
        raise typer.Exit(1)


def write(
    kind: TypeName,
    wish: Annotated[str, typer.Argument(help="What the service is to do; `-`: standard input.")],
    model: Annotated[str | None, typer.Option(help="Chat model; by default the setting chat_model.")] = None,
    scenarios: Annotated[
        Path | None, typer.Option(help="Tests that it must pass, as JSON.", exists=True, dir_okay=False)
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Drafts at most.")] = 4,
    percent: Annotated[int, typer.Option(min=1, max=100, help="As for submit.")] = 20,
    out: Annotated[Path | None, typer.Option(help="Also write the last draft into this folder.")] = None,
    team: TeamName = None,
) -> None:
    """Have a chat model write a service, try each draft in the sandbox, and submit the one that passes."""
    import sys

    from core.access.audit import audited
    from core.chat import ChatUnavailable, UnknownChatModel, open_chat
    from core.settings import load_settings
    from objects.custom.opened import TeamCode
    from objects.custom.writing import write as have_written
    from objects.submissions import Submission
    from objects.submissions import submit as store

    settings = load_settings()
    tests = _json(scenarios, "--scenarios") if scenarios else []
    text = sys.stdin.read(1 << 16) if wish == "-" else wish
    with opened() as database, access_errors():
        here, me = team_of(database, team), command_user()
        if (named := model or settings.chat_model) is None:
            raise CommandFailed(
                "no chat model is set: give --model, or set PENSTOCK_CHAT_MODEL; see docs/chat-models.md"
            )
        try:
            chat = open_chat(named, settings.models_folder)
            sandbox = TeamCode(settings.sandbox).sandbox()
            found = have_written(chat, sandbox, kind, text, tests, rounds=rounds, step=note)
        except (ChatUnavailable, UnknownChatModel) as error:
            raise CommandFailed(str(error)) from None
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{kind}.py").write_text(found.source, encoding="utf-8")
            for name, value in (("manifest", found.manifest), ("scenarios", found.scenarios)):
                (out / f"{kind}-{name}.json").write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
        if not found.passed:
            reasons = found.verdict.reasons if found.verdict else (found.problem,)
            raise CommandFailed(f"no draft of {found.rounds} passed. The last: " + "; ".join(reasons[:5]))
        with audited(database, here, me, "object-type.submit", kind) as connection:
            given = Submission(kind, found.source, found.manifest, found.scenarios, f"{named}, for {me}", percent)
            code = store(connection, here, given)
        settings.objects_wanted.touch(mode=0o600)
        result = _await(database, here, kind, code.version, 120)
    line(
        f"version {result.version} of {kind}: {result.state}, after {found.rounds} drafts, {found.usage.tokens} tokens"
    )


def _await(database: "Database", team: uuid.UUID, kind: str, version: int, seconds: float) -> Any:
    """The version once it was checked: by a node that runs, else by this command."""
    from core.settings import load_settings
    from dagster_project.object_node import check_here
    from objects.catalogue import read_code
    from objects.store import NodeStore

    store = NodeStore(database.url)
    try:
        alone = not store.nodes()
    finally:
        store.close()
    deadline = time.monotonic() + seconds
    if alone and seconds:
        check_here(load_settings(), database)
    while True:
        with database.team(team) as connection:
            found = read_code(connection, kind, version)
        if found is None or found.state != "submitted" or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def update(
    kind: TypeName,
    promote: Annotated[
        bool, typer.Option("--promote", help="Let the canary serve all keys now, or what was withdrawn last.")
    ] = False,
    back: Annotated[bool, typer.Option("--back", help="Withdraw the canary, or return to the version before.")] = False,
    reason: Annotated[str, typer.Option(help="Why.")] = "by command",
    team: TeamName = None,
) -> None:
    """Move between versions of a type by hand: promote the canary or what was withdrawn last, or go back."""
    from core.access.audit import audited
    from core.access.errors import Conflict
    from objects import canary

    if promote == back:
        raise typer.BadParameter("choose one of --promote and --back", param_hint="--promote / --back")
    with opened() as database, access_errors():
        here, me = team_of(database, team), command_user()
        action = "object-type.promote" if promote else "object-type.back"
        with audited(database, here, me, action, kind) as connection:
            if promote:
                version = canary.promote(connection, here, kind, f"{me}: {reason}")
                if version is None:
                    raise Conflict(f"the type {kind!r} has no canary, and no version that was withdrawn")
                line(f"version {version} of {kind} serves all keys")
            else:
                version = canary.go_back(connection, here, kind, f"{me}: {reason}")
                if version is None:
                    raise Conflict(f"the type {kind!r} has no version to go back to")
                line(f"{kind} is served by version {version}")


def _json(path: Path, option: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise typer.BadParameter(f"{path} is not JSON: {error}", param_hint=option) from None
