"""`penstock object`: types, objects, calls, history, and the node that runs them. Code of types is in `object_code`."""

import json
import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
            found = [show_type(connection, here, name)] if name else show_types(connection, wanted, limit=1000)
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
    status: Annotated[
        Literal["Created", "Active", "Hibernating", "Failed", "Terminated"] | None,
        typer.Option(help="Only with this stored state."),
    ] = None,
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

    from objects.model import CALL_ID, CALL_ID_CHARACTERS, load

    kind, key = _parts(where)
    if identity is not None and not CALL_ID.fullmatch(identity):
        said = f"must be 1 to {CALL_ID_CHARACTERS} printable ASCII characters without spaces"
        raise typer.BadParameter(said, param_hint="--id")
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
