"""A fake forge with one repository, and clients of its dialects."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from deploy.fake_forge import FakeForge
from tests.deploy.forge_clients import SHOP, client, git


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[FakeForge]:
    """A forge with `acme/shop`, which `bot` may write and `eve` may read."""
    seed = tmp_path / "seed"
    (seed / "docs").mkdir(parents=True)
    (seed / "shop.py").write_text("TOTAL = 2\n")
    (seed / "docs" / "read.md").write_text("Read me\n")
    with FakeForge(tmp_path / "forge") as made:
        made.add_repository(SHOP, seed)
        made.grant(SHOP, "bot", "write")
        yield made
        assert made.failures == []


@pytest.fixture
def token(forge: FakeForge) -> str:
    return forge.add_token("bot")


@pytest.fixture
def push(forge: FakeForge, token: str, tmp_path: Path) -> Callable[..., str]:
    """Pushes a branch with one more commit and returns the commit."""
    clone = tmp_path / "clone"

    def pushed(branch: str, content: str = "TOTAL = 3\n") -> str:
        if not clone.is_dir():
            git("clone", "--quiet", forge.git_url(SHOP), str(clone))
        git("-C", str(clone), "checkout", "--quiet", "-B", branch)
        (clone / "shop.py").write_text(content)
        git("-C", str(clone), "commit", "--quiet", "--all", "--allow-empty", "--message", "Count again")
        git("-C", str(clone), "push", "--quiet", "--force", forge.git_url(SHOP, token), branch)
        return git("-C", str(clone), "rev-parse", "HEAD").stdout.strip()

    return pushed


@pytest.fixture
def github(forge: FakeForge, token: str) -> Iterator[httpx.Client]:
    with client(f"{forge.github_url}/repos/{SHOP}", Authorization=f"Bearer {token}") as made:
        yield made


@pytest.fixture
def gitlab(forge: FakeForge, token: str) -> Iterator[httpx.Client]:
    with client(f"{forge.gitlab_url}/projects/acme%2Fshop", **{"PRIVATE-TOKEN": token}) as made:
        yield made


@pytest.fixture
def gitea(forge: FakeForge, token: str) -> Iterator[httpx.Client]:
    with client(f"{forge.gitea_url}/repos/{SHOP}", Authorization=f"token {token}") as made:
        yield made
