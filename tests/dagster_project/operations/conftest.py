"""Homes with an embedded server of their own."""

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from core.database.embedded import EmbeddedServer
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM, Event
from core.settings import Settings

Home = Callable[[], Settings]


@pytest.fixture
def new_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """Makes settings of new, empty homes. What still runs there is stopped at the end."""
    monkeypatch.delenv("PENSTOCK_HOME", raising=False)
    # Not below pytest's own folder, which other users cannot enter: root's server runs as one.
    top = Path(tempfile.mkdtemp(prefix="penstock-homes-"))
    top.chmod(0o711)
    homes: list[Path] = []

    def make() -> Settings:
        homes.append(top / f"home{len(homes)}")
        return Settings(home=homes[-1])

    yield make
    for home in homes:
        if (home / "postgres" / "postmaster.pid").exists():
            EmbeddedServer(home / "postgres").release()
    shutil.rmtree(top, ignore_errors=True)


def event(number: int) -> Event:
    return Event(id=f"e{number:06d}", type="task.requested", source="test", subject="s", data={"n": number})


def add_task(url: str, title: str) -> uuid.UUID:
    task = uuid.uuid4()
    with psycopg.connect(url, options="-c search_path=penstock,public") as connection:
        connection.execute("SET LOCAL ROLE penstock_system")
        connection.execute(
            "INSERT INTO tasks (team_id, id, event_id, source, title) VALUES (%s, %s, %s, 's', %s)",
            (DEFAULT_TEAM, task, str(task), title),
        )
    return task


def titles(url: str) -> list[str]:
    with psycopg.connect(url, options="-c search_path=penstock,public") as connection:
        connection.execute("SET LOCAL ROLE penstock_system")
        return [str(row[0]) for row in connection.execute("SELECT title FROM tasks ORDER BY 1").fetchall()]


def read_all(log: PostgresLog, topic: str, start: int) -> list[tuple[int, str]]:
    """Offset and id of every event from `start` on."""
    found: list[tuple[int, str]] = []
    offsets = {0: start}
    while True:
        batch = log.read(topic, offsets)
        assert not batch.resets and not batch.unreadable
        if not batch.records:
            return found
        found += [(record.offset, record.event.id) for record in batch.records]
        offsets = dict(batch.next_offsets)
