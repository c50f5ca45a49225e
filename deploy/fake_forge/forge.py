"""`FakeForge`: what tests and the demo start, fill, break and look at."""

import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from deploy.fake_forge import git, kept
from deploy.fake_forge.boards import Board, Said, Ticket
from deploy.fake_forge.deliveries import Deliveries, Delivery
from deploy.fake_forge.faults import Fault
from deploy.fake_forge.github_app import APP_LOGIN
from deploy.fake_forge.records import (
    OPTIONAL,
    PERMISSIONS,
    App,
    Comment,
    Issue,
    Pull,
    Remark,
    Repository,
    Request,
    Review,
    User,
    Write,
)
from deploy.fake_forge.server import Server
from deploy.fake_forge.state import State
from deploy.fake_forge.storage import Storage


class FakeForge:
    """A forge on `127.0.0.1` that answers as GitHub, GitLab, Gitea and Bitbucket do, over one state with real git
    repositories.

    Args:
        folder: Where the bare repositories are made, in `repositories`. Those found there are served again once
            `add_repository` names them; everything else is kept in memory.
        port: The port to listen on; 0 for a free one.
        keep: Everything else is kept in `folder` too, and found again by the next forge there, whenever this one ends.
    """

    def __init__(self, folder: Path, port: int = 0, *, keep: bool = False) -> None:
        self.state = State(folder.absolute() / "repositories")
        self.state.folder.mkdir(parents=True, exist_ok=True)
        if keep:
            kept.load(self.state, folder)
        self._server = Server(self.state, port)
        if keep:
            self._server.keep = lambda: kept.save(self.state, folder)
        self._receivers: list[Deliveries] = []
        self.state.changed = self._changed
        self.state.hand_out = self._hand_out
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> "FakeForge":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the server; the repositories stay."""
        self._server.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if "storage" in vars(self):
            self.storage.stop()
        for receiver in self._receivers:
            receiver.stop()
        self.save()

    def save(self) -> None:
        """Keeps the present state, as every request to a forge that keeps its state does; else nothing."""
        self._server.keep()

    # Addresses

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, also the base that GitLab's clients want."""
        return self._server.url

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def github_url(self) -> str:
        return f"{self.url}/api/v3"

    @property
    def gitlab_url(self) -> str:
        return f"{self.url}/api/v4"

    @property
    def gitea_url(self) -> str:
        return f"{self.url}/api/v1"

    @property
    def bitbucket_url(self) -> str:
        return f"{self.url}/2.0"

    def git_url(self, repository: str, token: str = "") -> str:
        """The address to clone; with `token` it holds the credential."""
        credential = f"x-access-token:{token}@" if token else ""
        return f"{self.url.replace('://', '://' + credential)}/{repository}.git"

    @cached_property
    def storage(self) -> Storage:
        """Where the logs of jobs are, at another address; it begins with the first one that is asked for."""
        return Storage()

    def _hand_out(self, text: bytes) -> str:
        return self.storage.hand_out(text)

    # What there is

    @property
    def requests(self) -> list[Request]:
        """Every request but those to `/_fake/`, in the order of arrival."""
        return self._server.requests

    @property
    def unknown(self) -> list[Request]:
        """Requests for endpoints or pages that the fake does not have."""
        return self._server.unknown

    @property
    def failures(self) -> list[str]:
        """Tracebacks of errors of the fake itself, which it answers with 500."""
        return self._server.failures

    @property
    def writes(self) -> list[Write]:
        """Every change of the state, in order."""
        return self.state.writes

    @property
    def app(self) -> App:
        """The GitHub App; set its `public_key` to have signatures of JWTs checked."""
        return self.state.app

    def repository(self, full_name: str) -> Repository:
        """Raises `NotFound`."""
        return self.state.repository(full_name)

    def pull(self, repository: str, number: int) -> Pull:
        """The pull request of that shared number. Raises `NotFound`."""
        return self.state.pull(self.repository(repository), number)

    def issue(self, repository: str, number: int) -> Issue:
        """The issue or pull request of that shared number. Raises `NotFound`."""
        return self.state.issue(self.repository(repository), number)

    # Filling it

    def add_repository(
        self,
        full_name: str,
        seed: Path | None = None,
        default_branch: str = "main",
        *,
        private: bool = False,
        description: str = "",
    ) -> Repository:
        """Makes `owner/name`, and its owner. A `seed` that is a git repository gives its branches and tags, any other
        folder its files as one commit; without a seed the repository is empty."""
        return self.state.add_repository(full_name, seed, default_branch, private=private, description=description)

    def add_user(self, login: str, name: str = "", *, is_bot: bool = False) -> User:
        """The user of that login, made if there is none."""
        return self.state.add_user(login, name, is_bot=is_bot)

    def add_token(self, login: str, name: str = "") -> str:
        """A new token of that user, who is made if there is none. `name`, the login unless given, is what
        `requests` calls it."""
        return self.state.add_token(login, name or login)

    def revoke_token(self, token: str) -> None:
        with self.state.lock:
            self.state.tokens.pop(token, None)

    def grant(self, repository: str, login: str, permission: str) -> None:
        """Gives a user `none`, `read`, `write` or `admin`, in place of what they had."""
        if permission not in PERMISSIONS:
            raise ValueError(f"permission {permission!r} is none of {', '.join(PERMISSIONS)}")
        with self.state.lock:
            self.repository(repository).permissions[self.add_user(login).login] = permission

    def install_app(self, repository: str, permission: str = "write") -> int:
        """Lets the GitHub App into a repository; returns the id of the owner's installation."""
        return self.state.install_app(self.repository(repository), APP_LOGIN, permission)

    def add_issue(
        self, repository: str, title: str, body: str = "", *, author: str = "ada", labels: list[str] | None = None
    ) -> Issue:
        return self.state.add_issue(self.repository(repository), self.add_user(author), title, body, labels or [])

    def add_pull(
        self,
        repository: str,
        head: str,
        base: str = "main",
        *,
        title: str = "A change",
        body: str = "",
        author: str = "ada",
        draft: bool = False,
    ) -> Pull:
        """Raises `NoSuchBranch`, `AlreadyExists`."""
        options: dict[str, Any] = {"head": head, "base": base, "title": title, "body": body, "draft": draft}
        return self.state.add_pull(self.repository(repository), self.add_user(author), **options)

    def add_comment(self, repository: str, number: int, body: str, *, author: str = "ada") -> Comment:
        """Comments on the issue or pull request of that shared number."""
        found = self.repository(repository)
        return self.state.add_comment(found, self.state.issue(found, number), self.add_user(author), body)

    def add_remark(
        self,
        repository: str,
        number: int,
        body: str,
        *,
        author: str = "ada",
        path: str = "",
        line: int = 1,
        thread: int | None = None,
    ) -> Remark:
        """Comments on a line of a pull request, or answers in the `thread` of another such comment."""
        found = self.repository(repository)
        pull = self.state.pull(found, number)
        place: dict[str, Any] = {"path": path, "line": line, "thread": thread}
        return self.state.add_remark(found, pull, self.add_user(author), body, **place)

    def add_review(
        self, repository: str, number: int, body: str, *, author: str = "ada", state: str = "changes_requested"
    ) -> Review:
        """Reviews a pull request: `approved`, `commented` or `changes_requested`."""
        found = self.repository(repository)
        return self.state.add_review(found, self.state.pull(found, number), self.add_user(author), body, state)

    def set_check(
        self,
        repository: str,
        commit: str,
        name: str,
        conclusion: str | None,
        log: str = "",
        *,
        optional: bool = False,
        job_log: bytes | None = None,
    ) -> None:
        """Gives a commit a check, or its end: `success` or `failure`; None while it runs. With `job_log`, it is a job
        of the forge's own builds."""
        found, by = self.repository(repository), self.add_user("ci", is_bot=True)
        held = [run for run in found.check_runs if (run.name, run.head_commit) == (name, commit)]
        run = held[0] if held else self.state.add_check_run(found, by, name, commit)
        run.status, run.conclusion = ("completed" if conclusion else "in_progress"), conclusion
        run.output, run.external_id = {"summary": log}, OPTIONAL if optional else ""
        run.job_log = job_log
        self.state.edited_check_run(found, by, run)

    def edit(self, repository: str, number: int, *, author: str = "ada", **wanted: Any) -> None:
        """Sets `title`, `body`, `state` (`open`, `closed`), and of a pull request `base` and `draft`."""
        found = self.repository(repository)
        self.state.edit(found, self.state.issue(found, number), self.add_user(author), **wanted)

    def label(self, repository: str, number: int, *names: str, author: str = "ada", replace: bool = False) -> None:
        """Gives labels to an issue or pull request; `replace` takes all others away."""
        found = self.repository(repository)
        issue, user = self.state.issue(found, number), self.add_user(author)
        self.state.add_labels(found, issue, user, list(names), replace=replace)

    def assign(self, repository: str, number: int, login: str, *, author: str = "ada") -> None:
        """Assigns an issue to a user."""
        found = self.repository(repository)
        self.state.assign(found, self.state.issue(found, number), self.add_user(author), self.add_user(login))

    def edit_comment(self, repository: str, comment: int, body: str, *, author: str = "ada") -> None:
        self.state.edit_comment(self.repository(repository), comment, self.add_user(author), body)

    def push(self, repository: str, branch: str, commit: str | None, *, author: str = "ada") -> None:
        """Moves a branch to a commit that the repository has, or deletes it, as a push does."""
        found = self.repository(repository)
        before = git.branches(found.path)
        change = (
            ["update-ref", f"refs/heads/{branch}", commit] if commit else ["update-ref", "-d", f"refs/heads/{branch}"]
        )
        git.run(found.path, *change)
        self.state.pushed(found, self.add_user(author), before, git.branches(found.path))

    def merge(self, repository: str, number: int, *, author: str = "ada") -> None:
        """Merges a pull request with a merge commit. Raises `Invalid` on a conflict."""
        found = self.repository(repository)
        self.state.merge(found, self.state.pull(found, number), self.add_user(author))

    # Projects of trackers

    def add_board(self, key: str, *, cloud: bool = True) -> Board:
        """Makes a project of a tracker; its `roles` say who may do what there."""
        return self.state.add_board(key, cloud=cloud)

    def add_ticket(self, board: str, title: str, body: str = "", *, author: str = "ada") -> Ticket:
        return self.state.add_ticket(self.state.board(board), self.add_user(author), title, body)

    def say(self, key: str, body: str, *, author: str = "ada") -> Said:
        """Comments on a ticket of a tracker."""
        return self.state.say(*self.state.ticket(key), self.add_user(author), body)

    def move(self, key: str, status: str, *, author: str = "ada") -> None:
        """Raises `Invalid`."""
        self.state.move(*self.state.ticket(key), self.add_user(author), status)

    # Breaking it

    def add_fault(self, kind: str, **rule: Any) -> Fault:
        """Adds a rule at the end of the list; the fields are those of `Fault`."""
        fault = Fault(kind, **rule)
        self._server.faults.add(fault)
        return fault

    def clear_faults(self) -> None:
        self._server.faults.clear()

    # Webhooks

    def deliver_to(
        self, url: str, secret: str, *, dialect: str = "github", drops: Callable[[Delivery], bool] = lambda _: False
    ) -> Deliveries:
        """From now on sends what happens to `url`, as the service of `dialect` does and signed with `secret`. A
        delivery that `drops` says is lost on the way. May be called again for further receivers."""
        receiver = Deliveries(self.state, self.url, url, secret, dialect, drops)
        self._receivers.append(receiver)
        return receiver

    def _changed(self, *what: Any) -> None:
        for receiver in self._receivers:
            receiver.changed(*what)

    @property
    def deliveries(self) -> list[Delivery]:
        """What was sent so far, with the receivers' status."""
        return [sent for receiver in self._receivers for sent in receiver.sent]

    def wait_for_deliveries(self) -> None:
        """Returns when everything that has happened so far was sent."""
        for receiver in self._receivers:
            receiver.wait()
