"""Hostile repositories: nothing they name is run, nothing is written outside, and everything ends in time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.git import GitError, GitTimeout, Repository, fetch_mirror
from core.git import command as git_command
from tests.core.git_cases import AUTHOR, DIFF, WHEN, Git, git_in


def forge_tree(git: Git, *entries: tuple[str, str, str]) -> str:
    """A commit whose tree holds any path; git's own commands would refuse to make it."""
    raw = b"".join(f"{mode} {path}".encode() + b"\0" + bytes.fromhex(blob) for mode, path, blob in entries)
    tree = git("hash-object", "-t", "tree", "-w", "--stdin", "--literally", data=raw)
    return git("commit-tree", "-m", "forged", tree)


def test_links_that_lead_outside_become_plain_files(work: Path, tmp_path: Path) -> None:
    git = git_in(work)
    (work / "deep").mkdir()
    links = {
        "inside": "pkg/a.py",
        "absolute": "/etc/passwd",
        "up": "../secret",
        "deep/top": "..",
        "deep/through": "top/../../secret",
        "loop": "loop",
    }
    for path, target in links.items():
        (work / path).symlink_to(target)
    git("add", ".")
    git("commit", "-q", "-m", "links")
    (tmp_path / "secret").write_text("secret")
    out = tmp_path / "out"
    export = Repository(work).export("HEAD", out)
    assert export.links_outside == ("absolute", "deep/through", "up")
    assert (out / "inside").is_symlink()
    assert (out / "inside").read_text().startswith("def a")
    for path in export.links_outside:
        assert not (out / path).is_symlink()
        assert (out / path).read_text() == links[path]
    assert (out / "loop").is_symlink()


@pytest.mark.parametrize("path", ["..", ".git", ".GIT", "a/../../b"])
def test_a_forged_path_is_never_written(work: Path, tmp_path: Path, path: str) -> None:
    git = git_in(work)
    blob = git("hash-object", "-w", "--stdin", data=b"evil")
    commit = forge_tree(git, ("100644", path, blob))
    with pytest.raises(GitError, match="may not be written"):
        Repository(work).export(commit, tmp_path / "out" / "inner")
    assert [p for p in (tmp_path / "out").rglob("*") if p.is_file()] == []


def test_a_link_and_a_folder_of_one_name_are_refused(work: Path, tmp_path: Path) -> None:
    git = git_in(work)
    blob = git("hash-object", "-w", "--stdin", data=str(tmp_path).encode())
    file = git("hash-object", "-w", "--stdin", data=b"evil")
    inner = git("mktree", data=f"100644 blob {file}\tpwned\n".encode())
    commit = forge_tree(git, ("120000", "x", blob), ("40000", "x", inner))
    with pytest.raises(GitError, match="both a file and a folder"):
        Repository(work).export(commit, tmp_path / "out")
    assert not (tmp_path / "pwned").exists()


def booby_trap(work: Path, marker: Path) -> None:
    """Everything by which a repository can make git run a program."""
    trap = work.parent / "trap.sh"
    trap.write_text(f'#!/bin/sh\necho "$0 $*" >> {marker}\ncat\n')
    trap.chmod(0o755)
    git = git_in(work)
    settings = {
        "core.fsmonitor": trap,
        "core.hooksPath": work / "hooks",
        "core.sshCommand": trap,
        "core.pager": trap,
        "core.askPass": trap,
        "core.alternateRefsCommand": trap,
        "core.editor": trap,
        "credential.helper": trap,
        "filter.evil.clean": trap,
        "filter.evil.smudge": trap,
        "filter.evil.process": trap,
        "filter.evil.required": "true",
        "diff.external": trap,
        "diff.evil.textconv": trap,
        "diff.evil.command": trap,
        "merge.evil.driver": trap,
        "gpg.program": trap,
        "log.showSignature": "true",
        "commit.gpgSign": "true",
        "uploadpack.packObjectsHook": trap,
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": work,
        "remote.origin.uploadpack": trap,
        "protocol.ext.allow": "always",
        "protocol.file.allow": "always",
    }
    (work / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")
    git("add", ".gitattributes")
    git("commit", "-q", "-m", "attributes")
    hooks = work / "hooks"
    hooks.mkdir()
    for name in ("reference-transaction", "post-checkout", "pre-commit", "post-index-change", "update"):
        (hooks / name).symlink_to(trap)
    for key, value in settings.items():
        git("config", key, str(value))


def test_nothing_that_a_repository_names_is_run(work: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    booby_trap(work, marker)
    (work / "pkg" / "a.py").write_text("changed, so that its clean filter is due")
    os.utime(work / "pkg" / "b.py", (1, 1))
    repository = Repository(work)
    head = repository.resolve("HEAD")
    repository.status()
    repository.ls_tree(head)
    repository.log(head)
    repository.diff_names("HEAD~1", head)
    repository.export(head, tmp_path / "out")
    repository.commit_patch(head, DIFF, "penstock/x", "m", AUTHOR, WHEN)
    with pytest.raises(GitError):
        list(repository.read_blobs(["1" * 40]))  # a partial clone would fetch it through its remote's program
    fetch_mirror(str(work), tmp_path / "mirror.git", roots=[tmp_path])
    assert not marker.exists(), marker.read_text()


def test_the_callers_own_git_variables_do_not_leak_in(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nonexistent/index")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    repository = Repository(work)
    assert repository.resolve("HEAD")
    assert not repository.status().dirty


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository to someone else")
def test_a_repository_of_another_user_is_read_and_mirrored(work: Path, tmp_path: Path) -> None:
    for path in (work, *work.rglob("*")):
        os.chown(path, 12345, 12345, follow_symlinks=False)
    assert Repository(work).resolve("HEAD")
    assert fetch_mirror(str(work), tmp_path / "mirror.git", roots=[tmp_path]).changed


def test_output_beyond_the_limit_is_an_error(work: Path) -> None:
    with pytest.raises(GitError, match="more than 10 bytes"):
        git_command.run(["rev-parse", "HEAD"], purpose="x", where=work, git_dir=work / ".git", limit=10)


def test_a_command_that_hangs_is_killed(work: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(GitTimeout, match=r"ended after 0\.2 s"):
        git_command.run(["hash-object", str(pipe)], purpose="hashing", where=work, timeout=0.2)
    with (
        pytest.raises(GitTimeout, match=r"ended after 0\.2 s"),
        git_command.stream(["hash-object", str(pipe)], purpose="hashing", where=work, timeout=0.2) as output,
    ):
        output.read()


def test_importing_git_starts_nothing_and_stays_light() -> None:
    code = "import sys, core.git; sys.exit(any(m in sys.modules for m in ('numpy', 'psycopg', 'pydantic')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
