"""`penstock index add --forge` and `index forge`: what is set, what is refused, and what would fail later."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from core.database import Database
from tests.forge_arena import REPOSITORY, FakeArena


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[FakeArena]:
    made = FakeArena(tmp_path / "arena", "github")
    yield made
    made.stop()


@pytest.fixture
def penstock(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    from dagster_project.cli.app import app

    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", database.url)
    monkeypatch.setattr("dagster_project.runtime.open_runtime", lambda settings: _Runtime(database.url))
    return lambda *arguments: CliRunner().invoke(app, ["index", *arguments])


class _Runtime:
    def __init__(self, url: str) -> None:
        self.database_url = url

    def __enter__(self) -> "_Runtime":
        return self

    def __exit__(self, *_: object) -> None:
        return None


def _add(penstock: Callable[..., Result], arena: FakeArena, *more: str) -> Result:
    return penstock("add", "shop", arena.location, "--repository", REPOSITORY, "--no-refresh", *more)


def test_a_source_is_published_at_its_forge_and_a_good_token_needs_no_word(
    penstock: Callable[..., Result], arena: FakeArena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_GITHUB_TOKEN", arena.token)
    done = _add(penstock, arena, "--forge", "github")
    assert done.exit_code == 0, done.output
    assert f"published at github {arena.forge.url}" in done.output
    assert "warning" not in done.output
    shown = json.loads(penstock("forge", "shop", "--json").stdout)
    assert shown == {"source": "shop", "forge": "github", "address": arena.forge.url, "repository": REPOSITORY}


@pytest.mark.parametrize(
    ("token", "repository", "said"),
    [
        (None, REPOSITORY, "there is no token"),
        ("wrong-token", REPOSITORY, "401"),
        ("own", "acme/nosuch", "404"),
    ],
)
def test_what_would_fail_later_is_said_at_once(
    penstock: Callable[..., Result],
    arena: FakeArena,
    monkeypatch: pytest.MonkeyPatch,
    token: str | None,
    repository: str,
    said: str,
) -> None:
    if token:
        monkeypatch.setenv("PENSTOCK_GITHUB_TOKEN", arena.token if token == "own" else token)
    assert _add(penstock, arena).exit_code == 0
    done = penstock("forge", "shop", "--forge", "github", "--repository", repository)
    assert done.exit_code == 0, done.output
    assert "warning: results cannot be published there yet" in done.output
    assert said in done.output
    assert arena.token not in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--forge", "sourcehut"), "is not a forge"),
        (("--forge", "github", "--address", "https://token@example.org"), "without user name"),
        (("--forge", "github", "--address", "http://example.org"), "https://HOST"),
        (("--address", "https://example.org"), "--forge"),
        (("--none", "--forge", "github"), "--none"),
        (("--forge", "github", "--repository", "no slash"), "write owner/name"),
    ],
)
def test_wrong_use_changes_nothing_and_shows_no_token(
    penstock: Callable[..., Result], arena: FakeArena, arguments: tuple[str, ...], said: str
) -> None:
    assert _add(penstock, arena).exit_code == 0
    done = penstock("forge", "shop", *arguments)
    assert done.exit_code != 0
    text = done.output + str(done.exception or "")
    assert said in text
    assert "token@" not in text
    assert json.loads(penstock("forge", "shop", "--json").stdout)["forge"] is None


def test_a_public_forge_is_known_by_its_address() -> None:
    from assets.context.source.sources import Forge, public_forge

    for location, service, repository in (
        ("https://github.com/Acme/Shop.git", "github", "acme/shop"),
        ("git@github.com:acme/shop.git", "github", "acme/shop"),
        ("ssh://git@gitlab.com/acme/sub/shop", "gitlab", "acme/sub/shop"),
        ("https://user:token@codeberg.org/acme/shop/", "gitea", "acme/shop"),
        ("https://ada@bitbucket.org/Acme/shop.git", "bitbucket", "acme/shop"),
    ):
        hosts = {"github": "github.com", "gitlab": "gitlab.com", "gitea": "codeberg.org", "bitbucket": "bitbucket.org"}
        host = hosts[service]
        assert public_forge(location) == (Forge(service, f"https://{host}"), repository)
    for location in ("https://example.org/acme/shop.git", "/srv/github.com/acme/shop", "https://github.com/acme"):
        assert public_forge(location) is None


def test_doctor_asks_each_forge_while_the_platform_runs(
    penstock: Callable[..., Result], arena: FakeArena, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_project.cli.app import app

    assert _add(penstock, arena, "--forge", "github").exit_code == 0
    running = {"pid": 1, "gateway": "-", "dagster": "-"}
    monkeypatch.setattr("dagster_project.records.running_platform", lambda settings: running)

    def state() -> dict[str, str]:
        checks = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)["checks"]
        return {one["name"]: one["state"] for one in checks}

    assert state()["forge of shop"] == "missing"
    monkeypatch.setenv("PENSTOCK_GITHUB_TOKEN", arena.token)
    assert state()["forge of shop"] == "ok"
