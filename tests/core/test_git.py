import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.git import GitError, GitTimeout, Repository, confine, fetch_mirror, is_repository, is_url, redact
from core.git import command as git_command

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AUTHOR = ("Penstock", "penstock@example.org")

Git = Callable[..., str]


def git_in(folder: Path) -> Git:
    def run(*arguments: str, data: bytes | None = None) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{who}_NAME": "A" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "a@example.org" for who in ("AUTHOR", "COMMITTER")},
        }
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], input=data, capture_output=True, env=environment, check=True
        )
        return done.stdout.decode(errors="surrogateescape").strip()

    return run


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A work tree with two commits on `main`."""
    folder = tmp_path / "work"
    (folder / "pkg").mkdir(parents=True)
    git = git_in(folder)
    git("init", "-q", "-b", "main")
    (folder / "pkg" / "a.py").write_text("def a():\n    return 1\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    git("add", ".")
    git("commit", "-q", "-m", "first")
    (folder / "pkg" / "b.py").write_text("b = 2\n")
    git("add", ".")
    git("commit", "-q", "-m", "second: adds b\n\nbody")
    return folder


DIFF = "--- a/pkg/a.py\n+++ b/pkg/a.py\n@@ -1,2 +1,2 @@\n def a():\n-    return 1\n+    return 2\n"


def test_refs_resolve_to_full_commit_ids(work: Path) -> None:
    repository = Repository(work)
    head = git_in(work)("rev-parse", "HEAD")
    assert repository.resolve("HEAD") == repository.resolve("main") == repository.resolve(head[:10]) == head
    assert repository.default_branch() == "main"
    with pytest.raises(GitError, match="no commit 'nothing'"):
        repository.resolve("nothing")


@pytest.mark.parametrize(
    "ref", ["", "-x", "--upload-pack=touch x", "a b", "HEAD:pkg", "a..b", "HEAD@{0}", "HEAD^{/x}", "a\nb", "x\0", "a*"]
)
def test_a_ref_that_is_no_plain_revision_is_refused(work: Path, ref: str) -> None:
    with pytest.raises(GitError, match="is not a branch, tag or commit id"):
        Repository(work).resolve(ref)


def test_an_empty_repository_says_that_it_has_no_commits(tmp_path: Path) -> None:
    git_in(tmp_path)("init", "-q", "-b", "trunk")
    repository = Repository(tmp_path)
    assert repository.empty()
    assert repository.default_branch() == "trunk"
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


def test_blobs_come_in_the_order_asked_for_and_a_missing_one_is_an_error(work: Path) -> None:
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


def forge_tree(git: Git, *entries: tuple[str, str, str]) -> str:
    """A commit whose tree holds any path; git's own commands would refuse to make it."""
    raw = b"".join(f"{mode} {path}".encode() + b"\0" + bytes.fromhex(blob) for mode, path, blob in entries)
    tree = git("hash-object", "-t", "tree", "-w", "--stdin", "--literally", data=raw)
    return git("commit-tree", "-m", "forged", tree)


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
    said = repository.apply_check(base, diff)
    assert said is not None
    with pytest.raises(GitError, match=reason):
        repository.commit_patch(base, diff, "penstock/x", "m", AUTHOR, WHEN)
    assert repository.branch_commit("penstock/x") is None


def test_a_patch_that_applies_passes_the_check_and_writes_nothing(work: Path) -> None:
    before = sorted(str(p) for p in (work / ".git").rglob("*"))
    assert Repository(work).apply_check("HEAD", DIFF) is None
    assert sorted(str(p) for p in (work / ".git").rglob("*")) == before


def test_status_names_changed_and_untracked_paths(work: Path) -> None:
    repository = Repository(work)
    assert not repository.status().dirty
    (work / "pkg" / "a.py").write_text("changed")
    (work / "new\nfile").write_text("x")
    assert set(repository.status().paths) == {"pkg/a.py", "new\nfile"}


def booby_trap(work: Path, marker: Path) -> None:
    """Everything a repository can name to have a program run."""
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
    assert repository.apply_check(head, DIFF) is None
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


def test_a_command_that_hangs_is_ended(work: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(GitTimeout, match=r"ended after 0\.2 s"):
        git_command.run(["hash-object", str(pipe)], purpose="hashing", where=work, timeout=0.2)
    with (
        pytest.raises(GitTimeout, match=r"ended after 0\.2 s"),
        git_command.stream(["hash-object", str(pipe)], purpose="hashing", where=work, timeout=0.2) as output,
    ):
        output.read()


def test_a_mirror_follows_its_source(work: Path, tmp_path: Path) -> None:
    path = tmp_path / "home" / "mirror.git"
    first = fetch_mirror(str(work), path, roots=[tmp_path])
    assert (first.branch, first.changed) == ("main", True)
    assert first.commit == Repository(work).resolve("main")
    assert not fetch_mirror(str(work), path, roots=[tmp_path]).changed
    git = git_in(work)
    git("commit", "-q", "--amend", "-m", "rewritten")  # a force-push
    second = fetch_mirror(str(work), path, roots=[tmp_path])
    assert second.changed
    assert second.commit == Repository(work).resolve("main") == second.repository.resolve("main")
    git("checkout", "-q", "-b", "other")
    assert fetch_mirror(str(work), path, roots=[tmp_path]).branch == "other"
    assert fetch_mirror(str(work), path, branch="main", roots=[tmp_path]).commit == second.commit
    with pytest.raises(GitError, match="no branch 'gone'"):
        fetch_mirror(str(work), path, branch="gone", roots=[tmp_path])


def test_an_empty_source_says_so(tmp_path: Path) -> None:
    source = tmp_path / "empty"
    source.mkdir()
    git_in(source)("init", "-q")
    with pytest.raises(GitError, match="no commits yet"):
        fetch_mirror(str(source), tmp_path / "mirror.git", roots=[tmp_path])


def test_a_mirror_left_by_a_killed_fetch_is_repaired(work: Path, tmp_path: Path) -> None:
    path = tmp_path / "mirror.git"
    fetch_mirror(str(work), path, roots=[tmp_path])
    for left in ("refs/heads/main.lock", "HEAD.lock", "packed-refs.lock"):
        (path / left).touch()
    git_in(work)("commit", "-q", "--allow-empty", "-m", "third")
    assert fetch_mirror(str(work), path, roots=[tmp_path]).commit == Repository(work).resolve("main")


def test_two_fetches_of_one_mirror_wait_for_each_other(work: Path, tmp_path: Path) -> None:
    found: list[str] = []

    def fetch() -> None:
        found.append(fetch_mirror(str(work), tmp_path / "mirror.git", roots=[tmp_path]).commit)

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [Repository(work).resolve("main")] * 4


def test_locations_outside_the_roots_are_refused(work: Path, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(GitError, match="outside the allowed roots"):
        fetch_mirror(str(work), tmp_path / "mirror.git", roots=[inside])
    (inside / "link").symlink_to(work)
    with pytest.raises(GitError, match="outside the allowed roots"):
        fetch_mirror(str(inside / "link"), tmp_path / "mirror.git", roots=[inside])
    (inside / "pointer").mkdir()
    (inside / "pointer" / ".git").write_text(f"gitdir: {work / '.git'}\n")
    with pytest.raises(GitError, match="outside the allowed roots"):
        fetch_mirror(str(inside / "pointer"), tmp_path / "mirror.git", roots=[inside])
    assert confine(inside / "x" / "..", [inside]) == inside
    with pytest.raises(GitError, match="outside the allowed roots"):
        confine(inside / ".." / "work", [inside])


@pytest.mark.parametrize(
    "location",
    ["ext::sh -c touch% x", "file:///etc", "http://example.org/x.git", "git://example.org/x", "fd::7", "-x"],
)
def test_other_transports_are_refused(tmp_path: Path, location: str) -> None:
    assert not is_url(location)
    with pytest.raises(GitError):
        fetch_mirror(location, tmp_path / "mirror.git", roots=[tmp_path])


@pytest.mark.parametrize(
    "location", ["https://example.org/a/b.git", "ssh://git@example.org/a", "git@example.org:a/b.git", "HTTPS://u:p@h/x"]
)
def test_https_and_ssh_are_urls(location: str) -> None:
    assert is_url(location)


@pytest.mark.parametrize("location", ["https://-x/y", "ssh://-oProxyCommand=x/y", "-u@host:x", "git@-h:x", "a@b:c d"])
def test_a_host_that_could_be_an_option_is_no_url(location: str) -> None:
    assert not is_url(location)


def test_a_credential_never_shows(tmp_path: Path) -> None:
    secret = "s3cret-token"
    location = f"https://user:{secret}@127.0.0.1:9/x.git"
    with pytest.raises(GitError) as raised:
        fetch_mirror(location, tmp_path / "mirror.git", roots=[])
    assert secret not in str(raised.value)
    assert "127.0.0.1:9" in str(raised.value)
    assert redact(f"see https://{secret}@h/x and ssh://u:{secret}@h/") == "see https://***@h/x and ssh://***@h/"


def test_importing_git_starts_nothing_and_stays_light() -> None:
    code = "import sys, core.git; sys.exit(any(m in sys.modules for m in ('numpy', 'psycopg', 'pydantic')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
