"""`penstock research-worker`: does steps of research questions beside the platform's runs, on any machine."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.cli.output import line, note

if TYPE_CHECKING:
    from assets.platform import Platform


def research_worker(
    threads: Annotated[int, typer.Option(min=1, max=64, help="Most steps at the same time.")] = 2,
    until_idle: Annotated[
        float | None, typer.Option(min=0.1, max=86_400, help="End after so many seconds without a step.")
    ] = None,
) -> None:
    """Take steps of all teams' research questions until it is ended; any number of workers can run."""
    from assets.research.flow.open_corpora import Corpora
    from assets.research.flow.pool import run_pool

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with _platform() as platform:
        shop = Corpora(platform).workshop()
        done = run_pool(shop, platform.reader, threads, stop=stop, idle_seconds=until_idle, tell=note)
    line(f"{done.steps} steps done")


@contextmanager
def _platform() -> Iterator["Platform"]:
    """The platform at the configured database, or at the embedded one, which this process then holds."""
    from assets.platform import Platform
    from core.settings import load_settings
    from dagster_project.runtime import open_runtime

    settings = load_settings()
    if settings.database_url is not None:
        made = Platform(settings, settings.database_url.get_secret_value())
        yield made
        made.close()
        return
    with open_runtime(settings) as runtime:
        made = Platform(settings, runtime.database_url)
        yield made
        made.close()
