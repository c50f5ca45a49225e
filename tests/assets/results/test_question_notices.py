"""A question is told by callback and by mail while it waits, once, and not after it was answered."""

import json
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM
from core.questions import answer
from core.states import TaskState
from tests.assets.results.conftest import World
from tests.assets.results.test_callback import KEYS, Receiver
from tests.assets.results.test_questions import QUESTION, Talk
from tests.smtp_server import SmtpServer

pytestmark = pytest.mark.parametrize("world", ["gitea"], indirect=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.stop()


def told(world: World, server: SmtpServer, receiver: Receiver) -> Talk:
    world.settings(
        mail_server=SecretStr(f"smtp://127.0.0.1:{server.port}"),
        mail_from="penstock@example.org",
        mail_to=("ada@example.org",),
        callback_url=f"{receiver.url}/penstock",
        callback_secret=SecretStr(",".join(KEYS)),
    )
    world.deliver()
    return Talk(world, world.start())


def test_a_question_is_told_once_with_how_to_answer(world: World, server: SmtpServer, receiver: Receiver) -> None:
    talk = told(world, server, receiver)
    assert talk.ask() == TaskState.WAITING
    for _ in range(3):
        talk.deliver()
    [received] = server.received
    text = received.message.get_content()
    assert received.message["Subject"] == "[Penstock] shop: It fails - waits for an answer"
    assert QUESTION in text and f"penstock task answer {talk.attempt.task.id} TEXT" in text
    [posted] = receiver.bodies()
    assert posted["type"] == "penstock.task.waiting" and posted["data"]["state"] == "waiting"
    assert posted["data"]["ticket"]["key"] == talk.key
    assert QUESTION not in json.dumps(posted)


def test_a_question_that_was_answered_first_is_not_told(world: World, server: SmtpServer, receiver: Receiver) -> None:
    talk = told(world, server, receiver)
    talk.ask()
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        answer(connection, PostgresLog(world.platform.database), talk.attempt.task.id, "ada", "f(3) fails")
    for _ in range(3):
        talk.deliver()
    assert server.received == [] and receiver.bodies() == []
