"""`penstock up` and `doctor`: commands for the whole platform."""

import contextlib
import importlib.metadata
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.cli.output import AsJson, CommandFailed, data, line, note, table
from dagster_project.cli.production import show_production
from dagster_project.operations.record import UNFINISHED

if TYPE_CHECKING:
    from core.settings import Settings

MOST_FORGES = 20


def up(
    webserver: Annotated[bool, typer.Option(help="Start the Dagster webserver too.")] = True,
    exit_when_ready: Annotated[
        bool, typer.Option("--check", help="Start everything, check that it answers, then stop it.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return once everything answers; `penstock down` stops it.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the gateway, 0 for a free one.", show_default=False)
    ] = None,
    dagster_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the Dagster UI, 0 for a free one.", show_default=False)
    ] = None,
) -> None:
    """Start the gateway, the Dagster webserver and daemon, and the embedded database unless another is configured."""
    from core.home_checks import require
    from core.settings import load_settings
    from dagster_project.cli import up as steps

    ports = {"gateway_port": port, "dagster_port": dagster_port}
    settings = load_settings(**{name: value for name, value in ports.items() if value is not None})
    if webserver and 0 != settings.gateway_port == settings.dagster_port:
        raise CommandFailed(
            f"gateway and Dagster UI cannot both have port {settings.gateway_port}: give another to --port or "
            "--dagster-port (or to the settings gateway_port and dagster_port)"
        )
    if settings.engine in ("model", "hybrid") and not settings.chat_model:
        note(f"the engine {settings.engine} has no chat model yet, so tasks will fail: set PENSTOCK_CHAT_MODEL")
    require(settings.home, database=settings.database_url is None)
    if (settings.home / UNFINISHED).exists():
        raise CommandFailed("a restore was interrupted: `penstock restore --resume` finishes or undoes it")
    if settings.signing_key:
        check_signing(settings)
    if detach and not exit_when_ready:
        steps.detached(settings, webserver)
    else:
        steps.foreground(settings, webserver, exit_when_ready)


def check_signing(settings: "Settings") -> None:
    """Raises `CommandFailed` if the setting's key cannot sign."""
    from core.git import SigningFailed
    from core.signing_keys import signing_key
    from core.teams import DEFAULT_TEAM

    key = signing_key(settings, DEFAULT_TEAM)
    try:
        if key is not None:
            key.check()
    except SigningFailed as error:
        raise CommandFailed(f"commits cannot be signed: {error}; or unset it") from error


def _signing(settings: "Settings") -> list[tuple[str, str]]:
    """Whether each team's key can sign a commit."""
    from core.git import SigningFailed
    from core.signing_keys import all_keys

    rows = []
    for key in all_keys(settings):
        try:
            rows.append(("ok", f"{key.path} signs, as {key.check()}"))
        except SigningFailed as error:
            rows.append(("missing", str(error)))
    return rows


def doctor(
    production: Annotated[
        bool,
        typer.Option("--production", help="Only what would hurt in production, with remedies; exit code 1 if any."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what is installed, running or missing, how to install what is missing, and every setting with its origin."""
    if production:
        show_production(as_json)
        return
    from core.chat.probe import chat_states
    from core.settings import SettingsError, describe, load_settings
    from dagster_project.cli.machine_checks import NEEDED, machine_checks
    from dagster_project.records import running_platform
    from sandbox import KUBERNETES, backend_named, backends
    from sandbox.memory_group import parent_group

    try:
        settings = load_settings()
    except SettingsError as error:
        _without_settings(error)
        raise
    checks: list[dict[str, str]] = []

    def check(name: str, state: str, detail: str) -> None:
        checks.append({"name": name, "state": state, "detail": detail})

    check("penstock", "ok", f"{importlib.metadata.version('penstock')} on Python {sys.version.split()[0]}")
    check("dagster", "ok", importlib.metadata.version("dagster"))
    git = shutil.which("git")
    if git:
        version = subprocess.run(
            [git, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout.strip()
        check("git", "ok", version)
    else:
        check("git", "missing", "install git")
    for state, detail in _signing(settings):
        check("commit signing", state, detail)
    usable = 0
    shown = backends()
    if settings.kubernetes_image or settings.sandbox == KUBERNETES:
        shown = (*shown, backend_named(KUBERNETES))
    for backend in shown:
        problem = backend.available()
        usable += problem is None
        check(f"sandbox {backend.name}", "missing" if problem else "ok", problem or "sessions can be opened")
    held = "bounded by the kernel, in a cgroup" if parent_group() else "watched, since no cgroup can be made here"
    check("sandbox memory", "ok", f"{held}: docs/sandbox.md")
    if not usable:
        check("sandbox", "missing", "no backend works: tasks cannot run until one does")
    running = running_platform(settings)
    for name, state, detail in _parts(settings):
        check(name, state, detail)
    if running and running.get("launcher_problem"):
        check("run launcher", "degraded", "Dagster's own; `penstock up` printed why the warm one does not work")
    database, place = _database(settings, running)
    check("database", database, place)
    for finding in machine_checks(settings, running=bool(running)):
        check(*finding)
    if settings.event_log == "kafka":
        check("kafka", *_kafka(settings))
    if settings.oidc_issuer:
        check("oidc issuer", *_issuer(settings.oidc_issuer, settings.oidc_audience or ""))
    if running and database == "ok":
        for finding in _results(settings):
            check(*finding)
    needed = {"git", "commit signing", "sandbox", "database", "kafka", "oidc issuer", *NEEDED}
    for chat in chat_states(settings.models_folder, settings.chat_model):
        check(f"chat model {chat.name}", "ok" if chat.answers else "missing", chat.detail)
        if chat.default and settings.engine == "model":  # the others work without
            needed.add(f"chat model {chat.name}")
    if settings.engine == "model" and not settings.chat_model:
        check("chat model", "missing", "engine is model but chat_model is not set: new tasks cannot be solved")
        needed.add("chat model")
    rows = describe(settings)
    missing = any(c["state"] == "missing" and c["name"] in needed for c in checks)
    if as_json:
        data({"checks": checks, "settings": rows})
    else:
        table(["check", "state", "detail"], [[c["name"], c["state"], c["detail"]] for c in checks], empty="")
        line()
        table(["setting", "value", "origin"], [[r["name"], r["value"], r["origin"]] for r in rows], empty="")
    if missing:
        raise typer.Exit(1)


def _without_settings(error: Exception) -> None:
    """Shows the parts of a platform that runs although its settings are broken."""
    from core.settings import bare_settings

    found = [row for row in _parts(bare_settings()) if row[1] != "stopped"]
    if found:
        table(["check", "state", "detail"], [[*row] for row in found], empty="")
        note("parts that are started anew will fail until the settings are mended:")


def _database(settings: "Settings", running: "dict[str, object] | None") -> tuple[str, str]:
    """Whether the database answers a query; the embedded one runs only as long as something uses it."""
    from dagster_project.part_states import database_problem, embedded_url

    embedded = settings.database_url is None
    place = f"embedded, in {settings.home / 'postgres'}" if embedded else "external"
    if settings.database_url is not None:
        url: str | None = settings.database_url.get_secret_value()
    elif running:
        url = str(running["database"])
    else:
        url = embedded_url(settings.home / "postgres", "penstock")
    if url is None:
        return "stopped", f"{place}; it starts with the first command that needs it"
    if problem := database_problem(url):
        later = "; the platform starts it again if its process has ended" if embedded and running else ""
        return "missing", f"{place}, does not answer{later}: {problem}"
    return "ok", f"{place}, answers a query"


def _parts(settings: "Settings") -> list[tuple[str, str, str]]:
    """The platform, and each of its parts that is not up."""
    from dagster_project.part_states import duration, platform_state

    found = platform_state(settings)
    if found.pid is None:
        left = ", ".join(f"{one.part} ({one.pid})" for one in found.parts)
        how = f"a killed `penstock up` left {left}: `penstock up` replaces them, `penstock down` ends them"
        return [("platform", found.state, how if left else "start it with `penstock up`")]
    where = f"gateway {found.gateway}; Dagster {found.dagster or 'has no webserver'}" if found.gateway else "not yet up"
    bad = [one for one in found.parts if one.state != "up"]
    count = f"{len(found.parts) - len(bad)} of {len(found.parts)} parts are up"
    state = "degraded" if found.state == "degraded" else "ok"
    return [
        ("platform", state, f"process {found.pid}, for {duration(found.uptime)}; {count}; {where}"),
        *(
            (
                f"part {one.part}",
                "degraded",
                f"{one.state}, restarted {one.restarts} times{f': {one.detail}' if one.detail else ''}; "
                f"see `penstock logs {one.part}`",
            )
            for one in bad
        ),
    ]


def _results(settings: "Settings") -> list[tuple[str, str, str]]:
    """Where results go, and who is told of them; why nobody could ask, where not even a command can open the database:
    the other checks are needed all the more then."""
    from core.database.embedded import DatabaseNotStarted

    try:
        return [*_places(settings), *_channels(settings)]
    except DatabaseNotStarted as error:
        return [("results", "degraded", f"whether they can be published was not asked: {error}")]


def _places(settings: "Settings") -> list[tuple[str, str, str]]:
    """Where results of all teams' sources are published or shown, at forges and trackers, of at most `MOST_FORGES`
    sources: each with what keeps that from working."""
    from assets.platform import Platform
    from assets.results.forges import access_states
    from core.teams import DEFAULT_TEAM
    from core.tickets import TRACKERS
    from dagster_project.cli.task import opened

    with opened() as database:
        platform = Platform(settings, database.url)
        try:
            with database.system() as connection:
                rows = connection.execute(
                    "SELECT t.id, t.name, s.name FROM sources s JOIN teams t ON t.id = s.team_id "
                    "WHERE s.forge IS NOT NULL OR EXISTS (SELECT FROM ticket_projects p WHERE (p.team_id, p.source) = "
                    "(s.team_id, s.name) AND p.service = ANY(%s)) ORDER BY t.id, s.name LIMIT %s",
                    (list(TRACKERS), MOST_FORGES),
                ).fetchall()
            return [
                (f"{place} of {name if team == DEFAULT_TEAM else f'{team_name}/{name}'}", state, detail)
                for team, team_name, name in rows
                for place, state, detail in access_states(platform, team, str(name))
            ]
        finally:
            platform.database.close()


def _channels(settings: "Settings") -> list[tuple[str, str, str]]:
    """Each channel of notices, `degraded` if its receiver has failed."""
    from assets.results.channels import open_channels
    from assets.results.notices import channel_state
    from dagster_project.cli.task import opened

    rows = []
    channels = open_channels(settings)
    with opened() as database, database.system() as connection:
        for channel in channels:
            found = channel_state(connection, channel.name)
            counts = f"{found.waiting} wait after a failed try, {found.dead} are dead letters; {found.error}"
            bad = bool(found.waiting or found.dead)
            rows.append((channel.name, "degraded" if bad else "ok", counts if bad else "nothing has failed"))
    return rows


def _issuer(address: str, audience: str) -> tuple[str, str]:
    from core.access.oidc import Issuer, IssuerUnavailable

    try:
        with contextlib.closing(Issuer(address, audience)) as issuer:
            return "ok", f"{address} has {issuer.check()} usable key(s)"
    except IssuerUnavailable as error:
        return "missing", str(error)


def _kafka(settings: "Settings") -> tuple[str, str]:
    from core.eventlog import EventLogUnavailable
    from core.eventlog.kafka_settings import kafka_log

    try:
        with contextlib.closing(kafka_log(settings)) as log:
            return "ok", f"{log.brokers()} broker(s) at {settings.kafka_bootstrap}"
    except (EventLogUnavailable, ValueError) as error:
        return "missing", f"{error}: check PENSTOCK_KAFKA_BOOTSTRAP and the other Kafka settings"
