"""Every hosted forge keeps every promise: the same checks against each dialect of the fake forge."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.forge.conformance import CHECKS, Check
from tests.forge_arena import DIALECTS, FakeArena


@pytest.fixture
def arena(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[FakeArena]:
    made = FakeArena(tmp_path, request.param)
    yield made
    unknown = made.forge.unknown
    made.stop()
    assert unknown == [], "an adapter asked for something that the fake forge does not have"


@pytest.mark.parametrize("arena", DIALECTS, indirect=True)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_a_forge_conforms(arena: FakeArena, check: Check) -> None:
    check(arena)
