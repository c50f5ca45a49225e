"""Every tracker keeps every promise."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.forge.tracker_conformance import CHECKS, Check, TrackerArena
from tests.tracker_arena import JiraArena, LinearArena, MemoryArena, SlackArena

ARENAS: dict[str, Callable[[Path], TrackerArena]] = {
    "memory": lambda folder: MemoryArena(),
    "linear": LinearArena,
    "jira-cloud": lambda folder: JiraArena(folder, cloud=True),
    "jira-data-center": lambda folder: JiraArena(folder, cloud=False),
    "slack": SlackArena,
}


@pytest.fixture(params=sorted(ARENAS))
def arena(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TrackerArena]:
    made = ARENAS[request.param](tmp_path)
    yield made
    if stop := getattr(made, "stop", None):
        stop()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_a_tracker_conforms(arena: TrackerArena, check: Check) -> None:
    check(arena)
