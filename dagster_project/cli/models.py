"""`penstock models`: the catalogue of embedding models, and the described chat models."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dagster_project.cli.models_pack import pack
from dagster_project.cli.output import AsJson, CommandFailed, Progress, data, line, note, table
from dagster_project.cli.recommend import recommend
from dagster_project.cli.task import opened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from assets.context.models.set_aside import SetAside
    from core.database import Database
    from core.embedding.catalogue import Entry
    from core.settings import Settings

models = typer.Typer(name="models", help="Embedding models: list, add and retire them.", no_args_is_help=True)
models.command("pack")(pack)

models.command()(recommend)

Name = Annotated[str, typer.Argument(help="The model's name in the catalogue.")]

_ANSWERS = {True: "yes", False: "NO", None: "-"}


@contextmanager
def told() -> Iterator[None]:
    """Turns errors that the user can fix into `CommandFailed`, printed as one line."""
    from core.embedding import EmbedderUnavailable
    from core.embedding.catalogue import ModelConflict, UnknownModel

    try:
        yield
    except (EmbedderUnavailable, ModelConflict, UnknownModel) as error:
        raise CommandFailed(str(error)) from error


@models.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Include retired ones.")] = False,
    ask: Annotated[
        bool, typer.Option("--ask/--no-ask", help="Check whether the servers of chat models answer.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Show every model: embedding models and their coverage of the indexes, chat models and whether they answer."""
    from assets.context.models import set_aside
    from core.chat.probe import chat_states
    from core.embedding import BUILT_IN, catalogue, described, migration_requests
    from core.settings import load_settings

    settings = load_settings()
    with opened() as database, told():
        _ensure_default(database)
        with database.system() as connection:
            found = [entry for entry in catalogue.entries(connection) if everything or entry.state != "retired"]
            waits = {request.model_id: request.reason for request in migration_requests.waiting(connection)}
            rows = [
                _row(entry, catalogue.coverage(connection, entry.id), set_aside.read(connection, entry.id))
                | _request(waits, entry)
                for entry in found
            ]
    chats = chat_states(settings.models_folder, settings.chat_model, ask=ask)
    if as_json:
        data([{"kind": "embedding", **row} for row in rows] + [{"kind": "chat", **asdict(chat)} for chat in chats])
        return
    table(
        ["name", "state", "provider", "dimensions", "covers", "chunks", "identity"],
        [
            [
                row["name"],
                row["state"],
                row["provider"] or "-",
                row["dimensions"],
                f"{row['covered'] / row['chunks']:.1%}" if row["chunks"] else "-",
                row["covered"],
                row["identity"],
            ]
            for row in rows
        ],
        empty="No model yet: the first start registers the one named in the settings.",
    )
    for row in rows:
        if row["retire_by"] is not None and row["state"] != "retired":
            note(f"{row['name']} is due to be retired by {row['retire_by'][:10]}")
        if row["set_aside"]:
            note(
                f"{row['name']}: {row['set_aside']} texts set aside, tried again each night: {row['set_aside_reason']}"
            )
        if row["migrate"] is not None:
            note(f"{row['name']} has a queued migration request: {row['migrate']}")
    if chats:
        line()
        table(
            ["chat model", "answers", "provider", "default", "detail"],
            [[one.name, _ANSWERS[one.answers], one.provider or "-", "default" if one.default else "", one.detail]
             for one in chats],
            empty="",
        )  # fmt: skip
    others = sorted({*BUILT_IN, *described(settings.models_folder)} - {row["name"] for row in rows})
    if others:
        note(f"not registered: {', '.join(others)} (penstock models add NAME)")


@models.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show one model in full: its description, state, coverage and past states."""
    from assets.context.models import set_aside
    from core.embedding import catalogue

    with opened() as database, told():
        _ensure_default(database)
        with database.system() as connection:
            entry = catalogue.find(connection, name)
            covered = catalogue.coverage(connection, entry.id)
            aside = set_aside.read(connection, entry.id)
            events = connection.execute(
                "SELECT state, at FROM model_events WHERE model_id = %s ORDER BY id", (entry.id,)
            ).fetchall()
    row = _row(entry, covered, aside)
    row |= {
        "spec": entry.spec,
        "memory": _memory(entry),
        "sources": [{"source": c.source, "chunks": c.chunks, "covered": c.covered} for c in covered],
        "events": [{"state": state, "at": at} for state, at in events],
    }
    if as_json:
        data(row)
        return
    for key in ("name", "identity", "state", "provider", "dimensions", "distance", "registered"):
        line(f"{key:<12}{row[key]}")
    for key, value in (entry.spec or {}).items():
        if key not in row and value not in (None, ""):
            line(f"{key:<12}{value}")
    if row["memory"] is not None:
        line(f"memory      {row['memory']}")
    for one in covered:
        line(f"covers      {one.source}: {one.covered} of {one.chunks} chunks")
    if aside.count:
        line(f"without     {aside}; tried again each night")
    for state, at in events:
        line(f"{at:%Y-%m-%d %H:%M}  {state}")


@models.command()
def add(
    name: Annotated[
        str,
        typer.Argument(
            help="A built-in or described model, ollama/NAME (pulled if that server lacks it), or a name for one given "
            "by options."
        ),
    ],
    provider: Annotated[
        str | None, typer.Option(help="ollama, openai or onnx. Otherwise NAME is built in or described in a folder.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Address of the model server.")] = None,
    model: Annotated[str | None, typer.Option(help="The model's name on its server.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Folder of model.onnx and tokenizer.json.")] = None,
    pooling: Annotated[str | None, typer.Option(help="onnx: mean or cls, as the model's card says.")] = None,
    dimensions: Annotated[int | None, typer.Option(help="Dimensions of its vectors.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Maximum length of a text in tokens.")] = None,
    query_prefix: Annotated[str | None, typer.Option(help="Prefix of queries, from the model's card.")] = None,
    document_prefix: Annotated[str | None, typer.Option(help="Prefix of documents, from the model's card.")] = None,
    key_variable: Annotated[str | None, typer.Option(help="Environment variable that holds the server's key.")] = None,
    price: Annotated[float | None, typer.Option(help="Money per million tokens.")] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve searches with it from now on beside the others, without a migration.")
    ] = False,
    migrate: Annotated[
        bool, typer.Option("--migrate", help="Let the running platform migrate to it, behind the gate.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Register a model: its vectors of a few fixed texts are stored, and it must always give the same ones."""
    from core.chat.spec import LOCAL_OLLAMA, OLLAMA
    from core.embedding import catalogue, find_spec, migration_requests
    from core.embedding.ollama_models import description_of
    from core.embedding.spec import parse_spec
    from core.settings import load_settings
    from core.states import ModelState

    settings = load_settings()
    given = {
        "url": url,
        "model": model,
        "folder": folder.absolute() if folder else None,
        "pooling": pooling,
        "dimensions": dimensions,
        "max_tokens": max_tokens,
        "query_prefix": query_prefix,
        "document_prefix": document_prefix,
        "key_variable": key_variable,
        "price": price,
    }
    values: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    of_ollama = provider is None and name.startswith(OLLAMA)
    if provider is None and values and not of_ollama:
        raise typer.BadParameter("these options describe a model of a --provider", param_hint="--provider")
    if serve and migrate:
        raise typer.BadParameter("--serve or --migrate, not both", param_hint="--migrate")
    with opened() as database, Progress(quiet=as_json) as step, told():
        _ensure_default(database)
        if of_ollama:
            address, wanted_model = url or LOCAL_OLLAMA, model or name.removeprefix(OLLAMA)
            described = description_of(wanted_model, address, key_variable, step)
            if described is None:
                _show_chat_model(name, url, as_json)
                return
            values, name = {**described, **values}, described["name"]
        spec = (
            parse_spec({"name": name, "provider": provider, **values}, name)
            if provider or of_ollama
            else find_spec(name, settings.models_folder)
        )
        wanted = migrate or (spec.migrate and not serve)
        spec = spec.model_copy(update={"migrate": wanted})
        from assets.context.models import set_aside

        step(f"embedding the fixed texts with {name}")
        entry = catalogue.register(database, spec, threads=settings.embedding_threads)
        with database.system() as connection:
            if serve and entry.state != ModelState.SERVING:
                catalogue.check_no_migration(connection, entry.id)
                catalogue.move(connection, entry.id, ModelState.SERVING)
        if wanted:
            step(f"measuring {name}")
            _begin(settings, database)
        with database.system() as connection:
            entry = catalogue.find(connection, entry.identity)
            waits = {request.model_id: request.reason for request in migration_requests.waiting(connection)}
            row = _row(entry, [], set_aside.read(connection, entry.id)) | _request(waits, entry)
    if as_json:
        data(row)
        return
    line(f"{entry.name}: {entry.state}, {entry.dimensions} dimensions, {entry.identity}")
    if row["migrate"] is not None:
        note(f"the migration to it is queued: {row['migrate']}")
    elif wanted and entry.state == ModelState.BUILDING:
        note("a migration to it is open: the running platform continues it, or penstock migrate resume")
    elif entry.state == ModelState.REGISTERED:
        note(f"not used yet: penstock migrate plan --to {entry.name}, or models add {entry.name} --serve")


@models.command()
def retire(
    name: Name,
    by: Annotated[
        str | None,
        typer.Option("--by", help="Retire it by this day (2027-03-31), once others cover its content, instead of now."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Remove its retirement deadline.")] = False,
    as_json: AsJson = False,
) -> None:
    """Retire a model: sources that only it covers stay searchable until they are refreshed; then its vectors are
    archived, and `penstock migrate restore` can restore them."""
    from assets.migrations.retirement.archive import ArchiveFailed
    from assets.migrations.retirement.deadlines import deadlines
    from assets.migrations.retirement.retire import FOLDER, retire_model
    from core.embedding import catalogue
    from core.embedding.catalogue import ModelConflict
    from core.settings import load_settings
    from core.states import ModelState

    if by is not None and keep:
        raise typer.BadParameter("--by sets a deadline, --keep removes it: choose one", param_hint="--keep")
    day = _day(by) if by is not None else None
    with opened() as database, told():
        _ensure_default(database)
        with database.system() as connection:
            entry = catalogue.find(connection, name)
            if by is not None or keep:
                if entry.state == ModelState.RETIRED:
                    raise CommandFailed(f"{name} is retired already")
                catalogue.retire_by(connection, entry.id, day)
                known = [one for one in deadlines(connection) if one.model_id == entry.id]
                _show_deadline(entry, day, known[0].needs if known else (), as_json)
                return
            serving = [e for e in catalogue.entries(connection) if e.state == ModelState.SERVING and e.id != entry.id]
            if entry.state == ModelState.SERVING:
                if not serving:
                    raise CommandFailed(f"{name} is the only serving model: add another with --serve, or migrate first")
                catalogue.check_no_migration(connection, entry.id)
                catalogue.move(connection, entry.id, ModelState.DRAINING)
        with database.system() as connection:
            left = catalogue.only_cover(connection, entry.id)
        if not left:
            try:
                retire_model(database, entry.id, load_settings().home / FOLDER, tell=note)
            except (ArchiveFailed, ModelConflict) as error:
                with database.system() as connection:
                    state = catalogue.find(connection, entry.identity).state
                raise CommandFailed(f"{name} is {state}, and its vectors stay: {error}") from error
        with database.system() as connection:
            state = catalogue.find(connection, entry.identity).state
    if as_json:
        data({"name": entry.name, "state": state, "only_covers": [one.source for one in left]})
        return
    line(f"{entry.name}: {state}")
    for one in left:
        note(
            f"only it covers {one.source} ({one.covered} chunks): penstock index refresh {one.source}, "
            "or wait for the nightly job"
        )


def _show_chat_model(name: str, url: str | None, as_json: bool) -> None:
    if as_json:
        data({"kind": "chat", "name": name})
        return
    line(f"{name} is available, but generates text rather than embeddings: there is nothing to register")
    note(f"use it with --model {name}" if url is None else "describe it in a chat.toml: docs/chat-models.md")


def _day(text: str) -> "datetime":
    """The end of a day in UTC, or a point in time. Raises `typer.BadParameter`, also for one that has passed."""
    from datetime import UTC, datetime, time

    try:
        day = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a date like 2027-03-31", param_hint="--by") from error
    if len(text) <= len("2027-03-31"):
        day = datetime.combine(day.date(), time(23, 59, 59))
    day = day if day.tzinfo else day.replace(tzinfo=UTC)
    if day <= datetime.now(UTC):
        raise typer.BadParameter(f"{text} has passed: leave out --by to retire it now", param_hint="--by")
    return day


def _show_deadline(entry: "Entry", day: "datetime | None", needs: "Sequence[str]", as_json: bool) -> None:
    if as_json:
        shown = day.isoformat(timespec="seconds") if day else None
        data({"name": entry.name, "state": entry.state, "retire_by": shown, "needs": list(needs)})
        return
    line(
        f"{entry.name}: {entry.state}, " + (f"due to be retired by {day:%Y-%m-%d %H:%M} UTC" if day else "no deadline")
    )
    for need in needs:
        note(f"still needed: {need}")


def _begin(settings: "Settings", database: "Database") -> None:
    """Starts the queued migration immediately if nothing prevents it."""
    from assets.migrations.lifecycle.begin import begin_requested
    from assets.platform import Platform

    platform = Platform(settings, database.url)
    try:
        begin_requested(platform)
    finally:
        platform.close()


def _ensure_default(database: "Database") -> None:
    from core.embedding.serving import Models
    from core.settings import load_settings

    Models(database, load_settings()).in_use()


def _memory(entry: "Entry") -> str | None:
    """How much of its server's memory the model uses, as text; None if that is not known."""
    from core.embedding.ollama_models import memory_of
    from core.embedding.spec import Served, parse_spec

    spec = parse_spec({**entry.spec, "name": entry.name}, entry.identity) if entry.spec and entry.name else None
    return memory_of(spec) if isinstance(spec, Served) else None


def _request(waits: dict[int, str | None], entry: "Entry") -> dict[str, Any]:
    """Why the queued migration to the model has not started; None when none is queued."""
    return {"migrate": (waits[entry.id] or "as soon as the platform checks the queue") if entry.id in waits else None}


def _row(entry: "Entry", covered: Any, aside: "SetAside") -> dict[str, Any]:
    spec = entry.spec or {}
    return {
        "name": entry.name,
        "identity": entry.identity,
        "state": entry.state,
        "provider": spec.get("provider"),
        "revision": spec.get("revision") or entry.identity.rpartition("@")[2],
        "dimensions": entry.dimensions,
        "distance": entry.distance,
        "max_tokens": spec.get("max_tokens"),
        "query_prefix": spec.get("query_prefix", ""),
        "document_prefix": spec.get("document_prefix", ""),
        "retire_by": entry.retire_by.isoformat(timespec="seconds") if entry.retire_by else None,
        "registered": entry.created_at.isoformat(timespec="seconds"),
        "chunks": sum(one.chunks for one in covered),
        "covered": max(0, sum(one.covered for one in covered) - aside.count),
        "set_aside": aside.count,
        "set_aside_reason": aside.reason or None,
    }
