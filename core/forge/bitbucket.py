"""Bitbucket Cloud, by its REST API 2.0 (https://developer.atlassian.com/cloud/bitbucket/rest/).

It has pull requests (`!12`) with comments and threads, and no issues or labels. Its Markdown shows HTML as text, so
markers are link reference definitions there, and nothing is folded.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import quote

from core.forge.addresses import api_address
from core.forge.bitbucket_access import authorization, is_of_person
from core.forge.bitbucket_pipelines import failed_logs
from core.forge.host import (
    MOST_CHECKS,
    MOST_COMMENTS,
    MOST_LOGS,
    MOST_PULLS,
    PAGE,
    PAUSES,
    READ,
    WRITE,
    Check,
    Checks,
    NewPull,
    Pull,
    PullState,
    end_of,
    number_of,
    translated,
)
from core.forge.host import Comment as FoundComment
from core.forge.protocol import PublicationRefused
from core.forge.texts import with_reference_mark
from core.http import RequestRefused, Service
from core.payload import Number, Payload, Text, parse
from core.tickets.bitbucket import Account, Links, Remark

MOST_WRITERS = 2_000
"""The most people who may write to a repository among whom one is looked for."""
_PULLS_PAGE = 50
"""The largest page of pull requests; of other things, it is `PAGE`."""
_STATES = {"OPEN": PullState.OPEN, "MERGED": PullState.MERGED}
_ALL_STATES = "state=OPEN&state=MERGED&state=DECLINED&state=SUPERSEDED"
_WRITERS = ("write", "admin")
_A_TOKEN = "an access token"  # noqa: S105
_FOLD = re.compile(r"^<details><summary>(.*)</summary>$|^</details>\n*", re.MULTILINE)


class _Page(Payload):
    """A page of a list; an error page with status 200 has no `values`. Only the last one has no `next`."""

    values: list[dict[str, Any]]
    next: Any = None


class _Branch(Payload):
    name: Text


class _Repository(Payload):
    """One without commits has no main branch."""

    mainbranch: _Branch | None = None


class _OfRepository(Payload):
    uuid: Text | None = None


class _End(Payload):
    """`repository` is null once a fork is deleted."""

    repository: _OfRepository | None = None


class _PullRequest(Payload):
    id: Number
    state: Text
    links: Links
    source: _End | None = None
    destination: _End | None = None

    @property
    def is_of_fork(self) -> bool:
        source, target = (end and end.repository and end.repository.uuid for end in (self.source, self.destination))
        return source is None or source != target

    def found(self) -> Pull:
        return Pull(f"!{self.id}", self.links.page or "", _STATES.get(self.state.upper(), PullState.CLOSED))


class _Permission(Payload):
    permission: Text
    user: Account | None = None


class _Status(Payload):
    """What a build has said about a commit: https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commit-statuses/"""

    key: Text
    state: Text
    name: Text | None = None
    url: Text | None = None
    description: Text | None = None


class BitbucketHost:
    """One repository. `token` is asked for each request; see `core.forge.bitbucket_access` for its forms."""

    most_characters = 32_000
    """Comments of up to 32,768 characters are known to be taken."""

    def __init__(self, address: str, repository: str, token: Callable[[], str], *, setting: str) -> None:
        self.target = f"bitbucket:{repository}"
        self._repository = repository
        self._at = f"/2.0/repositories/{quote(repository)}"
        self._setting = setting
        self._token = token
        self._service = Service(
            api_address("bitbucket", address),
            headers=lambda: {"Authorization": authorization(token())},
            pauses=PAUSES,
            environment_proxies=True,
        )
        self._login = ""

    def login(self) -> str:
        """The id of the account. An access token may not ask for its own: its comments are those of no person."""
        if not is_of_person(self._token()):
            return _A_TOKEN
        if not self._login:
            with self._translated():
                found = self._service.json("GET", "/2.0/user", limits=READ)
                self._login = parse(Account, found, "user").id or ""
        return self._login

    def may_write(self, login: str, user_id: str | None) -> bool:
        if user_id is None:
            return False  # a name is nobody's alone
        workspace, _, slug = self._repository.partition("/")
        query = quote('permission>"read"', safe="")
        path = f"/2.0/workspaces/{quote(workspace)}/permissions/repositories/{quote(slug)}?q={query}"
        remedy = (
            f"who may write to {self._repository} is told only to its administrators: set {self._setting} to a token "
            "with the scope repository:admin"
        )
        for item in self._values(path, MOST_WRITERS, remedy=remedy):
            with self._translated():
                found = parse(_Permission, item, "permission")
            if found.user is not None and user_id in (found.user.uuid, found.user.account_id):
                return found.permission in _WRITERS
        return False

    def default_branch(self) -> str:
        found = self._call("GET", self._at)
        with self._translated():
            branch = parse(_Repository, found, "repository").mainbranch
        if branch is None:
            raise PublicationRefused(f"{self._repository} has no main branch")
        return branch.name

    def pulls_of(self, branch: str) -> list[Pull]:
        escaped = branch.replace("\\", "\\\\").replace('"', '\\"')
        query = quote(f'source.branch.name="{escaped}"', safe="")
        path = f"{self._at}/pullrequests?{_ALL_STATES}&q={query}&sort=-created_on"
        items = list(self._values(path, MOST_PULLS, _PULLS_PAGE))
        with self._translated():
            found = [parse(_PullRequest, item, "pull request") for item in items]
            return [one.found() for one in found if not one.is_of_fork]

    def create_pull(self, new: NewPull) -> Pull:
        body = {
            "title": new.title,
            "description": with_reference_mark(_FOLD.sub(lambda fold: f"**{fold[1]}**" if fold[1] else "", new.body)),
            "source": {"branch": {"name": new.branch}},
            "destination": {"branch": {"name": new.base}},
            "draft": new.draft,
            "close_source_branch": True,
        }
        made = self._call("POST", f"{self._at}/pullrequests", body)
        with self._translated():
            return parse(_PullRequest, made, "pull request").found()

    def comments(self, ticket: str) -> Iterator[FoundComment]:
        for remark in self._remarks(ticket):
            if remark.inline is None and remark.parent is None and not (remark.deleted or remark.pending):
                yield self._found(remark)

    def create_comment(self, ticket: str, text: str) -> FoundComment:
        return self._written("POST", f"{self._pull(ticket)}/comments", text)

    def edit_comment(self, ticket: str, comment: FoundComment, text: str) -> FoundComment:
        return self._written("PUT", f"{self._pull(ticket)}/comments/{int(comment.id)}", text)

    def thread(self, pull: str, thread: str) -> list[FoundComment]:
        """`thread` is any comment of it: each says only which one it answers."""
        held = {str(remark.id): remark for remark in self._remarks(pull)}
        if thread not in held:
            return []
        first = _first(held, thread)
        same = [remark for key, remark in held.items() if _first(held, key) == first]
        return [self._found(remark) for remark in same if not (remark.deleted or remark.pending)]

    def reply(self, pull: str, thread: str, text: str) -> FoundComment:
        return self._written("POST", f"{self._pull(pull)}/comments", text, parent={"id": int(thread)})

    def add_labels(self, pull: str, labels: tuple[str, ...]) -> None:
        """Bitbucket's pull requests have no labels."""

    def checks(self, commit: str, base: str) -> Checks:
        path = f"{self._at}/commit/{quote(commit)}/statuses?sort=created_on"
        items = list(self._values(path, MOST_CHECKS))
        with self._translated():
            statuses = [parse(_Status, item, "status") for item in items]
        failed = [one for one in statuses if one.state == "FAILED"]
        logs = failed_logs(self._service, self._at, commit, [one.url or "" for one in failed[:MOST_LOGS]])
        found = [
            Check(one.name or one.key, one.url or "", end_of(logs.get(one.url or "") or one.description or ""))
            for one in failed
        ]
        return Checks(all(one.state != "INPROGRESS" for one in statuses), tuple(found))

    def _remarks(self, ticket: str) -> Iterator[Remark]:
        for item in self._values(f"{self._pull(ticket)}/comments?sort=created_on", MOST_COMMENTS):
            with self._translated():
                yield parse(Remark, item, "comment")

    def _written(self, method: str, path: str, text: str, **more: Any) -> FoundComment:
        made = self._call(method, path, {"content": {"raw": with_reference_mark(text)}, **more})
        with self._translated():
            return self._found(parse(Remark, made, "comment"))

    def _found(self, remark: Remark) -> FoundComment:
        user = remark.user
        is_of_token = user is not None and not user.is_person and not is_of_person(self._token())
        author = _A_TOKEN if is_of_token else (user and user.id) or ""
        return FoundComment(str(remark.id), author, (remark.links and remark.links.page) or "", remark.body)

    def _pull(self, ticket: str) -> str:
        number = number_of(ticket)
        if not ticket.startswith("!"):
            raise PublicationRefused(f"{ticket} is no pull request, and Bitbucket has had no issues since August 2026")
        return f"{self._at}/pullrequests/{number}"

    def _values(
        self, path: str, most: int, size: int = PAGE, *, remedy: str | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """At most so many items of a list. Pages are asked for by number: an answer's links are not followed."""
        joint = "&" if "?" in path else "?"
        for number in range(1, -(-most // size) + 1):
            with self._translated(remedy):
                found = self._service.json("GET", f"{path}{joint}pagelen={size}&page={number}", limits=READ)
                page = parse(_Page, found, "page")
            yield from page.values
            if page.next is None:
                return

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        with self._translated():
            return self._service.json(method, path, body, limits=READ if method == "GET" else WRITE)

    def _translated(self, remedy: str | None = None) -> AbstractContextManager[None]:
        usual = f"set {self._setting} to a token that may write to {self._repository}"
        return translated(self._service.base, remedy or usual, _exists)


def _exists(refusal: RequestRefused) -> bool:
    return refusal.status in (400, 409) and "pull request" in str(refusal) and "already" in str(refusal).lower()


def _first(held: Mapping[str, Remark], key: str) -> str:
    """The first comment of a thread, from any of its comments."""
    for _ in range(len(held)):
        parent = held[key].parent
        if parent is None or str(parent.id) not in held:
            break
        key = str(parent.id)
    return key
