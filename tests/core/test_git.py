"""Reading a repository, and committing a patch beside its user's work."""

import time
from pathlib import Path
from typing import Any

import pytest

from core.git import Commit, GitError, GitTimeout, Repository, is_repository, log
from tests.core.git_cases import AUTHOR, DIFF, WHEN, git_in


def test_refs_resolve_to_full_commit_ids(work: Path) -> None:
    repository = Repository(work)
    head = git_in(work)("rev-parse", "HEAD")
    assert repository.resolve("HEAD") == repository.resolve("main") == repository.resolve(head[:10]) == head
    with pytest.raises(GitError, match="no commit 'nothing'"):
        repository.resolve("nothing")


@pytest.mark.parametrize(
    "ref", ["", "-x", "--upload-pack=touch x", "a b", "HEAD:pkg", "a..b", "HEAD@{0}", "HEAD^{/x}", "a\nb", "x\0", "a*"]
)
def test_a_ref_that_is_not_a_plain_revision_is_refused(work: Path, ref: str) -> None:
    with pytest.raises(GitError, match="is not a branch, tag or commit id"):
        Repository(work).resolve(ref)


def test_an_empty_repository_says_that_it_has_no_commits(tmp_path: Path) -> None:
    git_in(tmp_path)("init", "-q", "-b", "trunk")
    repository = Repository(tmp_path)
    assert repository.empty()
    with pytest.raises(GitError, match="no commits yet"):
        repository.resolve("HEAD")


def test_only_the_folder_itself_counts_as_a_repository(work: Path, tmp_path: Path) -> None:
    assert is_repository(work)
    assert not is_repository(work / "pkg")
    with pytest.raises(GitError, match="is not a git repository"):
        Repository(work / "pkg")
    with pytest.raises(GitError, match="is not a git repository"):
        Repository(tmp_path / "missing")


def test_the_tree_lists_mode_blob_size_and_path(work: Path) -> None:
    entries = {entry.path: entry for entry in Repository(work).ls_tree("HEAD")}
    assert {path: (entry.mode, entry.size) for path, entry in entries.items()} == {
        "pkg/a.py": ("100644", 22),
        "pkg/b.py": ("100644", 6),
        "run.sh": ("100755", 10),
    }


def test_a_file_whose_content_the_repository_lacks_is_named(work: Path) -> None:
    blob = git_in(work)("rev-parse", "HEAD:pkg/b.py")
    (work / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(GitError, match=r"lacks the content of pkg/b\.py.*partial clone"):
        Repository(work).ls_tree("HEAD")


def test_blobs_come_in_the_requested_order_and_a_missing_one_is_an_error(work: Path) -> None:
    repository = Repository(work)
    blobs = {entry.path: entry.blob for entry in repository.ls_tree("HEAD")}
    wanted = [blobs["run.sh"], blobs["pkg/b.py"], blobs["run.sh"]]
    assert [content for _, content in repository.read_blobs(wanted)] == [b"#!/bin/sh\n", b"b = 2\n", b"#!/bin/sh\n"]
    assert repository.sizes(wanted) == {blobs["run.sh"]: 10, blobs["pkg/b.py"]: 6}
    with pytest.raises(GitError, match="is missing"):
        list(repository.read_blobs(["0" * 39 + "1"]))
    with pytest.raises(GitError, match="is missing"):
        repository.sizes(["0" * 39 + "1"])
    with pytest.raises(GitError, match="is not an object id"):
        list(repository.read_blobs(["HEAD:pkg/a.py"]))


def test_reading_blobs_may_stop_early(work: Path) -> None:
    repository = Repository(work)
    blobs = [entry.blob for entry in repository.ls_tree("HEAD")] * 200
    for _, content in repository.read_blobs(blobs):
        assert content
        break


def test_one_file_of_a_commit_is_read_by_its_literal_path(work: Path) -> None:
    (work / "p*.toml").write_text("x = 1\n")
    git_in(work)("add", ".")
    git_in(work)("commit", "-q", "-m", "third")
    repository = Repository(work)
    assert repository.read_file("HEAD", "p*.toml") == b"x = 1\n"
    assert repository.read_file("HEAD", "pkg/a.py", limit=5) is None
    assert repository.read_file("HEAD", "pkg") is None
    assert repository.read_file("HEAD", "pk*/a.py") is None


def test_files_are_found_among_more_paths_than_a_command_line_holds(work: Path) -> None:
    repository = Repository(work)
    asked = [f"{'x' * 200}/{number}" for number in range(15_000)]
    found = repository.regular_files("main", [*asked, "pkg/a.py"])
    assert [entry.path for entry in found] == ["pkg/a.py"]
    assert repository.regular_files("main", []) == []


def test_renames_are_found_when_wanted(work: Path) -> None:
    git = git_in(work)
    git("mv", "pkg/a.py", "pkg/c.py")
    git("commit", "-q", "-m", "third")
    repository = Repository(work)
    (change,) = repository.diff_names("HEAD~1", "HEAD")
    assert (change.status, change.old_path, change.path) == ("R", "pkg/a.py", "pkg/c.py")
    plain = {(change.status, change.path) for change in repository.diff_names("HEAD~1", "HEAD", renames=False)}
    assert plain == {("D", "pkg/a.py"), ("A", "pkg/c.py")}


def test_the_log_is_newest_first_with_messages_and_paths(work: Path) -> None:
    (work / "new\nline.txt").write_text("x")
    git_in(work)("add", ".")
    git_in(work)("commit", "-q", "-m", "third")
    log = Repository(work).log("main")
    assert [commit.message for commit in log] == ["third", "second: adds b\n\nbody", "first"]
    assert [commit.paths for commit in log] == [("new\nline.txt",), ("pkg/b.py",), ("pkg/a.py", "run.sh")]
    assert [commit.message for commit in Repository(work).log("main", paths=["pkg/a.py"])] == ["first"]


def forge_commit(work: Path, stamp: str, message: str = "forged") -> str:
    """A commit whose author and committer lines end in `stamp`, as other tools than git have left some."""
    git = git_in(work)
    tree = git("rev-parse", "HEAD^{tree}")
    body = f"tree {tree}\nparent {git('rev-parse', 'HEAD')}\nauthor {stamp}\ncommitter {stamp}\n\n{message}\n"
    return git("hash-object", "-t", "commit", "-w", "--literally", "--stdin", data=body.encode())


@pytest.mark.parametrize(
    "stamp",
    [
        "A <a@example.org>",
        "A 1700000000 +0000",
        "A <a@example.org> 99999999999999 +0000",
        "A <a@example.org> 99999999999999999999999 +0000",
        "A <a@example.org> -99999999999 +0000",
        "A <a@example.org> 1700000000 +9999999",
        "A\x01\x02\x03B <a@example.org> 1700000000 +0000",
        "",
    ],
)
def test_a_commit_with_a_damaged_date_or_name_is_read_like_any_other(work: Path, stamp: str) -> None:
    made = forge_commit(work, stamp)
    first, *others = Repository(work).log(made)
    assert (first.id, first.message, first.paths) == (made, "forged", ())
    assert first.time.tzinfo is not None
    assert [commit.message for commit in others] == [commit.message for commit in Repository(work).log("main")]


def test_nothing_in_a_message_or_a_path_can_pass_for_another_commit(work: Path) -> None:
    git = git_in(work)
    odd = "\x01 \x02\x03\n.py"
    (work / odd).write_text("1")
    git("add", ".")
    message = f"one \x01{'a' * 40}\x02mallory\x021\x02forged\x03\npkg/a.py"
    git("commit", "-q", "-m", message)
    git("commit", "-q", "--allow-empty", "--allow-empty-message", "-m", "")
    empty, first, *_ = Repository(work).log("main")
    assert (empty.message, empty.paths) == ("", ())
    assert (first.author, first.message, first.paths) == ("A", message, (odd,))


def test_a_wide_history_is_read_within_bounds(work: Path) -> None:
    wide = b"".join(b"M 100644 inline f%d\ndata 1\nx\n" % number for number in range(300))
    long = b"m" * (3 << 20)
    stream = b"commit refs/heads/wide\ncommitter A <a@example.org> 1 +0000\ndata %d\n%b\n%b\n" % (len(long), long, wide)
    stream += (
        b"commit refs/heads/wide\ncommitter A <a@example.org> 2 +0000\ndata 5\nsmall\nM 100644 inline f1\ndata 1\ny\n"
    )
    git_in(work)("fast-import", "--quiet", data=stream)
    repository = Repository(work)
    small, large = repository.log("wide", most_paths=20)
    assert (small.message, small.paths, len(large.paths)) == ("small", ("f1",), 21)
    assert len(large.message) < 2 << 20
    assert len(repository.log("wide")[1].paths) == 300


def test_a_history_that_takes_too_long_raises_or_ends_early_as_its_reader_wants(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = log._commit

    def slow(*given: Any) -> Commit:
        time.sleep(0.2)
        return read(*given)

    monkeypatch.setattr(log, "_commit", slow)
    repository = Repository(work)
    everything = repository.log("main")
    assert len(everything) == 2
    assert repository.log("main", patience=0.1) == everything[:1]
    monkeypatch.setattr("core.git.command.TIMEOUT", 0.1)
    with pytest.raises(GitTimeout):
        repository.log("main")


def test_an_export_is_byte_for_byte_what_is_stored(work: Path, tmp_path: Path) -> None:
    git = git_in(work)
    (work / ".gitattributes").write_text("*.txt text eol=crlf\nhidden export-ignore\nsubst export-subst\n")
    (work / "lines.txt").write_bytes(b"one\r\ntwo\nthree\r")
    (work / "hidden").write_text("here\n")
    (work / "subst").write_text("$Format:%H$\n")
    (work / "new\nline").write_bytes(b"\xff\x00")
    git("-c", "core.autocrlf=false", "add", ".")
    git("commit", "-q", "-m", "third")
    (work / "pkg" / "a.py").write_text("uncommitted")
    repository = Repository(work)
    export = repository.export("HEAD", tmp_path / "out")
    stored = {entry.path: entry for entry in repository.ls_tree("HEAD")}
    contents = dict(repository.read_blobs(entry.blob for entry in stored.values()))
    written = {str(p.relative_to(tmp_path / "out")): p for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert set(written) == set(stored)
    assert export.files == len(stored)
    for path, file in written.items():
        assert file.read_bytes() == contents[stored[path].blob]
        assert bool(file.stat().st_mode & 0o100) == (stored[path].mode == "100755")
    with pytest.raises(GitError, match="is not empty"):
        repository.export("HEAD", tmp_path / "out")


def test_a_submodule_is_an_empty_folder(work: Path, tmp_path: Path) -> None:
    git = git_in(work)
    git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub/module")
    git("commit", "-q", "-m", "submodule")
    export = Repository(work).export("HEAD", tmp_path / "out")
    assert export.submodules == ("sub/module",)
    assert list((tmp_path / "out" / "sub" / "module").iterdir()) == []


def snapshot(work: Path) -> tuple[str, bytes, dict[str, bytes]]:
    git = git_in(work)
    files = {str(p): p.read_bytes() for p in work.rglob("*") if p.is_file() and ".git" not in p.parts}
    return git("rev-parse", "HEAD") + git("symbolic-ref", "HEAD"), (work / ".git" / "index").read_bytes(), files


def test_a_patch_is_committed_beside_the_users_work(work: Path) -> None:
    (work / "pkg" / "a.py").write_text("half done")
    (work / "staged").write_text("staged")
    git_in(work)("add", "staged")
    before = snapshot(work)
    repository = Repository(work)
    base = repository.resolve("HEAD")
    made = repository.commit_patch(base, DIFF, "penstock/task", "Fix a", AUTHOR, WHEN)
    assert snapshot(work) == before
    assert repository.branch_commit("penstock/task") == made
    assert [change.path for change in repository.diff_names(base, made)] == ["pkg/a.py"]
    assert repository.read_file(made, "pkg/a.py") == b"def a():\n    return 2\n"
    (commit,) = repository.log(made, limit=1)
    assert (commit.author, commit.message, commit.time) == ("Penstock", "Fix a", WHEN)


def test_committing_the_same_patch_again_changes_nothing(work: Path) -> None:
    repository = Repository(work)
    arguments = (repository.resolve("HEAD"), DIFF, "penstock/task", "Fix a", AUTHOR, WHEN)
    assert repository.commit_patch(*arguments) == repository.commit_patch(*arguments)


def test_a_branch_that_points_elsewhere_is_left_alone(work: Path) -> None:
    repository = Repository(work)
    base = repository.resolve("HEAD")
    git_in(work)("branch", "taken")
    with pytest.raises(GitError, match=r"branch 'taken' .* already points to"):
        repository.commit_patch(base, DIFF, "taken", "Fix a", AUTHOR, WHEN)
    assert repository.branch_commit("taken") == base


@pytest.mark.parametrize(
    ("diff", "reason"),
    [
        (DIFF.replace("return 1", "return 9"), "patch does not apply"),
        ("", "empty"),
        ("no diff at all", "No valid patches|unrecognized input"),
        (DIFF.replace("pkg/a.py", "../../outside.py"), "invalid path|does not exist"),
        (DIFF.replace("pkg/a.py", "pkg/missing.py"), "does not exist"),
    ],
)
def test_a_patch_that_does_not_apply_says_why(work: Path, diff: str, reason: str) -> None:
    repository = Repository(work)
    base = repository.resolve("HEAD")
    with pytest.raises(GitError, match=reason):
        repository.commit_patch(base, diff, "penstock/x", "m", AUTHOR, WHEN)
    assert repository.branch_commit("penstock/x") is None


def test_status_names_changed_and_untracked_paths(work: Path) -> None:
    repository = Repository(work)
    assert not repository.status().dirty
    (work / "pkg" / "a.py").write_text("changed")
    (work / "new\nfile").write_text("x")
    assert set(repository.status().paths) == {"pkg/a.py", "new\nfile"}


def test_first_parents_follow_the_branch_and_not_what_was_merged(work: Path) -> None:
    run, repository = git_in(work), Repository(work)
    first = run("rev-parse", "HEAD").strip()
    tree = f"{first}^{{tree}}"
    side = run("commit-tree", tree, "-p", first, "-m", "Side").strip()
    merge = run("commit-tree", tree, "-p", first, "-p", side, "-m", "Merge").strip()
    last = run("commit-tree", tree, "-p", merge, "-m", "Last").strip()
    found = repository.first_parents(last, 50)
    assert found[:2] == [merge, first]
    assert side not in found
    assert repository.first_parents(last, 1) == [merge]
    assert repository.first_parents(run("rev-list", "--max-parents=0", "HEAD").split()[0], 50) == []
    with pytest.raises(GitError):
        repository.first_parents("0" * 40, 1)
    with pytest.raises(GitError, match="is not an object id"):
        repository.first_parents("--all", 1)
