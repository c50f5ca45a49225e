"""Webhooks in GitHub's form: `issues`, `issue_comment`, `pull_request`, `push` and those of reviews, signed, in order,
from one thread.

A delivery that fails is not repeated, as on GitHub.
"""

import hashlib
import hmac
import json
import queue
import threading
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from typing import Any

from deploy.fake_forge import git, github_shapes, reviews
from deploy.fake_forge.records import Comment, Issue, Pull, Repository, User
from deploy.fake_forge.state import State

SECONDS = 10
_NOTHING = "0" * 40


@dataclass
class Delivery:
    event: str
    action: str
    id: str
    payload: dict[str, Any] = field(repr=False)
    status: int = 0
    """Of the receiver's answer; 0 if none came."""


class Deliveries:
    """Sends to one receiver at `target`. `sent` holds each delivery once the receiver has answered or failed."""

    def __init__(self, state: State, url: str, target: str, secret: str) -> None:
        self.state, self.url, self.target, self._secret = state, url, target, secret.encode()
        self.sent: list[Delivery] = []
        self._queue: queue.Queue[Delivery | None] = queue.Queue()
        self._thread = threading.Thread(target=self._send_all, daemon=True)
        self._thread.start()

    def changed(self, event: str, action: str, repository: Repository, user: User, what: dict[str, Any]) -> None:
        """Called by the state, under its lock."""
        payload: dict[str, Any] = {"action": action} if action else {}
        payload |= self._payload(repository, user, what)
        payload |= {
            "repository": github_shapes.repository(self.url, repository, self._owner(repository), "read"),
            "sender": github_shapes.user(self.url, user),
        }
        self._queue.put(Delivery(event, action, str(uuid.uuid4()), payload))

    def _owner(self, repository: Repository) -> User:
        return self.state.add_user(repository.owner)

    def _payload(self, repository: Repository, user: User, what: dict[str, Any]) -> dict[str, Any]:
        if "branch" in what:
            return self._push(repository, user, what)
        shown: dict[str, Any] = {}
        issue: Issue | None = what.get("issue")
        comment: Comment | None = what.get("comment")
        pull: Pull | None = what.get("pull_request")
        if pull:
            shown["number"] = pull.number
            shown["pull_request"] = github_shapes.pull(self.url, repository, self._owner(repository), pull)
        if issue:
            shown["issue"] = github_shapes.issue(self.url, repository, issue)
        if label := what.get("label"):
            shown["label"] = github_shapes.label(self.url, repository, label)
        if pull and (remark := what.get("remark")):
            shown["comment"] = reviews.comment(self.url, repository, pull, remark)
        if pull and (review := what.get("review")):
            shown["review"] = reviews.review(self.url, repository, pull, review)
        if issue and comment:
            shown["comment"] = github_shapes.comment(self.url, repository, issue, comment)
        return shown

    def _push(self, repository: Repository, user: User, what: dict[str, Any]) -> dict[str, Any]:
        before, after = what["before"] or _NOTHING, what["after"] or _NOTHING
        head = git.commit(repository.path, after) if what["after"] else None
        commit = head and {
            "id": head.sha,
            "tree_id": head.tree,
            "message": head.message,
            "timestamp": head.date,
            "url": f"{self.url}/{repository.full_name}/commit/{head.sha}",
            "author": {"name": head.author, "email": head.email},
            "committer": {"name": head.author, "email": head.email},
            **{name: [] for name in ("added", "removed", "modified")},
        }
        return {
            "ref": f"refs/heads/{what['branch']}",
            "before": before,
            "after": after,
            "created": what["before"] is None,
            "deleted": what["after"] is None,
            "forced": False,
            "base_ref": None,
            "compare": f"{self.url}/{repository.full_name}/compare/{before[:12]}...{after[:12]}",
            "commits": [commit] if commit else [],
            "head_commit": commit,
            "pusher": {"name": user.login, "email": f"{user.login}@users.invalid"},
        }

    def wait(self) -> None:
        """Returns when everything that has happened so far is sent."""
        self._queue.join()

    def stop(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _send_all(self) -> None:
        while (delivery := self._queue.get()) is not None:
            try:
                delivery.status = self._send(delivery)
            finally:
                self.sent.append(delivery)
                self._queue.task_done()
        self._queue.task_done()

    def _send(self, delivery: Delivery) -> int:
        body = json.dumps(delivery.payload).encode()
        request = urllib.request.Request(  # noqa: S310  the program that runs the forge names the address
            self.target,
            data=body,
            headers={
                "Content-Type": "application/json",
                "User-Agent": "GitHub-Hookshot/fake",
                "X-GitHub-Event": delivery.event,
                "X-GitHub-Delivery": delivery.id,
                "X-Hub-Signature-256": "sha256=" + hmac.new(self._secret, body, hashlib.sha256).hexdigest(),
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0
