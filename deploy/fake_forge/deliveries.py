"""Webhooks in the form of one dialect, signed, in order, from one thread for each receiver.

A delivery that fails is not repeated, as on GitHub.
"""

import json
import queue
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from deploy.fake_forge import bitbucket_hooks, gitea_hooks, github_hooks, gitlab_hooks
from deploy.fake_forge.records import Repository, User
from deploy.fake_forge.state import State

SECONDS = 10
_DIALECTS: dict[str, Any] = {
    "github": github_hooks,
    "gitlab": gitlab_hooks,
    "gitea": gitea_hooks,
    "bitbucket": bitbucket_hooks,
}


@dataclass
class Delivery:
    event: str
    action: str
    id: str
    payload: dict[str, Any] = field(repr=False)
    status: int = 0
    """Of the receiver's answer; 0 if none came, or the delivery was lost on the way."""


class Deliveries:
    """Sends to one receiver at `target`. `sent` holds each delivery once the receiver has answered or failed, also one
    that `drops` had lost on the way."""

    def __init__(
        self,
        state: State,
        url: str,
        target: str,
        secret: str,
        dialect: str = "github",
        drops: Callable[[Delivery], bool] = lambda _: False,
    ) -> None:
        self.state, self.url, self.target, self._secret = state, url, target, secret
        self._dialect, self._drops = _DIALECTS[dialect], drops
        self.sent: list[Delivery] = []
        self._queue: queue.Queue[Delivery | None] = queue.Queue()
        self._thread = threading.Thread(target=self._send_all, daemon=True)
        self._thread.start()

    def changed(self, event: str, action: str, repository: Repository, user: User, what: dict[str, Any]) -> None:
        """Called by the state, under its lock."""
        owner = self.state.add_user(repository.owner)
        named, payload = self._dialect.message(self.url, event, action, repository, owner, user, what)
        self._queue.put(Delivery(named, action, str(uuid.uuid4()), payload))

    def wait(self) -> None:
        """Returns when everything that has happened so far is sent."""
        self._queue.join()

    def resend_lost(self) -> int:
        """Sends again what did not arrive, as a person can have it done at the forge; returns how many there were."""
        lost = [delivery for delivery in self.sent if not delivery.status]
        for delivery in lost:
            delivery.status = self._send(delivery)
        return len(lost)

    def stop(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _send_all(self) -> None:
        while (delivery := self._queue.get()) is not None:
            try:
                delivery.status = 0 if self._drops(delivery) else self._send(delivery)
            finally:
                self.sent.append(delivery)
                self._queue.task_done()
        self._queue.task_done()

    def _send(self, delivery: Delivery) -> int:
        body = json.dumps(delivery.payload).encode()
        headers = self._dialect.headers(delivery.event, delivery.id, body, self._secret)
        request = urllib.request.Request(  # noqa: S310  the program that runs the forge names the address
            self.target, data=body, headers={"Content-Type": "application/json", **headers}
        )
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0
