"""`penstock migrate`: from one embedding model to another, behind a gate."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dagster_project.cli.calibrate_gate import calibrate
from dagster_project.cli.models import told
from dagster_project.cli.output import AsJson, CommandFailed, Progress, data, line, note, table
from dagster_project.cli.task import opened

if TYPE_CHECKING:
    from assets.migrations.lifecycle.record import Migration
    from assets.platform import Platform
    from core.embedding.catalogue import Entry

migrations = typer.Typer(
    name="migrate",
    help="Change the embedding model without interrupting searches, behind a gate.",
    no_args_is_help=True,
)

migrations.command()(calibrate)

To = Annotated[str, typer.Option("--to", help="The model to migrate to; registered if it is not yet.")]
From = Annotated[
    str | None, typer.Option("--from", help="The model to replace; the preferred serving one if not given.")
]
Number = Annotated[int | None, typer.Option("--number", help="Which migration; the open or last one if not given.")]


@contextmanager
def _platform() -> Iterator["Platform"]:
    from assets.migrations.lifecycle.record import MigrationRefused
    from assets.migrations.retirement.archive import ArchiveFailed
    from assets.platform import Platform
    from core.settings import load_settings
    from dagster_project.migration_evidence import model_evals

    with opened() as database, told():
        platform = Platform(load_settings(), database.url, model_evals)
        try:
            platform.models.in_use()
            yield platform
        except (MigrationRefused, ArchiveFailed) as error:
            raise CommandFailed(str(error)) from error
        finally:
            platform.close()


def _models(platform: "Platform", to: str, old: str | None) -> tuple["Entry", "Entry"]:
    from assets.migrations.retirement.archive import ArchiveFailed
    from assets.migrations.retirement.retire import FOLDER, restore_model
    from core.embedding import catalogue, find_spec
    from core.embedding.catalogue import UnknownModel
    from core.states import ModelState

    with platform.database.system() as connection:
        serving = [entry for entry in catalogue.entries(connection) if entry.state == ModelState.SERVING]
        source = catalogue.find(connection, old) if old else serving[0]
        try:
            target = catalogue.find(connection, to)
        except UnknownModel:
            target = None
    if target is not None and target.state == ModelState.RETIRED:
        with suppress(ArchiveFailed):  # without an archive, everything is embedded again
            restored = restore_model(platform.database, target.identity, platform.settings.home / FOLDER)
            note(f"{restored.entry.name}: {restored.written} archived vectors restored")
            return source, restored.entry
    if target is None or target.state == ModelState.RETIRED:
        spec = find_spec(to, platform.settings.models_folder)
        target = catalogue.register(platform.database, spec, threads=platform.settings.embedding_threads)
    return source, target


@migrations.command()
def plan(to: To, old: From = None, as_json: AsJson = False) -> None:
    """Estimate a migration: contents, tokens, time, money and disk, from a measured sample."""
    from assets.migrations.backfill.pace import SHARE
    from assets.migrations.lifecycle import record
    from assets.migrations.lifecycle.plan import make_plan
    from assets.migrations.report.wording import duration

    with _platform() as platform, Progress(quiet=as_json) as step:
        source, target = _models(platform, to, old)
        step(f"measuring {target.name}")
        made = make_plan(platform.database, source, target, platform.models.open(target))
    if as_json:
        data(made.as_dict())
        return
    line(f"from        {made.old}")
    line(f"to          {made.new}")
    line(f"to build    {made.contents} contents, {made.chunks} chunks, about {made.tokens} tokens")
    line(
        f"time        about {duration(made.seconds / SHARE)} with the default --share {SHARE:g}, of which "
        f"{duration(made.seconds)} embedding, at {made.chunks_per_second:g} chunks a second; --share 1 has no rests"
    )
    line(f"money       {made.money:g}")
    line(f"disk        {made.disk_bytes / 1e6:.1f} MB")
    try:
        record.check_models(source, target)
    except record.MigrationRefused as error:
        note(f"it cannot be started: {error}")
    else:
        note(f"penstock migrate start --to {made.new} starts it")


@migrations.command()
def start(
    to: To,
    old: From = None,
    margin: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="How much nDCG and recall may fall, as a fraction of 1.")
    ] = 0.03,
    automatic: Annotated[
        bool, typer.Option("--automatic/--manual", help="Cut over automatically when the gate says it is safe.")
    ] = True,
    slower: Annotated[
        float | None,
        typer.Option(
            min=1,
            max=1000,
            help="How many times as long searches may take (95th percentile) without waiting for you; "
            "by default the setting `migration_slower`.",
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help="Cores for building with a local model; 0: all.")] = 0,
    share: Annotated[
        float,
        typer.Option(min=0.01, max=1, help="Share of the time in which it embeds; 1 if nobody searches meanwhile."),
    ] = 0.5,
    queries: Annotated[
        int, typer.Option(min=10, max=5000, help="Maximum number of queries of each kind to compare with.")
    ] = 400,
    observe_seconds: Annotated[
        float, typer.Option(min=0, help="Seconds for which the old model is kept ready.")
    ] = 3600.0,
    background: Annotated[
        bool, typer.Option("--background", help="Leave the work to the running platform instead of doing it here.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Start a migration, and drive it until it waits for something."""
    from assets.migrations.lifecycle import record, switch
    from assets.migrations.lifecycle.plan import make_plan
    from assets.migrations.lifecycle.record import Options

    with _platform() as platform, Progress(quiet=as_json) as step:
        with platform.database.system() as connection:
            record.check_none_open(connection)
        source, target = _models(platform, to, old)
        record.check_models(source, target)
        step(f"measuring {target.name}")
        made = make_plan(platform.database, source, target, platform.models.open(target))
        options = Options(
            margin=margin,
            automatic=automatic,
            slower=slower or platform.settings.migration_slower,
            threads=threads,
            share=share,
            queries=queries,
            observe_seconds=observe_seconds,
        )
        migration = switch.start(platform.database, source, target, options, made.as_dict())
        if background:
            _report(migration, "the running platform", as_json)
            return
        _drive(platform, migration.id, step, as_json)


@migrations.command()
def status(number: Number = None, as_json: AsJson = False) -> None:
    """Show the state of migrations, whether one has stalled, and queued migration requests."""
    from assets.context.models import set_aside
    from assets.migrations.lifecycle import record
    from assets.migrations.report import report
    from core.embedding import migration_requests
    from core.health.migration_health import read_health

    with _platform() as platform, platform.database.system() as connection:
        found = [record.get(connection, number)] if number else record.everything(connection)
        queued = migration_requests.waiting(connection)
        health = read_health(connection)
        counted = ((one.new_name, set_aside.read(connection, one.new_model)) for one in found)
        aside = dict.fromkeys(f"{name}: {texts}" for name, texts in counted if texts.count)
    stalled = {health.number: health.stalled} if health is not None else {}
    if as_json:
        data([{**_short(migration), "stalled": stalled.get(migration.id)} for migration in found])
        return
    table(
        ["number", "from", "to", "state", "built", "verdict", "why"],
        [
            [
                m.id,
                m.old_name,
                m.new_name,
                f"{m.state} (paused)" if m.paused else m.state,
                _built(m),
                (m.comparison or {}).get("verdict", "-"),
                m.reason or "",
            ]
            for m in found
        ],
        empty="No migration yet: penstock migrate plan --to MODEL",
    )
    for text in aside:
        note(text)
    for one in found:
        if number or (one.is_open and one.reason):
            note(f"migration {one.id}, {report.headline(one)}")
    if health is not None and health.stalled is not None:
        note(f"migration {health.number} has stalled: {health.stalled}")
    for request in queued:
        note(f"migration to {request.model} is queued: {request.reason or 'not tried yet'}")


@migrations.command()
def resume(number: Number = None, as_json: AsJson = False) -> None:
    """Continue a migration that is paused, or that waited for something which is available now."""
    from assets.migrations.lifecycle import switch

    with _platform() as platform, Progress(quiet=as_json) as step:
        migration = _chosen(platform, number)
        if migration.paused:
            migration = switch.pause(platform.database, migration.id, False)
        _drive(platform, migration.id, step, as_json)


@migrations.command()
def pause(number: Number = None, as_json: AsJson = False) -> None:
    """Pause a migration; the vectors made so far stay."""
    _steer("pause", number, as_json, waits_for="an operator")


@migrations.command()
def cancel(number: Number = None, as_json: AsJson = False) -> None:
    """Cancel a migration before its cut-over; the old model keeps serving."""
    _steer("cancel", number, as_json)


@migrations.command()
def compare(
    number: Number = None,
    queries: Annotated[
        int | None, typer.Option(min=10, max=5000, help="Maximum number of queries of each kind; by default unchanged.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare both models again, with more queries, when the gate was inconclusive; the margin stays."""
    from assets.migrations.lifecycle.steer import steer

    with _platform() as platform, Progress(quiet=as_json) as step:
        moved = steer(platform, "compare", number, queries=queries)
        _drive(platform, moved.id, step, as_json)


@migrations.command()
def cutover(
    number: Number = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Cut over although the gate did not say that it is safe.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make the new model answer from the next search on."""
    _steer("cutover", number, as_json, waits_for="time", accept=accept)


@migrations.command()
def rollback(
    number: Number = None,
    reason: Annotated[str, typer.Option(help="The reason, for the timeline.")] = "by command",
    as_json: AsJson = False,
) -> None:
    """Make the old model answer again from the next search on."""
    _steer("rollback", number, as_json, reason=reason)


@migrations.command()
def restore(
    name: Annotated[str, typer.Argument(help="A retired model with archived vectors.")], as_json: AsJson = False
) -> None:
    """Restore a retired model with its archived vectors; its state becomes registered."""
    from assets.migrations.retirement.retire import FOLDER, restore_model

    with _platform() as platform, Progress(quiet=as_json) as step:
        step(f"restoring {name}")
        restored = restore_model(platform.database, name, platform.settings.home / FOLDER)
    if as_json:
        entry = restored.entry
        data({"name": entry.name, "state": entry.state, "kept": restored.rows, "restored": restored.written})
        return
    line(f"{name}: {restored.entry.state}, {restored.written} of {restored.rows} vectors restored")
    note(f"penstock migrate start --to {name} embeds what is new, and compares")


@migrations.command("report")
def report_(
    number: Number = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write a page of HTML to this file, or Markdown for *.md.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the evidence for a decision: verdict, quality with intervals, regressions, speed, timeline."""
    from assets.migrations.gate import evidence
    from assets.migrations.report import report

    with _platform() as platform:
        evidence.update(platform, _chosen(platform, number))
        with platform.database.system() as connection:
            migration, events = report.read(connection, number)
    if out is not None:
        text = report.as_markdown(migration, events) if out.suffix == ".md" else report.as_html(migration, events)
        out.write_text(text, encoding="utf-8")
        note(f"written to {out}")
    if as_json:
        data(report.as_data(migration, events))
    elif out is None:
        line(report.as_markdown(migration, events))


def _chosen(platform: "Platform", number: int | None) -> "Migration":
    from assets.migrations.lifecycle import record
    from assets.migrations.lifecycle.record import MigrationRefused

    with platform.database.system() as connection:
        found = record.get(connection, number) if number else record.current(connection)
    if found is None:
        raise MigrationRefused("there is no migration yet: penstock migrate plan --to MODEL")
    return found


def _steer(
    action: str,
    number: int | None,
    as_json: bool,
    *,
    waits_for: str = "",
    accept: bool = False,
    reason: str = "by command",
) -> None:
    from assets.migrations.lifecycle.steer import steer

    with _platform() as platform:
        _report(steer(platform, action, number, accept=accept, reason=reason), waits_for, as_json)


def _drive(platform: "Platform", number: int, step: Any, as_json: bool) -> None:
    from assets.migrations.lifecycle.drive import drive

    driven = drive(platform, number, tell=step)
    _report(driven.migration, driven.waits_for, as_json)


def _report(migration: "Migration", waits_for: str, as_json: bool) -> None:
    if as_json:
        data({**_short(migration), "waits_for": waits_for})
        return
    line(f"migration {migration.id}, {migration.old_name} to {migration.new_name}: {migration.state}")
    if waits_for:
        note(f"waits for {waits_for}")


def _built(migration: "Migration") -> str:
    """The percentage of chunks built."""
    progress = migration.progress
    if not progress:
        return "-"
    return f"{int(100 * progress['chunks'] / max(1, progress['total']))}%"  # rounded down, so that 100% means all


def _short(migration: "Migration") -> dict[str, Any]:
    return {
        "number": migration.id,
        "from": migration.old_name,
        "to": migration.new_name,
        "state": migration.state,
        "paused": migration.paused,
        "reason": migration.reason,
        "progress": migration.progress,
        "verdict": (migration.comparison or {}).get("verdict"),
        "safe": (migration.comparison or {}).get("safe"),
    }
