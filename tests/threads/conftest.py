"""A thread service over a real database, and members of its team."""

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from core.database import Database
from core.events import DEFAULT_TEAM
from threads.model import Push
from threads.service import Member, ThreadService

ResultT = TypeVar("ResultT")
Run = Callable[[Coroutine[Any, Any, ResultT]], ResultT]


def member(name: str, role: str = "operator", team: uuid.UUID = DEFAULT_TEAM) -> Member:
    return Member(team, f"user:{name}", name, role)


ANN, BOB, EVE = member("ann"), member("bob"), member("eve", "viewer")


@pytest.fixture
def run() -> Iterator[Run[Any]]:
    """Runs a coroutine in the one event loop of the test."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def service(run: Run[Any], database: Database) -> Iterator[ThreadService]:
    made = ThreadService(database)
    yield made
    run(made.close())


class Pusher:
    """A client without a replica, which numbers its mutations."""

    def __init__(self, service: ThreadService, run: Run[Any], who: Member) -> None:
        self.service, self.run, self.who = service, run, who
        self.client = uuid.uuid4()
        self.last = 0

    def push(self, *mutations: dict[str, Any], first: int | None = None) -> list[dict[str, Any]]:
        begin = self.last + 1 if first is None else first
        numbered = [{"id": begin + place, **one} for place, one in enumerate(mutations)]
        push = Push.model_validate({"protocol": 1, "client": self.client, "mutations": numbered})
        answer = self.run(self.service.push(self.who, push))
        self.last = max(self.last, answer["last_mutation_id"])
        results: list[dict[str, Any]] = answer["results"]
        return results

    def create(self, title: str = "A thread", **more: Any) -> str:
        thread = str(uuid.uuid4())
        assert self.push({"thread": thread, "kind": "create", "title": title, **more})[0]["status"] == "applied"
        return thread

    def say(self, thread: str, text: str, role: str = "user", **more: Any) -> tuple[str, dict[str, Any]]:
        message = str(uuid.uuid4())
        [result] = self.push(
            {"thread": thread, "kind": "append", "message": message, "role": role, "text": text, **more}
        )
        return message, result


@pytest.fixture
def pusher(service: ThreadService, run: Run[Any]) -> Callable[[Member], Pusher]:
    return lambda who: Pusher(service, run, who)
