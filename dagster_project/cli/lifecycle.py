"""`penstock down`, `status`, `restart` and `logs`: commands about a platform that `penstock up` runs."""

import signal
import time
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.cli.output import AsJson, CommandFailed, data, line, note, table

if TYPE_CHECKING:
    from core.processes import ProcessName
    from core.settings import Settings
    from dagster_project.records import PartRecord, PlatformRecord

STOP_SECONDS = 60.0
RESTART_SECONDS = 120.0
GRACE_SECONDS = 10.0

Part = Annotated[str, typer.Argument(help="As `penstock status` names it: gateway, daemon, database, …")]


def settings_of_platform() -> "Settings":
    """The settings; the home folder alone where they are broken and a platform runs there, or has left parts.

    Raises `core.settings.SettingsError` if none does."""
    from core.settings import SettingsError, bare_settings, load_settings
    from dagster_project.records import read_record

    try:
        return load_settings()
    except SettingsError as error:
        bare = bare_settings()
        if read_record(bare) is None:
            raise
        note(f"the settings cannot be used, but a platform was started here before: {error}")
        return bare


def down() -> None:
    """Stop the platform, or end what a killed `penstock up` left running."""
    from core.processes import await_end
    from dagster_project.records import end_left, read_record

    settings = settings_of_platform()
    record = read_record(settings)
    if record is not None and record.supervisor.send(signal.SIGTERM):
        if await_end([record.supervisor], STOP_SECONDS):
            raise CommandFailed(
                f"process {record.supervisor.pid} still stops its parts after {STOP_SECONDS:.0f} s: "
                f"see {settings.home / 'logs' / 'up.log'}"
            )
        left = end_left(settings)
        note("stopped" + (f"; it left {', '.join(left)}, which are ended too" if left else ""))
        return
    left = end_left(settings)
    if _stop_database(settings):
        left.append("database")
    note(f"ended what a killed `penstock up` left running: {', '.join(left)}" if left else "no platform runs here")


def _stop_database(settings: "Settings") -> bool:
    """Stops an embedded server that nobody holds any more; whether there was one."""
    from core.database import embedded

    data_folder = settings.home / "postgres"
    if settings.database_url is not None or embedded.running(data_folder) is None:
        return False
    embedded.EmbeddedServer(data_folder).release()
    return embedded.running(data_folder) is None


def status(as_json: AsJson = False) -> None:
    """Show each part of the platform: its state, process, uptime and restarts. Exit code 1 unless all are up."""
    from dagster_project.part_states import duration, platform_state

    settings = settings_of_platform()
    found = platform_state(settings)
    if as_json:
        data(found.as_json())
    elif found.pid is None:
        how = "; `penstock up` replaces them, `penstock down` ends them" if found.parts else "; start it: penstock up"
        line(f"platform {found.state} in {settings.home}{how}")
    else:
        line(f"platform {found.state} in {settings.home} (process {found.pid}, for {duration(found.uptime)})")
        for name, address in (("gateway", found.gateway), ("dagster", found.dagster)):
            if address:
                line(f"{name:<9}{address}")
    if not as_json and found.parts:
        rows = [[p.part, p.state, p.pid or "", duration(p.uptime), p.restarts, p.detail] for p in found.parts]
        table(["part", "state", "pid", "uptime", "restarts", "detail"], rows, empty="")
    if found.state != "up":
        raise typer.Exit(1)


def restart(part: Part) -> None:
    """Restart one part of the platform. Runs at work when `warm` is restarted go on from their last step."""
    from dagster_project.parts import PartState

    settings = settings_of_platform()
    record, old = _find(settings, part)
    _end(part, old.process)
    deadline = time.monotonic() + RESTART_SECONDS
    while time.monotonic() < deadline:
        record, now = _find(settings, part)
        if now.restarts > old.restarts and now.state == PartState.UP and now.runs and now.process:
            note(f"{part} is up again (process {now.process.pid})")
            return
        if not now.runs:
            record.supervisor.send(signal.SIGUSR1)  # it need not wait out the part's delay
        time.sleep(0.2)
    raise CommandFailed(f"{part} is {now.state} after {RESTART_SECONDS:.0f} s: see `penstock logs {part}`")


def _find(settings: "Settings", part: str) -> "tuple[PlatformRecord, PartRecord]":
    """Raises `CommandFailed` if no platform runs or it has no such part."""
    from dagster_project.records import read_record

    record = read_record(settings)
    if record is None or not record.supervisor.runs():
        raise CommandFailed(f"no platform runs on {settings.home}: start it with `penstock up`")
    for one in record.parts:
        if one.name == part:
            return record, one
    names = ", ".join(one.name for one in record.parts)
    raise CommandFailed(f"the platform has no part {part!r}; it has {names}")


def _end(part: str, process: "ProcessName | None") -> None:
    from core.processes import await_end

    if process is None:
        return
    # A PostgreSQL that gets SIGTERM waits until its last client has gone.
    process.send(signal.SIGINT if part == "database" else signal.SIGTERM)
    if await_end([process], GRACE_SECONDS):
        process.send(signal.SIGKILL)
        await_end([process], GRACE_SECONDS)


def logs(
    part: Annotated[
        str | None, typer.Argument(help="A part that `penstock status` names, or `up`; all by default.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on showing what is written.")] = False,
    lines: Annotated[int, typer.Option("-n", min=0, max=100_000, help="Show the last so many lines of each.")] = 20,
) -> None:
    """Show the logs of the platform's parts."""
    from dagster_project.cli.log_files import files, show

    settings = settings_of_platform()
    found = files(settings)
    if part is not None:
        if part not in found:
            others = f"there are logs of {', '.join(found)}" if found else "no part has written one yet"
            raise CommandFailed(f"there is no log of {part!r}: {others}")
        found = {part: found[part]}
    elif not found:
        note(f"there are no logs in {settings.home / 'logs'} yet")
    show(found, lines, follow, named=part is None)
