"""Signed commits at a hosted forge: published once, though not every signature is the same twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.forge.conformance import follow_up_of, publication
from core.forge.conventions import Conventions
from core.forge.local_git import LocalGit
from core.forge.protocol import ForgeUnavailable, Publication, PublicationRefused
from core.git import Repository, SigningKey, fetch_mirror
from tests.forge_arena import REPOSITORY, FakeArena
from tests.killed_requests import killed_between_requests
from tests.signing import is_signed, new_key


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[FakeArena]:
    made = FakeArena(tmp_path, "github")
    yield made
    made.stop()


def with_new_mirror(arena: FakeArena, key: SigningKey | None) -> Conventions:
    """What another process has after the mirror was lost and the key replaced."""
    number = len(list(arena.folder.glob("mirror*.git")))
    arena._mirror = fetch_mirror(arena.location, arena.folder / f"mirror{number}.git").repository
    return Conventions(key=key)


def place(arena: FakeArena) -> Path:
    return arena.forge.repository(REPOSITORY).path


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_killed_between_any_two_requests_there_is_one_signed_commit(
    arena: FakeArena, tmp_path: Path, kind: str
) -> None:
    kept = Conventions(key=new_key(tmp_path, kind))
    assert kept.key

    def publish(wanted: Publication) -> None:
        arena.open(kept).publish(wanted)

    for number, wanted in killed_between_requests(arena.forge, lambda: publication(arena), publish, least=3):
        assert len(arena.pulls(wanted.branch)) == 1, f"killed at request {number}"
        head = arena.head(wanted.branch)
        assert head and is_signed(place(arena), head, kept.key, tmp_path)


@pytest.mark.parametrize("before", [True, False], ids=["replaced", "new"])
def test_a_pushed_commit_is_found_again_without_the_mirror_and_the_key_that_made_it(
    arena: FakeArena, tmp_path: Path, before: bool
) -> None:
    first, second = new_key(tmp_path, name="first") if before else None, new_key(tmp_path, name="second")
    wanted = publication(arena)
    arena.forge.add_fault("drop_before", method="POST", path=r"/pulls$")
    with pytest.raises(ForgeUnavailable):
        arena.open(Conventions(key=first)).publish(wanted)
    pushed = arena.head(wanted.branch)
    assert pushed and not arena.pulls(wanted.branch)
    arena.open(with_new_mirror(arena, second)).publish(wanted)
    assert arena.head(wanted.branch) == pushed
    assert len(arena.pulls(wanted.branch)) == 1


def test_a_follow_up_that_was_pushed_is_found_again_below_a_persons_commit(arena: FakeArena, tmp_path: Path) -> None:
    first = publication(arena)
    url = arena.open(Conventions(key=new_key(tmp_path))).publish(first)
    wanted = follow_up_of(arena, first, url)
    assert arena.open(Conventions(key=new_key(tmp_path, name="second"))).publish(wanted) == url
    theirs = arena.commit(first.branch)
    assert arena.open(with_new_mirror(arena, new_key(tmp_path, name="third"))).publish(wanted) == url
    assert arena.head(first.branch) == theirs


def test_with_an_unusable_key_nothing_is_pushed_and_publishing_is_tried_again(arena: FakeArena, tmp_path: Path) -> None:
    key = new_key(tmp_path)
    key.path.chmod(0o644)
    wanted = publication(arena)
    with pytest.raises(ForgeUnavailable, match=r"^PENSTOCK_SIGNING_KEY: .*`chmod 600"):
        arena.open(Conventions(key=key)).publish(wanted)
    assert arena.head(wanted.branch) is None
    key.path.chmod(0o600)
    arena.open(Conventions(key=key)).publish(wanted)
    assert len(arena.pulls(wanted.branch)) == 1


def test_another_commit_on_the_branch_is_no_signed_one(arena: FakeArena, tmp_path: Path) -> None:
    wanted = publication(arena)
    theirs = arena.commit(wanted.branch)
    with pytest.raises(PublicationRefused, match="are not Penstock's"):
        arena.open(Conventions(key=new_key(tmp_path))).publish(wanted)
    assert arena.head(wanted.branch) == theirs


def test_the_local_forge_signs_branches_and_reports(arena: FakeArena, tmp_path: Path) -> None:
    key = new_key(tmp_path)
    folder = arena.folder / "seed"
    forge = LocalGit(folder, "shop", Conventions(key=key))
    wanted = publication(arena)
    commit = forge.publish(wanted).rpartition("@")[2]
    ref = forge.comment(wanted).rpartition("#")[2].partition(":")[0]
    for made in (commit, Repository(folder).resolve(ref)):
        assert is_signed(folder, made, key, tmp_path)
    key.path.chmod(0o644)
    for act in (forge.publish, forge.comment):
        with pytest.raises(ForgeUnavailable, match="PENSTOCK_SIGNING_KEY"):
            act(wanted)
