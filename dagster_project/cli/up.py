"""The steps of `penstock up`: in this process until it is stopped, or in one of its own with `--detach`."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_project.cli.output import CommandFailed, line, note
from dagster_project.notify import notify

if TYPE_CHECKING:
    from core.settings import Settings

START_SECONDS = 300.0
"""How long `--detach` waits for everything to answer; a first start creates the database."""


def foreground(settings: "Settings", webserver: bool, exit_when_ready: bool) -> None:
    """Starts the platform, watches it until a signal comes, and stops it. Raises `CommandFailed` if another runs."""
    from core.credentials import ensure_secrets
    from core.database import Database
    from dagster_project import records
    from dagster_project.parts import adopt_orphans
    from dagster_project.runtime import open_runtime
    from dagster_project.supervisor import Supervisor, stop_on_signals

    others = adopt_orphans()
    began = time.monotonic()
    say = teller(settings.home / "logs" / "up.log")
    try:
        with records.only_one(settings):
            say(f"starting the platform in {settings.home}")
            if left := records.end_left(settings):
                say(f"ended what a killed `penstock up` left running: {', '.join(left)}")
            with open_runtime(settings) as runtime:
                database = Database(runtime.database_url)
                ensure_secrets(settings, database)
                database.close()
                supervisor = Supervisor(
                    runtime, webserver=webserver, on_event=say, adopts=True, forks=True, others=others
                )
                with stop_on_signals(supervisor):
                    try:
                        supervisor.start()
                        show(settings, supervisor.gateway_url, supervisor.dagster_url)
                        say(f"started in {time.monotonic() - began:.1f} s; stop with Ctrl-C or `penstock down`")
                        notify("READY=1")
                        sys.stdout.flush()
                        if not exit_when_ready:
                            supervisor.watch()
                    finally:
                        notify("STOPPING=1")
                        say("stopping")
                        supervisor.stop()
    except records.AlreadyRuns:
        raise CommandFailed(_runs_already(settings)) from None


def detached(settings: "Settings", webserver: bool) -> None:
    """Starts `penstock up` in a session of its own, and returns once everything answers. Raises `CommandFailed`."""
    from dagster_project.records import running_platform

    if running_platform(settings):
        raise CommandFailed(_runs_already(settings))
    log = settings.home / "logs" / "up.log"
    private_folder(log.parent)
    ports = ["--port", str(settings.gateway_port), "--dagster-port", str(settings.dagster_port)]
    with log.open("ab") as output:
        place = output.tell()
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "penstock", "up", *ports, *([] if webserver else ["--no-webserver"])],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while (running := running_platform(settings)) is None or running["pid"] != process.pid:
        if process.poll() is not None:
            raise CommandFailed(f"the platform did not start:\n{_end_of(log, place)}\n(from {log})")
        if time.monotonic() > deadline:
            process.terminate()
            raise CommandFailed(
                f"the platform did not answer within {START_SECONDS:.0f} s, so it is stopped: see {log}"
            )
        time.sleep(0.1)
    show(settings, str(running["gateway"]), str(running["dagster"]) if running["dagster"] else None)
    note("started; `penstock status` shows its parts, `penstock logs -f` what they say, `penstock down` stops it")


def private_folder(folder: Path) -> None:
    """Makes a folder that only its owner can enter; logs name what tasks are about."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def show(settings: "Settings", gateway: str, dagster: str | None) -> None:
    line(f"web        {gateway}/web   (sign in with `penstock open`)")
    line(f"gateway    {gateway}   (API description at /openapi.json, with the token)")
    if dagster:
        line(f"dagster    {dagster}   (no authentication: for operators only)")
    line(f"token      in {settings.secrets_folder / 'api-token'}")
    line(f"logs       {settings.home / 'logs'}")


def teller(log: Path) -> Callable[[str], None]:
    """Writes lines to standard error and, with the time, to the log; once if both are the same file."""
    with contextlib.suppress(OSError):  # whoever needs the folder says what is wrong with it
        private_folder(log.parent)

    def say(text: str) -> None:
        stamped = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}"
        if _is_standard_error(log):
            note(stamped)
            return
        note(text)
        with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as file:
            file.write(stamped + "\n")

    return say


def _is_standard_error(log: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(sys.stderr.fileno()), log.stat())
    except (OSError, ValueError):
        return False


def _runs_already(settings: "Settings") -> str:
    from dagster_project.records import read_record

    record = read_record(settings)
    process = f" (process {record.supervisor.pid})" if record else ""
    return f"a platform already runs on {settings.home}{process}: `penstock status` shows it"


def _end_of(log: Path, place: int) -> str:
    with log.open("rb") as file:
        file.seek(place)
        return file.read()[-4000:].decode(errors="replace").strip()
