"""Pushing Penstock's own branches: to nothing else, over nothing of others, and with a credential that stays hidden."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.git import AccessRefused, Credential, GitError, PushRejected, Remote, Repository, fetch_mirror
from core.git.mirror import check_url, is_url
from tests.forge_arena import BOT, REPOSITORY, FakeArena

DIFF = "diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n"
WHEN = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[FakeArena]:
    made = FakeArena(tmp_path, "github")
    yield made
    made.stop()


def _commit(repository: Repository, base: str, branch: str, message: str = "Fix it\n") -> str:
    return repository.commit_patch(base, DIFF, branch, message, ("Penstock", "p@example.org"), WHEN)


def _remote(arena: FakeArena, token: str | None = None) -> Remote:
    return Remote(arena.location, Credential("x", token or arena.token))


def test_a_new_branch_is_pushed_and_a_repeat_changes_nothing(arena: FakeArena) -> None:
    repository, remote = arena._mirror, _remote(arena)
    commit = _commit(repository, arena.base_commit(), "penstock/a")
    assert remote.head("penstock/a") is None
    remote.push(repository, "penstock/a", commit)
    remote.push(repository, "penstock/a", commit)
    assert remote.head("penstock/a") == commit == arena.head("penstock/a")
    assert [w.action for w in arena.forge.writes if w.user == BOT] == ["branch.push"]


def test_a_branch_is_replaced_only_from_the_commit_that_is_expected(arena: FakeArena) -> None:
    repository, remote = arena._mirror, _remote(arena)
    first = _commit(repository, arena.base_commit(), "penstock/a")
    second = _commit(repository, arena.base_commit(), "penstock/b", "Fix it better\n")
    remote.push(repository, "penstock/a", first)
    for replaces in (None, second):
        with pytest.raises(PushRejected, match="not Penstock's"):
            remote.push(repository, "penstock/a", second, replaces=replaces)
    remote.push(repository, "penstock/a", second, replaces=first)
    assert arena.head("penstock/a") == second


@pytest.mark.parametrize("branch", ["main", "feature", "penstock", "refs/heads/penstock/a", "x/penstock/a"])
def test_no_other_branch_is_ever_pushed(arena: FakeArena, branch: str) -> None:
    asked = len(arena.forge.requests)
    with pytest.raises(PushRejected, match="not one of Penstock's own"):
        _remote(arena).push(arena._mirror, branch, arena.base_commit())
    assert len(arena.forge.requests) == asked


def test_a_token_that_may_not_write_is_refused_without_being_shown(arena: FakeArena) -> None:
    reader = arena.forge.add_token("reader")
    arena.forge.grant(REPOSITORY, "reader", "read")
    commit = _commit(arena._mirror, arena.base_commit(), "penstock/a")
    for token in (reader, "wrong-token"):
        with pytest.raises(AccessRefused) as refusal:
            _remote(arena, token).push(arena._mirror, "penstock/a", commit)
        assert token not in str(refusal.value)
    assert arena.head("penstock/a") is None


def test_a_server_that_fails_is_told_apart_from_one_that_rejects(arena: FakeArena) -> None:
    commit = _commit(arena._mirror, arena.base_commit(), "penstock/a")
    arena.forge.add_fault("status", path="git-receive-pack", status=503)
    with pytest.raises(GitError) as failure:
        _remote(arena).push(arena._mirror, "penstock/a", commit)
    assert not isinstance(failure.value, PushRejected | AccessRefused)
    hook = arena.forge.repository(REPOSITORY).path / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho protected by a rule >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(PushRejected, match="hook declined"):
        _remote(arena).push(arena._mirror, "penstock/a", commit)


@pytest.mark.parametrize(
    ("location", "accepted"),
    [
        ("http://127.0.0.1:3000/a/b.git", True),
        ("http://localhost/a/b.git", True),
        ("http://[::1]:3000/a/b.git", True),
        ("http://user:token@127.0.0.1/a/b.git", True),
        ("http://example.org/a/b.git", False),
        ("http://127.0.0.1.example.org/a/b.git", False),
        ("http://localhost.example.org/a/b.git", False),
        ("http://127.0.0.1@example.org/a/b.git", False),
        ("http://10.0.0.1/a/b.git", False),
        ("https://example.org/a/b.git", True),
    ],
)
def test_without_encryption_only_this_machine_is_reached(location: str, accepted: bool) -> None:
    assert is_url(location) == accepted
    if accepted:
        assert check_url(location) == location


def test_a_credential_is_used_for_its_own_scheme_alone(arena: FakeArena, tmp_path: Path) -> None:
    from core.events import DEFAULT_TEAM
    from core.git import find_credential, keep_credential

    folder = tmp_path / "secrets"
    keep_credential(folder, DEFAULT_TEAM, "https://127.0.0.1/acme", Credential("a", "secret"))
    assert find_credential(folder, DEFAULT_TEAM, "https://127.0.0.1/acme/shop.git") is not None
    assert find_credential(folder, DEFAULT_TEAM, "http://127.0.0.1/acme/shop.git") is None


def test_a_mirror_is_fetched_over_loopback(arena: FakeArena, tmp_path: Path) -> None:
    found = fetch_mirror(arena.location, tmp_path / "again.git", credential=Credential("x", arena.token))
    assert (found.branch, found.commit) == ("main", arena.base_commit())
