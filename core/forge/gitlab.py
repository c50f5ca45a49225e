"""GitLab, through python-gitlab (https://docs.gitlab.com/api/merge_requests/), whose requests `core.http` sends."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from core.forge.host import (
    MOST_CHECKS,
    MOST_COMMENTS,
    MOST_LOGS,
    MOST_PULLS,
    PAGE,
    PAUSES,
    READ,
    READ_TEXT,
    WRITE,
    Check,
    Checks,
    NewPull,
    Pull,
    PullState,
    absent_is_no,
    end_of,
    listed,
    number_of,
    translated,
)
from core.forge.host import Comment as FoundComment
from core.forge.protocol import ForgeUnavailable, PublicationRefused
from core.http import Limits, Service
from core.payload import Count, Flag, Number, Payload, Text, parse

_DEVELOPER = 30
"""The access level from which on a member may push: https://docs.gitlab.com/api/access_requests/#valid-access-levels"""
_RUNNING = ("created", "waiting_for_resource", "preparing", "pending", "running", "scheduled")
_STATES = {"opened": PullState.OPEN, "locked": PullState.OPEN, "closed": PullState.CLOSED, "merged": PullState.MERGED}


class _Project(Payload):
    default_branch: Text


class _MergeRequest(Payload):
    iid: Number
    web_url: Text
    state: Text
    source_project_id: Any = None
    target_project_id: Any = None

    def found(self) -> Pull:
        return Pull(f"!{self.iid}", self.web_url, _STATES.get(self.state, PullState.OPEN))


class _User(Payload):
    username: Text


class _Member(Payload):
    access_level: Count


class _Status(Payload):
    """A job of a commit's pipelines, or a status that another service has set."""

    id: Number
    name: Text
    status: Text
    allow_failure: Flag | None = None
    target_url: Text | None = None
    description: Text | None = None


class _Note(Payload):
    id: Number
    body: Text | None = None
    author: _User | None = None


class GitLabHost:
    """One project, whose path may have several parts. `token` is asked for each request."""

    most_characters = 1_000_000

    def __init__(self, address: str, repository: str, token: Callable[[], str], *, setting: str) -> None:
        self.target = f"gitlab:{repository}"
        self._project = repository
        self._web = f"{address.rstrip('/')}/{repository}"
        self._remedy = f"set {setting} to a token with the scope api that may write to {repository}"
        self._service = Service(
            address, headers=lambda: {"PRIVATE-TOKEN": token()}, pauses=PAUSES, environment_proxies=True
        )
        self._clients: dict[Limits, Any] = {}
        self._login = ""

    def login(self) -> str:
        if not self._login:
            with self._translated():
                found = self._client(READ).http_get("/user")
                self._login = parse(_User, found, "user").username
        return self._login

    def may_write(self, login: str, user_id: str | None) -> bool:
        if user_id is None or not user_id.isdigit():
            return False
        with self._translated(), absent_is_no():
            found = self._lazy(READ).members_all.get(int(user_id)).attributes
            return parse(_Member, found, "member").access_level >= _DEVELOPER
        return False

    def default_branch(self) -> str:
        with self._translated():
            found = self._client(READ).projects.get(self._project).attributes
            return parse(_Project, found, "project").default_branch

    def pulls_of(self, branch: str) -> list[Pull]:
        with self._translated():
            found = self._lazy(READ).mergerequests.list(
                source_branch=branch,
                state="all",
                order_by="created_at",
                sort="desc",
                per_page=MOST_PULLS,
                page=1,
                get_all=False,
            )
            requests = [parse(_MergeRequest, item.attributes, "merge request") for item in found]
            return [one.found() for one in requests if one.source_project_id == one.target_project_id]  # not of a fork

    def create_pull(self, new: NewPull) -> Pull:
        with self._translated():
            made = self._lazy(WRITE).mergerequests.create(
                {
                    "source_branch": new.branch,
                    "target_branch": new.base,
                    "title": f"Draft: {new.title}" if new.draft else new.title,
                    "description": new.body,
                    "remove_source_branch": True,
                }
            )
            return parse(_MergeRequest, made.attributes, "merge request").found()

    def comments(self, ticket: str) -> Iterator[FoundComment]:
        for page in range(1, MOST_COMMENTS // PAGE + 1):
            with self._translated():
                notes = self._notes(READ, ticket).list(
                    sort="asc", order_by="created_at", per_page=PAGE, page=page, get_all=False
                )
                found = [self._found(ticket, note.attributes) for note in notes]
            yield from found
            if len(found) < PAGE:
                return

    def create_comment(self, ticket: str, text: str) -> FoundComment:
        with self._translated():
            return self._found(ticket, self._notes(WRITE, ticket).create({"body": text}).attributes)

    def edit_comment(self, ticket: str, comment: FoundComment, text: str) -> FoundComment:
        with self._translated():
            return self._found(ticket, self._notes(WRITE, ticket).update(int(comment.id), {"body": text}))

    def add_labels(self, pull: str, labels: tuple[str, ...]) -> None:
        with self._translated():
            self._lazy(WRITE).mergerequests.update(number_of(pull), {"add_labels": ",".join(labels)})

    def thread(self, pull: str, thread: str) -> list[FoundComment]:
        with self._translated(), absent_is_no():
            found = self._discussions(READ, pull).get(thread).attributes
            return [self._found(pull, note) for note in listed(found.get("notes"))]
        return []

    def reply(self, pull: str, thread: str, text: str) -> FoundComment:
        with self._translated():
            notes = self._discussions(WRITE, pull).get(thread, lazy=True).notes
            return self._found(pull, notes.create({"body": text}).attributes)

    def checks(self, commit: str, base: str) -> Checks:
        with self._translated(), absent_is_no():
            found = (
                self._lazy(READ)
                .commits.get(commit, lazy=True)
                .statuses.list(per_page=MOST_CHECKS, page=1, get_all=False)
            )
            latest = {one.name: one for one in (parse(_Status, item.attributes, "status") for item in found)}
            statuses = [one for one in latest.values() if not one.allow_failure]
            failed = [one for one in statuses if one.status == "failed"]
            logs = [self._log(one) if n < MOST_LOGS else "" for n, one in enumerate(failed)]
            return Checks(
                all(one.status not in _RUNNING for one in statuses),
                tuple(Check(one.name, one.target_url or "", log) for one, log in zip(failed, logs, strict=True)),
            )
        return Checks(True)

    def _log(self, status: _Status) -> str:
        """The end of a job's log; a status of another service has none."""
        try:
            with self._translated(), absent_is_no():
                log = self._lazy(READ_TEXT).jobs.get(status.id, lazy=True).trace()
                return end_of(bytes(log or b"").decode(errors="replace"))
        except (ForgeUnavailable, PublicationRefused):
            return status.description or ""  # too long to be read, or not for this token
        return status.description or ""

    def _discussions(self, limits: Limits, pull: str) -> Any:
        return self._lazy(limits).mergerequests.get(number_of(pull), lazy=True).discussions

    def _found(self, ticket: str, answer: Mapping[str, Any]) -> FoundComment:
        note = parse(_Note, answer, "note")
        place = "merge_requests" if ticket.startswith("!") else "issues"
        url = f"{self._web}/-/{place}/{number_of(ticket)}#note_{note.id}"
        return FoundComment(str(note.id), note.author.username if note.author else "", url, note.body or "")

    def _notes(self, limits: Limits, ticket: str) -> Any:
        project = self._lazy(limits)
        tickets = project.mergerequests if ticket.startswith("!") else project.issues
        return tickets.get(number_of(ticket), lazy=True).notes

    def _lazy(self, limits: Limits) -> Any:
        return self._client(limits).projects.get(self._project, lazy=True)

    def _client(self, limits: Limits) -> Any:
        client = self._clients.get(limits)
        if client is None:
            import gitlab

            from core.http.requests_session import session_over

            client = self._clients[limits] = gitlab.Gitlab(
                self._service.base, session=session_over(self._service.transport(limits)), keep_base_url=True
            )
        return client

    def _translated(self) -> AbstractContextManager[None]:
        return translated(self._service.base, self._remedy, lambda refusal: refusal.status == 409)
