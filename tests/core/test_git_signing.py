"""Commits that are signed with an SSH key."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from core.git import GitError, Repository, SigningFailed, SigningKey
from tests.core.git_cases import AUTHOR, DIFF, WHEN, git_in
from tests.signing import is_signed, new_key

KINDS = ("ed25519", "ecdsa", "rsa")


def commit(work: Path, key: SigningKey | None, branch: str = "penstock/x", message: str = "Fix a") -> str:
    repository = Repository(work)
    return repository.commit_patch(repository.resolve("HEAD"), DIFF, branch, message, AUTHOR, WHEN, key)


@pytest.mark.parametrize("kind", KINDS)
def test_git_verifies_the_signature_of_a_commit(work: Path, tmp_path: Path, kind: str) -> None:
    key, other = new_key(tmp_path, kind), new_key(tmp_path, kind, name="other")
    made = commit(work, key)
    assert is_signed(work, made, key, tmp_path)
    assert not is_signed(work, made, other, tmp_path)
    assert not is_signed(work, commit(work, None, "penstock/y"), key, tmp_path)
    assert git_in(work)("log", "-1", "--format=%an <%ae> %ct %s", made) == (
        f"{AUTHOR[0]} <{AUTHOR[1]}> {int(WHEN.timestamp())} Fix a"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_arguments_give_the_same_commit_even_if_signatures_differ(
    work: Path, tmp_path: Path, kind: str
) -> None:
    key = new_key(tmp_path, kind)
    assert len({commit(work, key) for _ in range(3)}) == 1


def test_a_commit_stays_when_the_key_is_set_replaced_or_unset(work: Path, tmp_path: Path) -> None:
    unsigned = commit(work, None)
    assert commit(work, new_key(tmp_path)) == unsigned
    key = new_key(tmp_path, name="second")
    signed = commit(work, key, "penstock/y")
    assert signed != unsigned
    assert commit(work, new_key(tmp_path, name="third"), "penstock/y") == signed == commit(work, None, "penstock/y")


def test_a_commit_that_differs_in_more_than_its_signature_is_not_taken_over(work: Path, tmp_path: Path) -> None:
    key = new_key(tmp_path)
    commit(work, key)
    with pytest.raises(GitError, match="already points to"):
        commit(work, key, message="Fix a\n\ngpgsig of nobody\n")


def test_a_commit_is_found_again_below_others(work: Path, tmp_path: Path) -> None:
    signed, unsigned = commit(work, new_key(tmp_path), "penstock/x"), commit(work, None, "penstock/y")
    git = git_in(work)
    above = git("commit-tree", "-m", "above", "-p", signed, f"{signed}^{{tree}}")
    repository = Repository(work)
    assert repository.find_same(unsigned, above) is None
    assert repository.find_same(unsigned, above, limit=2) == signed
    assert repository.find_same(unsigned, repository.resolve("main"), limit=9) is None


def test_a_repository_chooses_neither_the_program_nor_the_key(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, other = new_key(tmp_path), new_key(tmp_path, name="other")
    trap, sprung = tmp_path / "trap", tmp_path / "sprung"
    trap.write_text(f"#!/bin/sh\ntouch {sprung}\nexit 1\n")
    trap.chmod(0o755)
    git = git_in(work)
    for name in ("gpg.program", "gpg.ssh.program", "gpg.openpgp.program", "gpg.ssh.defaultKeyCommand"):
        git("config", name, str(trap))
    git("config", "gpg.format", "openpgp")
    git("config", "user.signingKey", str(other.path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    made = commit(work, key)
    assert not sprung.exists()
    for name in ("gpg.program", "gpg.ssh.program", "gpg.openpgp.program", "gpg.format"):
        git("config", "--unset", name)
    assert is_signed(work, made, key, tmp_path)


def test_a_key_that_can_sign_shows_its_public_part(tmp_path: Path) -> None:
    key = new_key(tmp_path)
    public = key.path.with_name(f"{key.path.name}.pub")
    said = public.read_text()
    public.unlink()  # the private key is enough
    assert key.check() == said.strip()


def _group_readable(key: SigningKey, folder: Path) -> SigningKey:
    key.path.chmod(0o640)
    return key


def _no_key(key: SigningKey, folder: Path) -> SigningKey:
    key.path.write_text("no key\n")
    return key


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda key, folder: replace(key, path=folder / "nothing"), "cannot be read"),
        (lambda key, folder: replace(key, path=folder), "is not a file"),
        (_group_readable, "run `chmod 600"),
        (_no_key, "holds no private key"),
        (lambda key, folder: new_key(folder, passphrase="secret-words", name="locked"), "has a passphrase"),
    ],
    ids=["missing", "folder", "mode", "content", "passphrase"],
)
def test_without_a_usable_key_nothing_is_committed(work: Path, tmp_path: Path, spoil, problem: str) -> None:
    key = spoil(new_key(tmp_path), tmp_path)
    with pytest.raises(SigningFailed, match=problem) as failure:
        key.check()
    assert str(failure.value).startswith("PENSTOCK_SIGNING_KEY: ")
    with pytest.raises(SigningFailed, match=r"^PENSTOCK_SIGNING_KEY: "):
        commit(work, key)
    assert Repository(work).branch_commit("penstock/x") is None


def test_where_ssh_keygen_is_missing_it_is_named(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key(tmp_path)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "git").symlink_to(str(shutil.which("git")))
    monkeypatch.setenv("PATH", str(programs))
    for act in (key.check, lambda: commit(work, key)):
        with pytest.raises(SigningFailed, match="apt-get install openssh-client"):
            act()
