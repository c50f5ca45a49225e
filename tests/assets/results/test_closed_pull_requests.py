"""A pull request that a person closes, opens again or merges is followed, and the ticket says so."""

import uuid

from assets.results.fates import note_fates
from core.events import DEFAULT_TEAM
from core.git import Repository
from core.git.fates import Fate
from tests.assets.results.conftest import World
from tests.forge_arena import REPOSITORY, git


def _seen(world: World, url: str, state: str) -> None:
    """The pull request's ticket, as its webhook left it."""
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO tickets (team_id, source, service, project, key, kind, title, state, url, updated_at) "
            "VALUES (%s, 'shop', %s, %s, '#2', 'pull request', 'Fix', %s, %s, now()) "
            "ON CONFLICT (team_id, source, service, project, key) DO UPDATE SET state = excluded.state",
            (DEFAULT_TEAM, world.arena.dialect, REPOSITORY, state, url),
        )


def _note(world: World) -> list[Fate]:
    def mirror(team: uuid.UUID, source: str) -> tuple[Repository, str]:
        return Repository(world.arena.forge.repository(REPOSITORY).path), world.arena.head("main") or ""

    return [change.fate for change in note_fates(world.platform.database, mirror)]


def test_closed_and_opened_again_and_closed(world: World) -> None:
    attempt = world.start()
    world.conclude(attempt)
    [published] = world.deliver()
    url = published.location or ""
    assert _note(world) == []
    for state, fate in (("closed", Fate.CLOSED), ("open", Fate.OPEN), ("closed", Fate.CLOSED)):
        _seen(world, url, state)
        assert _note(world) == [fate]
        assert _note(world) == [], "nothing has changed since"
    world.deliver()
    assert world.comments(attempt) == [f"Penstock's patch was closed: {url}"]


def test_a_closed_one_that_was_merged_by_hand_is_merged(world: World) -> None:
    attempt = world.start()
    world.conclude(attempt)
    [published] = world.deliver()
    _seen(world, published.location or "", "closed")
    assert _note(world) == [Fate.CLOSED]
    world.arena.commit("main")
    assert _note(world) == [], "the head has moved, without the patch"
    pull = world.arena.forge.repository(REPOSITORY).pulls[-1]
    world.arena.forge.edit(REPOSITORY, pull.number, state="open")
    world.arena.forge.merge(REPOSITORY, pull.number)
    assert _note(world) == [Fate.UNCHANGED]
    world.deliver()
    assert world.comments(attempt) == [f"Penstock's patch was merged unchanged: {published.location}"]


def test_the_same_change_by_somebody_else_is_no_merge_of_an_open_one(world: World) -> None:
    attempt = world.start()
    world.conclude(attempt)
    [published] = world.deliver()
    _seen(world, published.location or "", "open")
    path = world.arena.forge.repository(REPOSITORY).path
    theirs = git(path, "rev-parse", f"penstock/{attempt.task.id}").strip()
    git(path, "update-ref", "refs/heads/main", theirs)  # behind the forge's back, as it were another pull request's
    assert _note(world) == []
    _seen(world, published.location or "", "closed")
    assert _note(world) == [Fate.UNCHANGED]
