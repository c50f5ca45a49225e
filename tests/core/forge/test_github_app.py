"""A GitHub App's signature, its tokens, and what goes wrong with its key."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.forge.github import GitHubHost
from core.forge.github_app import GitHubApp
from core.forge.protocol import ForgeUnavailable
from tests.forge_arena import REPOSITORY, FakeArena

NUMBER = "12345"


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[FakeArena]:
    made = FakeArena(tmp_path, "github")
    yield made
    made.stop()


def _key(folder: Path, name: str = "app") -> Path:
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    subprocess.run(["openssl", "genrsa", "-out", private, "2048"], check=True, capture_output=True, timeout=600)
    subprocess.run(
        ["openssl", "rsa", "-in", private, "-pubout", "-out", public], check=True, capture_output=True, timeout=600
    )
    return private


def test_an_app_gets_a_token_for_its_repository_and_comments_as_itself(arena: FakeArena, tmp_path: Path) -> None:
    key = _key(tmp_path)
    arena.forge.app.public_key = tmp_path / "app.pub"
    arena.forge.install_app(REPOSITORY)
    app = GitHubApp(arena.forge.url, NUMBER, key)
    token = app.token(REPOSITORY)
    assert app.token(REPOSITORY) == token, "it is used until it expires"
    host = GitHubHost(arena.forge.url, REPOSITORY, lambda: token, setting="-", login=app.login)
    ticket = arena.new_ticket()
    comment = host.create_comment(ticket, "Hello.")
    assert comment.author == app.login() == host.login()
    assert [author for author, _ in arena.comments(ticket)] == [app.login()]


def test_a_token_is_replaced_before_it_expires(arena: FakeArena, tmp_path: Path) -> None:
    import time

    late = [0.0]
    app = GitHubApp(arena.forge.url, NUMBER, _key(tmp_path), clock=lambda: time.time() + late[0])
    arena.forge.install_app(REPOSITORY)
    first = app.token(REPOSITORY)
    late[0] = 2_900
    asked = len(arena.forge.requests)
    assert app.token(REPOSITORY) == first
    late[0] = 3_100
    with pytest.raises(ForgeUnavailable):  # by its own clock, the forge sees a signature from the future
        app.token(REPOSITORY)
    assert len(arena.forge.requests) > asked


@pytest.mark.parametrize("case", ["another key", "no file", "not a key", "not installed"])
def test_what_is_wrong_is_named_and_no_secret_is(arena: FakeArena, tmp_path: Path, case: str) -> None:
    key = _key(tmp_path)
    arena.forge.app.public_key = tmp_path / "app.pub"
    if case != "not installed":
        arena.forge.install_app(REPOSITORY)
    if case == "another key":
        key = _key(tmp_path, "other")
    elif case == "no file":
        key = tmp_path / "absent.pem"
    elif case == "not a key":
        key = tmp_path / "text.pem"
        key.write_text("-----BEGIN RSA PRIVATE KEY-----\nSECRETSECRET\n-----END RSA PRIVATE KEY-----\n")
    with pytest.raises(ForgeUnavailable) as trouble:
        GitHubApp(arena.forge.url, NUMBER, key).token(REPOSITORY)
    said = str(trouble.value)
    assert ("PENSTOCK_GITHUB_APP_ID" in said) == (case in ("another key", "not installed"))
    assert (str(key) in said) == (case in ("no file", "not a key"))
    assert "SECRET" not in said
    assert "BEGIN" not in said
