"""Gitea and Forgejo, by their own API (https://docs.gitea.com/api), whose objects are like GitHub's."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import quote

from core.forge.github_answers import Account, CombinedStatus, Comment, Permission, PullRequest, Repository
from core.forge.host import (
    MOST_COMMENTS,
    MOST_PULLS,
    PAUSES,
    READ,
    WRITE,
    Check,
    Checks,
    NewPull,
    NoThreads,
    Pull,
    absent_is_no,
    listed,
    number_of,
    translated,
)
from core.forge.host import Comment as FoundComment
from core.http import Service
from core.payload import Number, Payload, Text, parse

_EXISTS = "pull request already exists"
MOST_LABELS = 1_000
_PAGE = 50
"""The largest page that Gitea gives by default."""


class _End(Payload):
    """The branch of one end of a pull request. Once it is deleted, `ref` is another, and `label` still names it."""

    label: Text = ""
    ref: Text = ""
    repo_id: Any = None


class Label(Payload):
    id: Number
    name: Text


class _OfBranch(Payload):
    """The branch of a pull request, by which it is chosen: Gitea has no filter for it."""

    head: _End
    base: _End

    def is_of(self, branch: str) -> bool:
        """Whether it is of this branch of the repository itself, not of a fork."""
        return branch in (self.head.ref, self.head.label) and self.head.repo_id == self.base.repo_id


class GiteaHost(NoThreads):
    """One repository. `token` is asked for each request."""

    most_characters = 65_000
    """The smallest text column of the databases that Gitea supports (MySQL's TEXT), in bytes of ASCII."""

    def __init__(self, address: str, repository: str, token: Callable[[], str], *, setting: str) -> None:
        self.target = f"gitea:{repository}"
        self._at = f"/api/v1/repos/{quote(repository)}"
        self._remedy = f"set {setting} to a token that may write to {repository}"
        self._ask_remedy = (
            f"who may write to {repository} is told only to its administrators: make the account of {setting} one, or "
            "set PENSTOCK_WHO_MAY_START=anyone"
        )
        self._service = Service(
            address, headers=lambda: {"Authorization": f"token {token()}"}, pauses=PAUSES, environment_proxies=True
        )
        self._login = ""

    def login(self) -> str:
        if not self._login:
            with self._translated():
                found = self._service.json("GET", "/api/v1/user", limits=READ)
                self._login = parse(Account, found, "user").login
        return self._login

    def may_write(self, login: str, user_id: str | None) -> bool:
        path = f"{self._at}/collaborators/{quote(login, safe='')}/permission"
        with self._translated(self._ask_remedy), absent_is_no():
            return parse(Permission, self._service.json("GET", path, limits=READ), "permission").may_write
        return False

    def default_branch(self) -> str:
        return parse(Repository, self._call("GET", ""), "repository").default_branch

    def pulls_of(self, branch: str) -> list[Pull]:
        # Those of one branch are few and recent, and the newest come first.
        found: list[Pull] = []
        for page in range(1, MOST_PULLS // _PAGE + 1):
            items = self._list(f"/pulls?state=all&sort=recentupdate&limit={_PAGE}&page={page}")
            for item in items:
                with self._translated():
                    chosen = parse(_OfBranch, item, "pull request")
                    if chosen.is_of(branch):
                        found.append(parse(PullRequest, item, "pull request").found())
            if len(items) < _PAGE:
                break
        return sorted(found, key=lambda pull: -number_of(pull.key))

    def create_pull(self, new: NewPull) -> Pull:
        title = f"WIP: {new.title}" if new.draft else new.title
        body = {"title": title, "body": new.body, "head": new.branch, "base": new.base}
        made = self._call("POST", "/pulls", body)
        with self._translated():
            return parse(PullRequest, made, "pull request").found()

    def comments(self, ticket: str) -> Iterator[FoundComment]:
        # Gitea gives all comments of an issue at once.
        for item in self._list(f"/issues/{number_of(ticket)}/comments")[:MOST_COMMENTS]:
            with self._translated():
                yield parse(Comment, item, "comment").found()

    def create_comment(self, ticket: str, text: str) -> FoundComment:
        made = self._call("POST", f"/issues/{number_of(ticket)}/comments", {"body": text})
        with self._translated():
            return parse(Comment, made, "comment").found()

    def edit_comment(self, ticket: str, comment: FoundComment, text: str) -> FoundComment:
        made = self._call("PATCH", f"/issues/comments/{int(comment.id)}", {"body": text})
        with self._translated():
            return parse(Comment, made, "comment").found()

    def add_labels(self, pull: str, labels: tuple[str, ...]) -> None:
        known: dict[str, int] = {}
        for page in range(1, MOST_LABELS // _PAGE + 1):
            items = self._list(f"/labels?limit={_PAGE}&page={page}")
            with self._translated():
                found = [parse(Label, item, "label") for item in items]
            known |= {label.name: label.id for label in found}
            if len(items) < _PAGE:
                break
        for name in labels:
            if name not in known:
                made = self._call("POST", "/labels", {"name": name, "color": "#ededed"})
                with self._translated():
                    known[name] = parse(Label, made, "label").id
        self._call("POST", f"/issues/{number_of(pull)}/labels", {"labels": [known[name] for name in labels]})

    def checks(self, commit: str, base: str) -> Checks:
        found = self._call("GET", f"/commits/{quote(commit)}/status?limit={_PAGE}")
        with self._translated():
            statuses = parse(CombinedStatus, found, "status").statuses or []
        failed = [Check(one.context, one.target_url or "", one.description or "") for one in statuses if one.failed]
        return Checks(all(one.status != "pending" for one in statuses), tuple(failed))

    def _list(self, path: str) -> Any:
        with self._translated():
            return listed(self._call("GET", path))

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        with self._translated():
            return self._service.json(method, self._at + path, body, limits=READ if method == "GET" else WRITE)

    def _translated(self, remedy: str = "") -> AbstractContextManager[None]:
        return translated(
            self._service.base,
            remedy or self._remedy,
            lambda refusal: refusal.status == 409 and _EXISTS in str(refusal).lower(),
        )
