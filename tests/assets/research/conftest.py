"""A platform with a folder of documents about a dam, and research tasks on it."""

import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assets.context.source.sources import add_source
from assets.platform import Platform
from assets.research.engines.extractive.decompose import decompose
from assets.research.flow import steps
from assets.research.flow.open_corpora import Corpora
from assets.research.flow.work import Workshop
from core import tasks
from core.events import DEFAULT_TEAM
from core.settings import Settings

FILES = {
    "dam.md": "# The Oster dam\n\nThe Oster dam is 84 metres high. "
    "It was built in 1931, because the valley was flooded every spring.\n",
    "map.md": "# Walks\n\nThe Oster dam is 91 metres high, and the path to it takes three hours.\n",
    "fish.md": "# Fish\n\nThe lake behind the Oster dam has 14 species of fish.\n",
}


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def platform(database_url: str, tmp_path: Path, docs: Path) -> Iterator[Platform]:
    settings = Settings(home=tmp_path / "home", allowed_roots=(tmp_path,), research_folders={"docs": docs})
    made = Platform(settings, database_url)
    subprocess.run(["git", "init", "-q", "-b", "main", str(tmp_path / "lake")], check=True)
    add_source(made.database, DEFAULT_TEAM, "lake", str(tmp_path / "lake"), roots=settings.roots)
    yield made
    made.close()


Ask = Callable[..., uuid.UUID]


@pytest.fixture
def task(platform: Platform) -> Ask:
    """Makes a research task and returns its id."""

    def make(title: str = "How high is the Oster dam?", *corpora: str) -> uuid.UUID:
        event = tasks.request_event(DEFAULT_TEAM, f"api:{uuid.uuid4()}", "/api", "lake", title=title)
        with platform.database.team(DEFAULT_TEAM) as connection:
            return tasks.create_task(
                connection,
                platform.log,
                event=event,
                source="lake",
                title=title,
                options={"kind": "research", "corpora": list(corpora or ("docs",))},
            )

    return make


@pytest.fixture
def asked(platform: Platform, task: Ask) -> Ask:
    """Makes a task whose sub-questions are queued, and returns the question's id."""

    def make(title: str = "How high is the Oster dam?", seconds: float = 300.0) -> uuid.UUID:
        identity = task(title)
        with platform.database.team(DEFAULT_TEAM) as connection:
            found = tasks.get_task(connection, identity)
            question = steps.ask(connection, found, title, engine="extractive", corpora=["docs"], seconds=seconds)
            steps.queue_searches(connection, platform.log, steps.find_question(connection, question), decompose(title))
        return question

    return make


@pytest.fixture
def shop(platform: Platform) -> Workshop:
    return Corpora(platform).workshop()
