"""The fake forge in a process of its own, which a test can kill, and which then goes on where it stood."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.fake_forge import FakeForge, Repository
from deploy.fake_forge.git import branches

SCRIPT = Path(__file__).parents[2] / "deploy" / "dev" / "fake_forge.py"
BOT = "penstock"
REPORTER = "ada"


@dataclass(frozen=True)
class Filled:
    """What the forge holds of one repository. `pulls` are the head branches of all pull requests, by their address."""

    branches: set[str]
    pulls: dict[str, str]
    comments: dict[int, list[str]]
    """Of each issue that has any, by its number."""


class ForgeProcess:
    """Serves `repository` in `folder`, with `issues` numbered from 1 that a reporter with write access opened."""

    def __init__(self, folder: Path, repository: str, seed: Path, issues: list[tuple[str, str]]) -> None:
        self.folder, self.repository = folder, repository
        with FakeForge(folder, keep=True) as forge:
            forge.add_repository(repository, seed)
            for login in (BOT, REPORTER):
                forge.grant(repository, login, "write")
            self.token = forge.add_token(BOT)
            self.port, self.url, self.location = forge.port, forge.url, forge.git_url(repository)
            for title, body in issues:
                forge.add_issue(repository, title, body, author=REPORTER)
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Starts it, at the same address each time, and returns when it serves."""
        command = [sys.executable, str(SCRIPT), "serve", "--state", str(self.folder), "--port", str(self.port)]
        self._process = subprocess.Popen(
            [*command, "--keep", "--die-with-parent"], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout
        assert json.loads(self._process.stdout.readline())["token"] == self.token

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def content(self) -> Filled:
        """What it holds after it was killed."""
        assert self.pid is None
        with FakeForge(self.folder, keep=True) as forge:
            found: Repository = forge.repository(self.repository)
            return Filled(
                set(branches(found.path)),
                {f"{self.url}/{self.repository}/pull/{pull.number}": pull.head for pull in found.pulls},
                {one.number: [comment.body for comment in one.comments] for one in found.issues if one.comments},
            )
