"""A source at Bitbucket with each kind of token, from the settings or the file of credentials."""

import pytest
from pydantic import SecretStr

import assets.results.forges
from assets.results.forges import access_problem, api_token
from core.events import DEFAULT_TEAM
from core.git import Credential, Remote
from tests.assets.results.conftest import World
from tests.forge_arena import BOT, REPOSITORY

pytestmark = pytest.mark.parametrize("world", ["bitbucket"], indirect=True)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Credential | None]:
    """The logins that git was given."""
    found: list[Credential | None] = []

    def remote(location: str, credential: Credential | None) -> Remote:
        found.append(credential)
        return Remote(location, credential)

    monkeypatch.setattr(assets.results.forges, "Remote", remote)
    return found


def _publish(world: World) -> str:
    attempt = world.start(ticket=None)
    world.conclude(attempt)
    [published] = world.deliver()
    assert published.location is not None, published
    return published.location


def test_an_access_token_publishes(world: World, given: list[Credential | None]) -> None:
    assert _publish(world).endswith("/pull-requests/1")
    assert given[0] == Credential("x-token-auth", world.arena.token)
    assert api_token(world.platform, DEFAULT_TEAM, "shop") == world.arena.token
    assert access_problem(world.platform, DEFAULT_TEAM, "shop") is None


def test_an_api_token_publishes_as_its_person(world: World, given: list[Credential | None]) -> None:
    world.arena.forge.grant(REPOSITORY, "robot", "write")
    secret = world.arena.forge.add_token("robot")
    world.settings(bitbucket_token=SecretStr(f"robot@example.org:{secret}"))
    _publish(world)
    assert given[0] == Credential("x-bitbucket-api-token-auth", secret)
    assert {one.token for one in world.arena.forge.requests if one.token} == {"robot"}
    assert world.arena.forge.repository(REPOSITORY).pulls[0].author.login == "robot"
    assert api_token(world.platform, DEFAULT_TEAM, "shop") == f"robot@example.org:{secret}"


@pytest.mark.parametrize(
    ("name", "for_git"), [("x-token-auth", "x-token-auth"), ("robot@example.org", "x-bitbucket-api-token-auth")]
)
def test_a_credential_of_the_file_publishes(
    world: World, given: list[Credential | None], monkeypatch: pytest.MonkeyPatch, name: str, for_git: str
) -> None:
    secret = world.arena.token
    monkeypatch.setattr(
        assets.results.forges, "find_credential", lambda *_: Credential(name, secret)
    )  # the file takes https alone, and the fake forge is on http
    world.settings(bitbucket_token=None)
    _publish(world)
    assert given[0] == Credential(for_git, secret)


def test_who_may_start_work_is_asked_by_id(world: World) -> None:
    mine, theirs = world.start(starter="ada"), world.start(starter="eve")
    assert world.platform.distrust(mine.task) is None
    assert "eve may not write" in (world.platform.distrust(theirs.task) or "")
    world.arena.forge.grant(REPOSITORY, BOT, "write")
    with pytest.raises(RuntimeError, match="repository:admin"):
        world.platform.distrust(mine.task)
