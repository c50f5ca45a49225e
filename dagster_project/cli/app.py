"""The `penstock` program: its commands, and how errors become one line and an exit code.

Exit codes: 0 success, 1 failure, 2 wrong usage.
"""

import os
import signal
import sys
from typing import Annotated

import typer

from dagster_project.cli import (
    audit,
    backup,
    capacity,
    context,
    dead_letters,
    env,
    faults,
    init,
    ledger,
    lifecycle,
    mcp,
    migrate,
    model_proxy,
    models,
    object_code,
    objects,
    open_page,
    organisations,
    platform,
    prune,
    research,
    research_worker,
    rules,
    sandbox,
    search,
    send,
    service,
    solve,
    task_acts,
    team,
    thread,
    tickets,
    token,
    user,
)
from dagster_project.cli.eval.app import evals
from dagster_project.cli.unread import warn_of_unknown_settings

app = typer.Typer(
    name="penstock",
    help="Turns events into finished, verified, published work.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("init")(init.init)
app.command("up")(platform.up)
app.command("mcp")(mcp.mcp)
app.command("open")(open_page.open_page)
app.command("down")(lifecycle.down)
app.command("status")(lifecycle.status)
app.command("restart")(lifecycle.restart)
app.command("logs")(lifecycle.logs)
app.command("doctor")(platform.doctor)
app.command("solve")(solve.solve)
app.command("send")(send.send)
app.command("search")(search.search)
app.command("context")(context.context)
app.command("research")(research.research)
app.command("research-worker")(research_worker.research_worker)
app.command("ledger")(ledger.ledger)
app.command("audit")(audit.audit)
app.command("prune")(prune.prune)
app.command("capacity")(capacity.capacity)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("model-proxy")(model_proxy.model_proxy)
app.add_typer(task_acts.tasks, name="task")
app.add_typer(thread.threads, name="thread")
app.add_typer(organisations.sources, name="index")
app.add_typer(tickets.tickets, name="tickets")
app.add_typer(rules.rules, name="rules")
app.add_typer(models.models, name="models")
app.add_typer(migrate.migrations, name="migrate")
app.add_typer(evals, name="eval")
app.add_typer(sandbox.sandboxes, name="sandbox")
app.add_typer(env.environments, name="env")
app.add_typer(service.services, name="service")
app.add_typer(dead_letters.dead_letters, name="dead-letters")
app.add_typer(team.teams, name="team")
app.add_typer(user.users, name="user")
app.add_typer(token.tokens, name="token")
for act in (object_code.submit, object_code.write, object_code.update):
    objects.objects.command()(act)
app.add_typer(objects.objects, name="object")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        print(f"penstock {metadata.version('penstock')}")  # noqa: T201
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Turns events into finished, verified, published work."""


def _ended(number: int, _: object) -> None:
    sys.exit(128 + number)


def main() -> None:
    """Entry point. Known errors are printed in one line. Any other error is a bug and keeps its traceback.

    A command that is asked to end releases what it holds, such as the embedded database.
    """
    # SIGTERM ends a command also where an ancestor ignores or blocks it; nohup ignores SIGHUP, and means it.
    signal.signal(signal.SIGTERM, _ended)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _ended)
    try:
        if sys.argv[1:2] in (["up"], ["solve"]):  # which last, so that a warning at their end comes too late
            warn_of_unknown_settings(now=True)
        app(standalone_mode=True, prog_name="penstock")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        said = faults.without_traceback(str(error)) if _known(error) else faults.sentence(error)
        if said is None:
            raise
        print(f"penstock: {said}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    finally:
        warn_of_unknown_settings()


KNOWN = (
    "dagster_project.cli.output:CommandFailed",
    "core.embedding.protocol:EmbedderUnavailable",
    "core.settings:SettingsError",
    "core.home_checks:UnusableHome",
    "core.database.embedded:DatabaseNotStarted",
    "core.database.schema:SchemaError",
    "core.models.config:ProxyConfigError",
    "dagster_project.operations.archive:BackupFailed",
    "dagster_project.operations.archive:BadArchive",
    "dagster_project.operations.dumps:RestoreFailed",
    "dagster_project.operations.places:NotAllowed",
    "dagster_project.supervisor:StartFailed",
    "dagster_project.runtime:NotStarted",
    "core.tasks:TaskNotFound",
    "core.tasks:IllegalMove",
    "core.git:GitError",
    "sandbox.protocol:SandboxUnavailable",
    "psycopg:OperationalError",
    "psycopg_pool:PoolTimeout",
)
"""Errors whose message is enough for a user to act on, as `module:class`."""


def _known(error: Exception) -> bool:
    """Whether it is one of `KNOWN`. Imports nothing: what no module defines yet cannot have been raised."""
    loaded = [(sys.modules.get(name), kind) for name, _, kind in (known.partition(":") for known in KNOWN)]
    return isinstance(error, tuple(getattr(module, kind, ()) for module, kind in loaded if module is not None))
