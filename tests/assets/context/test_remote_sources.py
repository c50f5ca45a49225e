"""Sources over https and ssh, and their failures, with real git on both ends."""

import logging
import os
import shutil
import stat
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assets.context.indexing.refresh import RefreshReport, refresh
from assets.context.search import search, status
from assets.context.source.sources import add_source
from core.database import Database
from core.embedding import Embedder
from core.events import DEFAULT_TEAM
from core.git import AccessRefused, Credential, GitError, find_credential, keep_credential, remove_if_damaged

SECRET = "s3cret/t0ken%"
ENCODED = "s3cret%2Ft0ken%25"
Refresh = Callable[..., RefreshReport]


@pytest.fixture
def indexed(database: Database, tmp_path: Path, hashing: Embedder) -> Refresh:
    """Adds a source, unless it exists, and refreshes it."""

    def run(location: str, name: str = "remote", branch: str | None = None) -> RefreshReport:
        add_source(database, DEFAULT_TEAM, name, location, branch, roots=[tmp_path])
        return refresh(
            database,
            DEFAULT_TEAM,
            name,
            mirrors=tmp_path / "mirrors",
            roots=[tmp_path],
            secrets=tmp_path / "secrets",
            embedders=[hashing],
        )

    return run


def everything_written_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_source_is_followed_over_https(git_server: Any, history: Any, indexed: Refresh) -> None:
    history.commit({"a.py": "def first(): pass\n"})
    url = git_server.url("repository.git")
    assert indexed(url).files == 1
    history.commit({"b.py": "def second(): pass\n"})
    assert (indexed(url).files, indexed(url).changed) == (2, False)
    history.commit({"c.py": "x = 1\n"}, branch="side")
    assert indexed(url, "side", "side").files == 1
    history.git("update-ref", "-d", "refs/heads/main")
    rewritten = history.commit({"d.py": "def third(): pass\n"}, "forced")
    report = indexed(url)
    assert (report.commit, report.files, report.deleted) == (rewritten, 1, 2)


@pytest.mark.parametrize("kept", ["in the location", "in the file"])
def test_a_credential_opens_a_private_source_and_is_never_shown(
    database: Database,
    git_server: Any,
    history: Any,
    indexed: Refresh,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    kept: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    programs = tmp_path / "bin"
    programs.mkdir()
    git = programs / "git"
    git.write_text(f'#!/bin/sh\nprintf "%s " "$@" >> {tmp_path}/commands\nexec {shutil.which("git")} "$@"\n')
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    history.commit({"a.py": "def first(): pass\n"})
    git_server.password = SECRET
    url = git_server.url("repository.git")
    if kept == "in the file":
        keep_credential(tmp_path / "secrets", DEFAULT_TEAM, url, Credential("reader", SECRET))
    else:
        url = git_server.url("repository.git", f"reader:{ENCODED}")
    report = indexed(url)
    assert report.files == 1
    assert any(right for _, right in git_server.requests)
    shown = repr(report) + repr(status(database, DEFAULT_TEAM, "remote")) + caplog.text
    shown += (tmp_path / "commands").read_text()  # which anyone on the machine can list
    assert "ls-remote" in shown
    assert SECRET not in shown
    assert ENCODED not in shown
    on_disk = everything_written_below(tmp_path / "mirrors")
    assert SECRET.encode() not in on_disk
    assert ENCODED.encode() not in on_disk


@pytest.mark.parametrize("given", [None, "wr0ng-s3cret"])
def test_a_credential_that_fails_is_reported_without_showing_it(
    database: Database, git_server: Any, history: Any, indexed: Refresh, hashing: Embedder, given: str | None
) -> None:
    history.commit({"a.py": "def first(): pass\n"})
    assert indexed(git_server.url("repository.git")).files == 1
    git_server.password = SECRET
    history.commit({"a.py": "def second(): pass\n"})
    url = git_server.url("repository.git", f"reader:{given}" if given else "")
    with pytest.raises(AccessRefused, match="refuses access") as raised:
        indexed(url, "other")
    told = f"{raised.value} {raised.value.said} {raised.value!r} {raised.value.__cause__}"
    assert git_server.address in told
    assert "git-credentials" in told
    assert "wr0ng" not in told
    with pytest.raises(AccessRefused):
        indexed(git_server.url("repository.git"))
    assert [p.symbol for p in search(database, DEFAULT_TEAM, "remote", "first", embedders=[hashing])] == ["first"]


def test_a_credential_goes_to_its_own_host_and_the_longest_path_wins(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    keep_credential(folder, DEFAULT_TEAM, "https://example.org", Credential("all", "a@/:"))
    keep_credential(folder, DEFAULT_TEAM, "https://example.org/group", Credential("group", "b"))
    keep_credential(folder, DEFAULT_TEAM, "https://example.org/group", Credential("group", "c"))

    def found(location: str, team: uuid.UUID = DEFAULT_TEAM) -> str | None:
        credential = find_credential(folder, team, location)
        return credential.password if credential else None

    assert found("https://example.org/x.git") == "a@/:"
    assert found("https://example.org/group/x.git") == "c"
    assert found("https://example.org/groups/x.git") == "a@/:"
    assert found("https://example.org.evil.org/group") is None
    assert found("https://example.org:444/group") is None
    assert found("ssh://example.org/group") is None
    assert found("https://example.org/group", uuid.uuid4()) is None
    file = folder / "git-credentials"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    with pytest.raises(GitError, match="chmod 600"):
        found("https://example.org/x")
    with pytest.raises(GitError, match="line break"):
        Credential("a", "b\nhost=evil.org")


def test_a_server_without_the_repository_or_that_is_down_is_reported(
    git_server: Any, history: Any, indexed: Refresh
) -> None:
    history.commit({"a.py": "x = 1\n"})
    with pytest.raises(GitError, match=r"listing the branches in https://127\.0\.0\.1.*failed"):
        indexed(git_server.url("nothing.git"))
    url = git_server.url("repository.git")
    assert indexed(url, "second").files == 1
    git_server.stop()
    with pytest.raises(GitError, match=r"https://127\.0\.0\.1.*failed"):
        indexed(url, "second")


def test_ssh_never_prompts_and_a_host_that_refuses_is_reported(
    history: Any, indexed: Refresh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = history.commit({"a.py": "x = 1\n"})
    programs = tmp_path / "bin"
    programs.mkdir()
    ssh = programs / "ssh"
    ssh.write_text(  # stands for a server: what ssh runs there, it runs here
        f'#!/bin/sh\necho "$@" >> {tmp_path}/ssh.log\nfor last; do :; done\n'
        f'[ -e {tmp_path}/refuse ] && echo "git@host: Permission denied (publickey)." >&2 && exit 255\n'
        f'GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0="*" exec sh -c "$last"\n'
    )
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    assert indexed(f"git@host.example:{history.path}").commit == commit
    assert indexed(f"ssh://git@host.example{history.path}", "second").commit == commit
    called = (tmp_path / "ssh.log").read_text().splitlines()
    assert all("BatchMode=yes" in line and "ConnectTimeout=" in line for line in called)
    (tmp_path / "refuse").touch()
    with pytest.raises(AccessRefused, match="known_hosts"):
        indexed(f"git@host.example:{history.path}")


def test_a_shallow_clone_is_a_source(history: Any, new_history: Any, indexed: Refresh, tmp_path: Path) -> None:
    for number in range(5):
        commit = history.commit({f"m{number}.py": f"def f{number}(): pass\n"})
    shallow = new_history(tmp_path / "shallow")
    history.git("clone", "-q", "--bare", "--depth", "2", f"file://{history.path}", str(tmp_path / "clone.git"))
    shallow.path = tmp_path / "clone.git"
    report = indexed(str(shallow.path))
    assert (report.commit, report.files) == (commit, 5)
    after = shallow.commit({"m0.py": None})
    assert (indexed(str(shallow.path)).commit, indexed(str(shallow.path)).files) == (after, 4)
    history.commit({"m9.py": "def f9(): pass\n"})
    shallow.git("fetch", "-q", "--depth", "1", f"file://{history.path}", "+main:main")  # its boundary moves
    assert indexed(str(shallow.path)).files == 6


def test_a_source_whose_path_has_a_line_break_is_indexed(new_history: Any, indexed: Refresh, tmp_path: Path) -> None:
    odd = new_history(tmp_path / "odd\nname [x] é.git")
    odd.commit({"a.py": "x = 1\n", "two\nlines.py": "def two(): pass\n"})
    assert indexed(str(odd.path)).files == 2


def test_a_blob_of_500_megabytes_is_never_read(
    history: Any, indexed: Refresh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sparse = tmp_path / "huge"
    with sparse.open("wb") as file:
        file.truncate(500 << 20)
    blob = history.git("-c", "core.compression=1", "-c", "core.bigFileThreshold=1m", "hash-object", "-w", str(sparse))
    history.commit({"a.py": "x = 1\n"})
    tree = history.git("ls-tree", "main") + f"\n100644 blob {blob}\thuge.txt\n"
    made = history.git("mktree", data=tree.encode())
    commit = history.git("-c", "user.name=a", "-c", "user.email=a@b", "commit-tree", "-p", "main", "-m", "m", made)
    from core.git import Repository

    asked: list[str] = []
    read = Repository.read_blobs

    def watched(self: Repository, ids: Any, **options: Any) -> Any:
        wanted = list(ids)
        asked.extend(wanted)
        return read(self, wanted, **options)

    monkeypatch.setattr(Repository, "read_blobs", watched)
    history.git("update-ref", "refs/heads/main", commit)
    report = indexed(str(history.path))
    assert report.skipped == (("huge.txt", f"larger than 1 MiB ({500 << 20} bytes)"),)
    assert blob not in asked


@pytest.mark.parametrize("damage", ["packs cut short", "objects gone", "no repository"])
def test_a_damaged_mirror_is_fetched_again(history: Any, indexed: Refresh, tmp_path: Path, damage: str) -> None:
    history.commit({f"m{n}.py": f"def f{n}(): pass\n" for n in range(9)})
    assert indexed(str(history.path)).files == 9
    (mirror,) = (tmp_path / "mirrors").glob("*/*.git")
    for file in [path for path in (mirror / "objects").rglob("*") if path.is_file()]:
        file.chmod(0o600)
        if damage == "packs cut short":
            os.truncate(file, file.stat().st_size // 2)
        elif damage == "objects gone":
            file.unlink()
    if damage == "no repository":
        (mirror / "HEAD").unlink()
    history.commit({"m3.py": None, "new.py": "x = 1\n"})
    report = indexed(str(history.path))
    assert (report.files, report.files_changed, report.deleted) == (9, 1, 1)
    assert [path.name for path in mirror.parent.iterdir() if "broken" in path.name] == []


def test_a_mirror_outlives_a_source_that_is_damaged_itself(history: Any, indexed: Refresh, tmp_path: Path) -> None:
    history.commit({"a.py": "x = 1\n"})
    indexed(str(history.path))
    (mirror,) = (tmp_path / "mirrors").glob("*/*.git")
    made = mirror.stat().st_ino
    history.git("config", "fastimport.unpackLimit", "100")
    history.commit({"new.py": "x = 2\n"})
    blob = history.git("rev-parse", "main:new.py")
    lost = history.path / "objects" / blob[:2] / blob[2:]
    content = lost.read_bytes()
    lost.unlink()
    with pytest.raises(GitError, match="corruption on the remote side"):
        indexed(str(history.path))
    assert mirror.stat().st_ino == made
    lost.write_bytes(content)
    assert indexed(str(history.path)).files == 2


@pytest.mark.parametrize(
    "said",
    [
        "error: RPC failed; curl 92 HTTP/2 stream 5 was not closed cleanly fatal: early EOF "
        "fatal: fetch-pack: invalid index-pack output",
        "fetch-pack: unexpected disconnect while reading sideband packet fatal: early EOF fatal: index-pack failed",
        "client_loop: send disconnect: Connection reset by peer fatal: index-pack failed",
    ],
)
def test_a_mirror_outlives_a_connection_that_breaks_off(tmp_path: Path, said: str) -> None:
    assert not remove_if_damaged(tmp_path, GitError(f"fetching branch 'main' failed: {said}", said))
    assert tmp_path.is_dir()
