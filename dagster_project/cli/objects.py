"""`penstock object`: types, objects, calls, history, code of a team's own types, and the node that runs them."""

import json
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dagster_project.cli.access import TeamName, access_errors, command_user, team_of
from dagster_project.cli.output import AsJson, CommandFailed, data, line, note, table
from dagster_project.cli.task import opened

if TYPE_CHECKING:
    from core.database import Database

objects = typer.Typer(
    name="object", help="Durable objects: named services with state of their own.", no_args_is_help=True
)

Where = Annotated[str, typer.Argument(help="The object, as TYPE/KEY.", metavar="TYPE/KEY")]
TypeName = Annotated[str, typer.Argument(help="The type's name.", metavar="TYPE")]
CALL_SECONDS = 60.0


@objects.command()
def types(
    name: Annotated[str | None, typer.Argument(help="A type: its methods and versions.", metavar="TYPE")] = None,
    label: Annotated[str | None, typer.Option(help="NAME=VALUE: only types with this label.")] = None,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """List the types that a team may use, or show one with its methods, versions and health."""
    from objects.registry import show_type, show_types

    wanted = None
    if label is not None:
        left, equals, right = label.partition("=")
        if not equals:
            raise typer.BadParameter("must be NAME=VALUE", param_hint="--label")
        wanted = (left, right)
    with opened() as database, access_errors():
        here = team_of(database, team)
        with database.team(here) as connection:
            found = [show_type(connection, here, name)] if name else show_types(connection, here, wanted)
    if as_json:
        data([one.model_dump() for one in found])
    elif name:
        _show_type(found[0])
    else:
        table(
            ["type", "from", "version", "canary", "description"],
            [
                [
                    one.type,
                    "Penstock" if one.builtin else "team",
                    one.active_version or "-",
                    f"{one.canary_version} at {one.canary_percent}%" if one.canary_version else "-",
                    one.description,
                ]
                for one in found
            ],
            empty="No types.",
        )


def _show_type(one: Any) -> None:
    line(f"{one.type}: {one.description}")
    line(f"serves     version {one.active_version or '-'}" + (f" ({one.reason})" if one.reason else ""))
    if one.canary_version:
        line(f"canary     version {one.canary_version}, {one.canary_percent}% of the keys")
    health = one.health
    p95 = f", p95 {health.p95_seconds * 1000:.1f} ms" if health.p95_seconds is not None else ""
    line(f"last hour  {health.answered} answered, {health.refused} refused, {health.faults} failed{p95}")
    line(f"objects    {', '.join(f'{count} {status}' for status, count in health.objects.items()) or 'none'}")
    for name, method in one.methods.items():
        fields = ", ".join(method.argument.get("properties", {}))
        line(
            f"  {name}({fields}){' reads' if method.reading else ''}"
            + (f": {method.description}" * bool(method.description))
        )
    for version in one.versions:
        reasons = (version.verdict or {}).get("reasons") or []
        line(f"version {version.version:<3} {version.state} {version.sha256[:12]} by {version.author}")
        for reason in reasons[:5]:
            line(f"            - {reason}")


@objects.command("list")
def list_(
    kind: Annotated[str | None, typer.Argument(help="Only of this type.", metavar="TYPE")] = None,
    status: Annotated[str | None, typer.Option(help="Created, Active, Hibernating, Failed or Terminated.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """List a team's objects."""
    from dataclasses import asdict

    from objects.lifecycle import list_objects

    with opened() as database, database.team(team_of(database, team)) as connection:
        found = list_objects(connection, kind, status=status, limit=limit)
    if as_json:
        data([asdict(one) for one in found])
        return
    table(
        ["object", "state", "version", "code", "bytes", "node", "last call"],
        [
            [
                f"{one.type}/{one.key}",
                one.shown,
                one.state_version,
                one.code_version,
                one.state_bytes,
                one.node_address or "-",
                f"{one.last_call_at:%Y-%m-%d %H:%M:%S}" if one.last_call_at else "-",
            ]
            for one in found
        ],
        empty="No objects: penstock object call register/example add '{\"amount\": 1}'",
    )


@objects.command()
def show(where: Where, team: TeamName = None, as_json: AsJson = False) -> None:
    """Show an object: state, last calls, alarms, failed steps. Wakes nothing."""
    from dataclasses import asdict

    from objects.lifecycle import alarms_of, calls_of, faults_of, get_object, state_of

    kind, key = _parts(where)
    with opened() as database, access_errors(), database.team(team_of(database, team)) as connection:
        row = get_object(connection, kind, key)
        state = state_of(connection, kind, key)
        calls, faults = calls_of(connection, kind, key), faults_of(connection, kind, key)
        alarms = alarms_of(connection, kind, key)
    parsed = json.loads(state) if state is not None else None
    if as_json:
        data({**asdict(row), "state": parsed, "calls": calls, "faults": faults, "alarms": alarms})
        return
    line(f"{row.type}/{row.key}: {row.shown}" + (f" ({row.reason})" if row.reason else ""))
    line(f"state      version {row.state_version}, {row.state_bytes} bytes, incarnation {row.incarnation}")
    line(f"code       version {row.code_version}, on {row.node_address or 'no node'}")
    for text in json.dumps(parsed, indent=2, ensure_ascii=False).splitlines()[:40]:
        line(f"           {text}")
    for call in calls[:10]:
        line(
            f"{call['at']:%H:%M:%S}   {call['method']}: {call['outcome']} {call['answer'][:120]} (by {call['caller']})"
        )
    for alarm in alarms:
        why = f", {alarm['last_error']}" if alarm["last_error"] else ""
        line(f"{alarm['kind']:<10} {alarm['name']} at {alarm['due_at']:%Y-%m-%d %H:%M:%S}: {alarm['state']}{why}")
    for fault in faults[:5]:
        line(f"{fault['at']:%H:%M:%S}   failed ({fault['what']}, code {fault['code_version']}): {fault['reason']}")


@objects.command()
def call(
    where: Where,
    method: Annotated[str, typer.Argument(help="The method.")],
    argument: Annotated[str, typer.Argument(help="Its argument, as JSON; `-`: standard input.")] = "{}",
    identity: Annotated[
        str | None, typer.Option("--id", help="The call's id: the same id again gets the same answer for 24 hours.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="Deadline.")] = CALL_SECONDS,
    team: TeamName = None,
) -> None:
    """Call a method of an object, and print its answer as JSON. Exit code 1 if the object refuses."""
    import sys

    from objects.model import load

    kind, key = _parts(where)
    text = sys.stdin.read(1 << 21) if argument == "-" else argument
    try:
        load(text)
    except ValueError as error:
        raise typer.BadParameter(f"is not JSON: {error}", param_hint="ARGUMENT") from None
    with opened() as database, access_errors():
        reply = _call(database, team_of(database, team), kind, key, method, text, identity, seconds)
    if not reply.ok:
        said = json.loads(reply.body)
        raise CommandFailed(f"{where} {method}: {said.get('code', reply.code)}: {said.get('error', '')}")
    line(json.dumps(json.loads(reply.body), indent=2, ensure_ascii=False))
    if reply.repeated:
        note("(the answer of the first call with this id)")


def _call(
    database: "Database", team: uuid.UUID, kind: str, key: str, method: str, text: str, identity: str | None,
    seconds: float,
) -> Any:  # fmt: skip
    """Calls through the nodes that run, else through one of this command's own."""
    import asyncio

    from core.settings import load_settings
    from objects.catalogue import find_spec
    from objects.model import Address, Call
    from objects.router import Node, Router
    from objects.store import NodeStore

    with database.team(team) as connection:
        spec = find_spec(connection, kind)
    if spec is None:
        raise CommandFailed(f"there is no type {kind!r} with an accepted version: see `penstock object types`")
    who = command_user()
    made = Call(
        Address(team, kind, spec.object_key(key)),
        method,
        text,
        f"cli/{identity or uuid.uuid4()}",
        str(who),
        time.time() + seconds,
        key=key if spec.shards else "",
    )
    store = NodeStore(database.url)
    try:
        if store.nodes():

            async def run() -> Any:
                async def nodes() -> list[Node]:
                    return [Node(*row) for row in await asyncio.to_thread(store.nodes)]

                router = Router(nodes)
                try:
                    return await router.call(made)
                finally:
                    router.close()

            return asyncio.run(run())
    finally:
        store.close()
    from dagster_project.object_node import own_node

    note("no node runs: this command runs one for the call")
    with own_node(load_settings(), database.url) as node:
        return node.call(made)


@objects.command()
def history(where: Where, team: TeamName = None, as_json: AsJson = False) -> None:
    """Show the last states of an object, to which it can go back."""
    from objects.lifecycle import get_object
    from objects.lifecycle import history as read

    kind, key = _parts(where)
    with opened() as database, access_errors(), database.team(team_of(database, team)) as connection:
        get_object(connection, kind, key)
        found = read(connection, kind, key)
    if as_json:
        data([{"version": v, "code_version": c, "at": at, "state": json.loads(s or "null")} for v, c, at, s in found])
        return
    table(
        ["version", "code", "at", "state"],
        [[v, c, f"{at:%Y-%m-%d %H:%M:%S}", (s or "")[:200]] for v, c, at, s in found],
        empty="No state yet.",
    )


@objects.command()
def rollback(
    where: Where,
    version: Annotated[int, typer.Argument(help="A version that `history` shows.", min=0)],
    team: TeamName = None,
) -> None:
    """Give an object a state of its history again. Answers that were given since stay given."""
    from core.access.audit import audited
    from objects.lifecycle import restore

    kind, key = _parts(where)
    with opened() as database, access_errors():
        here = team_of(database, team)
        with audited(database, here, command_user(), "object.restore", where) as connection:
            made = restore(connection, here, kind, key, version)
    line(f"{where} has the state of version {version} again, as version {made}")


@objects.command()
def terminate(
    where: Where,
    reason: Annotated[str, typer.Option(help="Why, for those who look later.")] = "by command",
    drain: Annotated[bool, typer.Option("--drain", help="Let a step that runs end first.")] = False,
    team: TeamName = None,
) -> None:
    """End an object for good: its state, history, alarms and subscriptions are deleted."""
    from core.access.audit import audited
    from objects.lifecycle import terminate as end

    kind, key = _parts(where)
    with opened() as database, access_errors():
        here = team_of(database, team)
        with audited(database, here, command_user(), "object.terminate", where) as connection:
            done = end(connection, here, kind, key, reason, drain=drain)
    line(f"terminated {where}" if done else f"{where} was terminated before")


@objects.command()
def revive(where: Where, team: TeamName = None) -> None:
    """Begin a new incarnation of a terminated object, with nothing of the one before."""
    from core.access.audit import audited
    from objects.lifecycle import revive as again

    kind, key = _parts(where)
    with opened() as database, access_errors():
        here = team_of(database, team)
        with audited(database, here, command_user(), "object.revive", where) as connection:
            number = again(connection, here, kind, key)
    line(f"{where} lives again, incarnation {number}")


@objects.command()
def retry(where: Where, team: TeamName = None) -> None:
    """Let a Failed object be made ready again, and tell it again of its dead letters."""
    from core.access.audit import audited
    from objects.lifecycle import try_again

    kind, key = _parts(where)
    with opened() as database, access_errors():
        here = team_of(database, team)
        with audited(database, here, command_user(), "object.retry", where) as connection:
            dead = try_again(connection, here, kind, key)
    line(f"{where} is tried again at its next call; {dead} dead letters are told again")


@objects.command()
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
    if as_json:
        data({"type": kind, "version": found.version, "state": found.state, "verdict": found.verdict})
    else:
        reasons = (found.verdict or {}).get("reasons") or []
        line(f"version {found.version} of {kind}: {found.state}")
        for reason in reasons[:10]:
            line(f"  - {reason}")
    if found.state == "refused":
        raise typer.Exit(1)


@objects.command()
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


@objects.command()
def update(
    kind: TypeName,
    promote: Annotated[bool, typer.Option("--promote", help="Let the canary serve all keys now.")] = False,
    back: Annotated[bool, typer.Option("--back", help="Withdraw the canary, or return to the version before.")] = False,
    reason: Annotated[str, typer.Option(help="Why.")] = "by command",
    team: TeamName = None,
) -> None:
    """Move between versions of a type by hand: promote the canary, or go back."""
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
                if not canary.promote(connection, here, kind, f"{me}: {reason}"):
                    raise Conflict(f"the type {kind!r} has no canary")
                line(f"the canary of {kind} serves all keys")
            else:
                version = canary.go_back(connection, here, kind, f"{me}: {reason}")
                if version is None:
                    raise Conflict(f"the type {kind!r} has no version to go back to")
                line(f"{kind} is served by version {version}")


@objects.command()
def node() -> None:
    """Run a node until it is ended: the process that runs objects. `penstock up` starts one once objects are used."""
    from core.settings import load_settings
    from dagster_project.object_node import serve
    from dagster_project.runtime import open_runtime

    settings = load_settings()
    if settings.database_url is not None:
        serve(settings, settings.database_url.get_secret_value())
        return
    with open_runtime(settings) as runtime:
        serve(settings, runtime.database_url)


def _parts(where: str) -> tuple[str, str]:
    from objects.effects import checked_key

    kind, slash, key = where.partition("/")
    try:
        if not slash:
            raise ValueError("must be TYPE/KEY")
        return kind, checked_key(key)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="TYPE/KEY") from None


def _json(path: Path, option: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise typer.BadParameter(f"{path} is not JSON: {error}", param_hint=option) from None
