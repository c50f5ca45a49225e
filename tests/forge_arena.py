"""Arenas for the conformance suite of forges: the fake one in each of its dialects."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from core.forge.bitbucket import BitbucketHost
from core.forge.conformance import Remark, SeenPull
from core.forge.conventions import PLAIN, Conventions
from core.forge.gitea import GiteaHost
from core.forge.github import GitHubHost
from core.forge.gitlab import GitLabHost
from core.forge.host import CodeHost, PullState
from core.forge.hosted import HostedForge
from core.git import Credential, Remote, Repository, fetch_mirror
from deploy.fake_forge import FakeForge, User
from deploy.fake_forge import Pull as FakePull
from deploy.fake_forge.bitbucket_shapes import identity
from deploy.fake_forge.gitlab_shapes import discussion_of

REPOSITORY = "acme/shop"
BOT = "penstock-bot"
DIALECTS = ("github", "gitlab", "gitea", "bitbucket")


def git(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "Ada", f"GIT_{role}_EMAIL": "ada@example.org"}
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=600).stdout


def seed(folder: Path) -> Path:
    """A repository with one commit on `main`."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "m.py").write_text("x = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "A start")
    return folder


class FakeArena:
    """The repository `acme/shop` of a fake forge, through one dialect."""

    def __init__(self, folder: Path, dialect: str) -> None:
        self.folder = folder
        self.dialect = dialect
        self.forge = FakeForge(folder / "forge")
        self.forge.add_repository(REPOSITORY, seed(folder / "seed"))
        self.by_iid = dialect in ("gitlab", "bitbucket")
        self.forge.add_user(BOT, is_bot=dialect == "bitbucket")  # where access tokens are accounts of their own
        self.token = self.forge.add_token(BOT)
        self.forge.grant(REPOSITORY, BOT, "admin" if dialect in ("bitbucket", "gitea") else "write")
        self.location = self.forge.git_url(REPOSITORY)
        self.waits: list[None] = []
        mirror = fetch_mirror(self.location, folder / "mirror.git")
        self._base = mirror.commit
        self._mirror = mirror.repository

    @property
    def target(self) -> str:
        return f"{self.dialect}:{REPOSITORY}"

    def host(self, token: str | None = None) -> CodeHost:
        kinds: dict[str, Callable[..., CodeHost]] = {
            "github": GitHubHost,
            "gitlab": GitLabHost,
            "gitea": GiteaHost,
            "bitbucket": BitbucketHost,
        }
        used = token or self.token
        return kinds[self.dialect](self.forge.url, REPOSITORY, lambda: used, setting="PENSTOCK_TOKEN")

    def open(self, conventions: Conventions = PLAIN, token: str | None = None) -> HostedForge:
        remote = Remote(self.location, Credential("penstock", token or self.token))
        return HostedForge(
            self.host(token),
            lambda: Repository(self._mirror.path),
            remote,
            conventions=conventions,
            before_write=lambda: self.waits.append(None),
        )

    def base_commit(self) -> str:
        return self._base

    def new_ticket(self) -> str:
        """Of Bitbucket, which has no issues, a pull request of somebody else's."""
        if self.dialect == "bitbucket":
            branch = f"theirs-{len(self.forge.repository(REPOSITORY).pulls)}"
            git(self.forge.repository(REPOSITORY).path, "update-ref", f"refs/heads/{branch}", self._base)
            return f"!{self.forge.add_pull(REPOSITORY, branch).iid}"
        issue = self.forge.add_issue(REPOSITORY, "x is too small", "It is 1.")
        return f"#{issue.iid if self.dialect == 'gitlab' else issue.number}"

    def pulls(self, branch: str) -> list[SeenPull]:
        return [
            SeenPull(
                self._url(pull), self._state(pull), pull.draft, pull.title, pull.body, pull.base, self._labels(pull)
            )
            for pull in self.forge.repository(REPOSITORY).pulls
            if pull.head == branch
        ]

    def close(self, branch: str) -> None:
        [pull] = [pull for pull in self.forge.repository(REPOSITORY).pulls if pull.head == branch]
        self.forge.edit(REPOSITORY, pull.number, state="closed")

    def delete(self, branch: str) -> None:
        git(self.forge.repository(REPOSITORY).path, "update-ref", "-d", f"refs/heads/{branch}")

    def commit(self, branch: str) -> str:
        work = self.folder / f"work-{branch.replace('/', '-')}"
        path = str(self.forge.repository(REPOSITORY).path)
        start = branch if self.head(branch) else "main"
        git(self.folder, "clone", "-q", "-b", start, path, str(work))
        (work / "theirs.py").write_text("y = 1\n")
        git(work, "add", ".")
        git(work, "commit", "-q", "-m", "Mine")
        git(work, "push", "-q", "origin", f"HEAD:refs/heads/{branch}")
        return git(work, "rev-parse", "HEAD").strip()

    def head(self, branch: str) -> str | None:
        return Repository(self.forge.repository(REPOSITORY).path).branch_commit(branch)

    def read(self, branch: str, path: str) -> str:
        return git(self.forge.repository(REPOSITORY).path, "show", f"{branch}:{path}")

    def message(self, branch: str) -> str:
        return git(self.forge.repository(REPOSITORY).path, "log", "-1", "--format=%B", branch)

    def comments(self, ticket: str) -> list[tuple[str, str]]:
        return [(comment.author.login, comment.body) for comment in self._issue(ticket).comments]

    def say(self, ticket: str, text: str) -> None:
        self.forge.add_comment(REPOSITORY, self._issue(ticket).number, text, author="bob")

    def remark(self, branch: str, text: str) -> Remark:
        [pull] = [pull for pull in self.forge.repository(REPOSITORY).pulls if pull.head == branch]
        key = self.key_of(pull)
        if self.dialect == "gitea":
            return Remark(key, None, None)
        said = self.forge.add_remark(REPOSITORY, pull.number, text, author="bob", path="m.py")
        thread = discussion_of(said.id) if self.dialect == "gitlab" else str(said.id)
        return Remark(key, str(said.id), thread)

    def key_of(self, pull: FakePull) -> str:
        return f"!{pull.iid}" if self.by_iid else f"#{pull.number}"

    def user_id(self, user: User) -> str:
        """The id by which the forge names a user."""
        return identity("user", user.id) if self.dialect == "bitbucket" else str(user.id)

    def check(self, branch: str, name: str, passed: bool | None, log: str = "", job_log: bytes | None = None) -> None:
        conclusion = None if passed is None else "success" if passed else "failure"
        self.forge.set_check(REPOSITORY, str(self.head(branch)), name, conclusion, log, job_log=job_log)

    def remarks(self, said: Remark) -> list[tuple[str, str]]:
        repository = self.forge.repository(REPOSITORY)
        number = int(said.pull[1:])
        pull = next(p for p in repository.pulls if (p.iid if self.by_iid else p.number) == number)
        comments = [r for r in pull.remarks if str(r.thread) == said.id] if said.id else pull.comments
        return [(comment.author.login, comment.body) for comment in comments]

    def stop(self) -> None:
        self.forge.stop()

    def _issue(self, ticket: str):  # type: ignore[no-untyped-def]
        wanted = int(ticket[1:])
        repository = self.forge.repository(REPOSITORY)
        issues = repository.pulls if self.dialect == "bitbucket" else repository.issues
        return next(i for i in issues if (i.iid if self.by_iid else i.number) == wanted)

    def _labels(self, pull: FakePull) -> tuple[str, ...] | None:
        return None if self.dialect == "bitbucket" else tuple(pull.labels)

    def _url(self, pull: FakePull) -> str:
        place = {
            "github": f"pull/{pull.number}",
            "gitlab": f"-/merge_requests/{pull.iid}",
            "gitea": f"pulls/{pull.number}",
            "bitbucket": f"pull-requests/{pull.iid}",
        }
        return f"{self.forge.url}/{REPOSITORY}/{place[self.dialect]}"

    def _state(self, pull: FakePull) -> PullState:
        return PullState.MERGED if pull.merged else PullState(pull.state)
