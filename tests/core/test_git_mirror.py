"""Mirrors of other repositories: which locations are allowed, and what is repaired."""

import shutil
import threading
from pathlib import Path

import pytest

from core.git import GitError, Repository, confine, fetch_mirror, is_url, redact, remove_if_damaged
from tests.core.git_cases import git_in


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


@pytest.mark.parametrize(("before", "after"), [("main", "main/next"), ("main/next", "main")])
@pytest.mark.parametrize("commits", [0, 1])
def test_a_default_branch_may_take_a_name_that_conflicts_with_the_former_one(
    work: Path, tmp_path: Path, before: str, after: str, commits: int
) -> None:
    git = git_in(work)

    def rename(name: str) -> None:
        git("branch", "-m", "passing")
        git("branch", "-m", name)

    rename(before)
    fetch_mirror(str(work), tmp_path / "mirror.git", roots=[tmp_path])
    rename(after)
    for _ in range(commits):
        git("commit", "-q", "--allow-empty", "-m", "further")
    found = fetch_mirror(str(work), tmp_path / "mirror.git", roots=[tmp_path])
    assert (found.branch, found.commit) == (after, Repository(work).resolve("HEAD"))
    assert found.repository.branch_commit(after) == found.commit


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


def test_a_source_that_is_replaced_by_one_with_other_ids_is_followed(work: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for object_format in ("sha1", "sha256", "sha1"):
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir()
        git = git_in(source)
        git("init", "-q", "-b", "main", f"--object-format={object_format}")
        (source / "a.py").write_text(object_format)
        git("add", ".")
        git("commit", "-q", "-m", "first")
        found = fetch_mirror(str(source), tmp_path / "mirror.git", roots=[tmp_path])
        assert found.commit == git("rev-parse", "HEAD")
        assert found.repository.read_file(found.commit, "a.py") == object_format.encode()
        git("commit", "-q", "--allow-empty", "-m", "second")
        assert fetch_mirror(str(source), tmp_path / "mirror.git", roots=[tmp_path]).commit != found.commit
        assert len(found.repository.log("main")) == 2


@pytest.mark.parametrize("content", [b"", b"\0" * 64, b"[garbage\n"], ids=["empty", "zeros", "garbage"])
@pytest.mark.parametrize("name", ["config", "HEAD", "packed-refs", "shallow", "refs/heads/main", "penstock.gitconfig"])
def test_a_mirror_that_lost_a_file_is_recognised_and_fetched_again(
    work: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / "mirror.git"
    fetch_mirror(str(work), path, roots=[tmp_path])
    (path / name).write_bytes(content)
    git_in(work)("commit", "-q", "--allow-empty", "-m", "third")
    try:
        found = fetch_mirror(str(work), path, roots=[tmp_path])
    except GitError as error:
        assert remove_if_damaged(path, error), str(error)
        found = fetch_mirror(str(work), path, roots=[tmp_path])
    assert found.commit == Repository(work).resolve("main")


@pytest.mark.parametrize("name", ["config", "HEAD", "packed-refs", "shallow", "refs/heads/main"])
def test_a_source_that_lost_a_file_does_not_make_its_mirror_count_as_damaged(
    work: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "mirror.git"
    fetch_mirror(str(work), path, roots=[tmp_path])
    git_in(work)("commit", "-q", "--allow-empty", "-m", "third")
    (work / ".git" / name).write_bytes(b"[garbage\n")
    with pytest.raises(GitError) as raised:
        fetch_mirror(str(work), path, roots=[tmp_path])
    assert not remove_if_damaged(path, raised.value), str(raised.value)
    assert (path / "HEAD").is_file()


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
def test_a_host_that_could_be_an_option_is_not_a_url(location: str) -> None:
    assert not is_url(location)


def test_a_credential_never_shows(tmp_path: Path) -> None:
    secret = "s3cret-token"
    location = f"https://user:{secret}@127.0.0.1:9/x.git"
    with pytest.raises(GitError) as raised:
        fetch_mirror(location, tmp_path / "mirror.git", roots=[])
    assert secret not in str(raised.value)
    assert "127.0.0.1:9" in str(raised.value)
    with pytest.raises(GitError) as raised:
        fetch_mirror(f"https://user:pa/{secret}@127.0.0.1:9/x.git", tmp_path / "mirror.git", roots=[])
    assert secret not in str(raised.value)
    assert redact(f"'https://u:pa/{secret}@h/x.git': bad") == "'https://***@h/x.git': bad"
    for harmless in ("https://h:8443/@scope/x.git", "https://h/~u/@scope/x", "git@h:a/b.git: denied", "/srv/a:b/c@d"):
        assert redact(harmless) == harmless
    assert redact(f"see https://{secret}@h/x and ssh://u:{secret}@h/") == "see https://***@h/x and ssh://***@h/"
