"""A real Gitea keeps the promises that the fake one keeps."""

import base64
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

import pytest

from core.forge.conformance import CHECKS, Check, Remark, SeenPull, check_many_at_once_make_one
from core.forge.conventions import PLAIN, Conventions
from core.forge.gitea import GiteaHost
from core.forge.host import PullState
from core.forge.hosted import HostedForge
from core.git import Credential, Remote, Repository, fetch_mirror

pytestmark = [pytest.mark.services, pytest.mark.timeout(3600)]  # the first run builds it


class GiteaArena:
    """The administrator's repository `penstock/conform`; another person is `bob`."""

    def __init__(self, server: Any, folder: Path) -> None:
        self.server = server
        self.at = "/repos/penstock/conform"
        server.api("POST", "/user/repos", {"name": "conform", "default_branch": "main"})
        self._put("main", "m.py", "x = 1\n", new=False)
        server.api(
            "POST",
            "/admin/users",
            {
                "username": "bob",
                "email": "bob@example.org",
                "password": "a-long-Passw0rd",
                "must_change_password": False,
            },
        )
        server.api("PUT", f"{self.at}/collaborators/bob", {"permission": "write"})
        self.location = f"{server.url}/penstock/conform.git"
        mirror = fetch_mirror(self.location, folder / "mirror.git", credential=self._credential)
        self._base = mirror.commit
        self._mirror = mirror.repository

    @property
    def _credential(self) -> Credential:
        return Credential("penstock", self.server.token)

    def open(self, conventions: Conventions = PLAIN) -> HostedForge:
        host = GiteaHost(self.server.url, "penstock/conform", lambda: self.server.token, setting="PENSTOCK_GITEA_TOKEN")
        remote = Remote(self.location, self._credential)
        return HostedForge(host, lambda: Repository(self._mirror.path), remote, conventions=conventions)

    def base_commit(self) -> str:
        return self._base

    def new_ticket(self) -> str:
        return f"#{self.server.api('POST', f'{self.at}/issues', {'title': 'x is too small'})['number']}"

    def pulls(self, branch: str) -> list[SeenPull]:
        found = self.server.api("GET", f"{self.at}/pulls?state=all&limit=50")
        return [
            SeenPull(
                pull["html_url"],
                PullState.MERGED if pull["merged"] else PullState(pull["state"]),
                pull["title"].startswith("WIP: "),
                pull["title"].removeprefix("WIP: "),
                pull["body"],
                pull["base"]["ref"],
                tuple(label["name"] for label in pull["labels"]),
            )
            for pull in found
            if pull["head"]["ref"] == branch
        ]

    def close(self, branch: str) -> None:
        [pull] = [p for p in self.server.api("GET", f"{self.at}/pulls?state=open") if p["head"]["ref"] == branch]
        self.server.api("PATCH", f"{self.at}/pulls/{pull['number']}?sudo=bob", {"state": "closed"})

    def delete(self, branch: str) -> None:
        self.server.api("DELETE", f"{self.at}/branches/{quote(branch, safe='')}")

    def commit(self, branch: str) -> str:
        there = self.head(branch) is not None
        return str(self._put(branch, "theirs.py", "y = 1\n", new=not there)["commit"]["sha"])

    def head(self, branch: str) -> str | None:
        try:
            return str(self.server.api("GET", f"{self.at}/branches/{quote(branch)}")["commit"]["id"])
        except HTTPError as error:
            assert error.code == 404
            return None

    def read(self, branch: str, path: str) -> str:
        found = self.server.api("GET", f"{self.at}/contents/{path}?ref={quote(branch)}")
        return base64.b64decode(found["content"]).decode()

    def message(self, branch: str) -> str:
        return str(self.server.api("GET", f"{self.at}/branches/{quote(branch)}")["commit"]["message"])

    def comments(self, ticket: str) -> list[tuple[str, str]]:
        found = self.server.api("GET", f"{self.at}/issues/{ticket[1:]}/comments")
        return [(comment["user"]["login"], comment["body"]) for comment in found]

    def say(self, ticket: str, text: str) -> None:
        self.server.api("POST", f"{self.at}/issues/{ticket[1:]}/comments?sudo=bob", {"body": text})

    def remark(self, branch: str, text: str) -> Remark:
        [pull] = [p for p in self.server.api("GET", f"{self.at}/pulls?state=open") if p["head"]["ref"] == branch]
        return Remark(f"#{pull['number']}", None, None)

    def check(self, branch: str, name: str, passed: bool | None, log: str = "") -> None:
        state = "pending" if passed is None else "success" if passed else "failure"
        body = {"state": state, "context": name, "description": log}
        self.server.api("POST", f"{self.at}/statuses/{self.head(branch)}", body)

    def remarks(self, said: Remark) -> list[tuple[str, str]]:
        return self.comments(said.pull)

    def _put(self, branch: str, path: str, text: str, *, new: bool) -> Any:
        body = {"content": base64.b64encode(text.encode()).decode(), "message": f"Add {path}"}
        body |= {"branch": "main", "new_branch": branch} if new else {"branch": branch}
        return self.server.api("POST", f"{self.at}/contents/{path}", body)


@pytest.fixture(scope="module")
def arena(gitea: Any, tmp_path_factory: pytest.TempPathFactory) -> GiteaArena:
    return GiteaArena(gitea, tmp_path_factory.mktemp("conform"))


# Gitea lets two requests in one instant open two pull requests; the platform gives a publication to one process.
@pytest.mark.parametrize(
    "check",
    [check for check in CHECKS if check is not check_many_at_once_make_one],
    ids=lambda check: check.__name__.removeprefix("check_"),
)
def test_gitea_conforms(arena: GiteaArena, check: Check) -> None:
    check(arena)
