"""Workers of research are killed while they work: each question still ends in exactly one report."""

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from assets.platform import Platform
from assets.research import memory
from assets.research.engines.extractive.decompose import decompose
from assets.research.flow import steps
from core import tasks
from core.events import DEFAULT_TEAM, RESEARCH
from core.settings import Settings

pytestmark = pytest.mark.services

QUESTIONS, KILLS, WORKERS = 50, 20, 2
ASKED = "How high is dam {n}, and why was dam {n} built?"


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    docs = tmp_path / "docs"
    docs.mkdir()
    for n in range(QUESTIONS):
        (docs / f"{n}.md").write_text(
            f"# Dam {n}\n\nDam {n} is {50 + n} metres high. "
            f"Dam {n} was built in 1931, because the valley was flooded.\n"
        )
    subprocess.run(["git", "init", "-q", "-b", "main", str(tmp_path / "lake")], check=True)
    made = Platform(Settings(home=tmp_path / "home", research_folders={"docs": docs}, lease_seconds=1), database_url)
    yield made
    made.close()


def ask(platform: Platform) -> list[uuid.UUID]:
    made = []
    for n in range(QUESTIONS):
        text = ASKED.format(n=n)
        event = tasks.request_event(DEFAULT_TEAM, f"api:{n}", "/api", "lake", title=text)
        with platform.database.team(DEFAULT_TEAM) as connection:
            identity = tasks.create_task(connection, platform.log, event=event, source="lake", title=text)
            task = tasks.get_task(connection, identity)
            question = steps.ask(connection, task, text, engine="extractive", corpora=["docs"], seconds=300)
            steps.queue_searches(connection, platform.log, steps.find_question(connection, question), decompose(text))
        made.append(question)
    return made


def start(platform: Platform, database_url: str) -> subprocess.Popen[bytes]:
    folders = ",".join(f'"{name}": "{path}"' for name, path in platform.settings.research_folders.items())
    environment = {
        **os.environ,
        "PENSTOCK_HOME": str(platform.settings.home),
        "PENSTOCK_DATABASE_URL": database_url,
        "PENSTOCK_RESEARCH_FOLDERS": "{" + folders + "}",
        "PENSTOCK_LEASE_SECONDS": "1",
    }
    command = [sys.executable, "-m", "penstock", "research-worker", "--threads", "1"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def progress(platform: Platform) -> int:
    with platform.database.system() as connection:
        row = connection.execute("SELECT count(*) FROM research_steps WHERE state = 'done'").fetchone()
    return int(row[0]) if row else 0


def test_every_question_ends_in_one_report_and_nothing_is_done_twice_beyond_the_kills(
    platform: Platform, database_url: str
) -> None:
    questions = ask(platform)
    chance = random.Random(7)  # noqa: S311
    workers = [start(platform, database_url) for _ in range(WORKERS)]
    kills, until, seen = 0, time.monotonic() + 100, 0
    try:
        while progress(platform) < QUESTIONS * 5 and time.monotonic() < until:
            time.sleep(0.05)
            if kills < KILLS and progress(platform) >= seen + 8:
                victim = chance.randrange(WORKERS)
                workers[victim].send_signal(signal.SIGKILL)
                workers[victim].wait()
                workers[victim] = start(platform, database_url)
                kills, seen = kills + 1, progress(platform)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert kills == KILLS
    with platform.database.team(DEFAULT_TEAM) as connection:
        for n, question in enumerate(questions):
            stored = memory.load_report(connection, question)
            assert stored is not None and f"{50 + n} metres" in stored.report.answer
        repeats = connection.execute("SELECT sum(epoch - 1) FROM research_steps").fetchone()
    assert repeats is not None and repeats[0] <= KILLS
    told = Counter(r.event.id for r in platform.log.read(RESEARCH, {}, limit=2000).records)
    assert len(told) == QUESTIONS * 7 and set(told.values()) == {1}
