"""Questions at tickets: written once, answered by whoever may start work, and ended by people and by time."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from assets.results.conclude import conclude
from assets.results.questions import count_due, days_to_wait
from core import tasks
from core.attempts import Attempt
from core.commands import Command
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM
from core.forge.protocol import ForgeUnavailable
from core.intake import Delivery, TicketIntent, is_known, receive
from core.intents import about_ticket
from core.questions import answer, close_overdue
from core.rules import Kind as RuleKind
from core.rules import Rule, Rules, Signal
from core.states import TaskState
from core.tickets import Service, TicketChange
from core.tickets.record import Comment, Kind, Snapshot
from core.work import Evidence, Execution, Verdict, VerdictKind
from tests.assets.results.conftest import World
from tests.forge_arena import REPOSITORY
from tests.killed_requests import killed_between_requests

QUESTION = "The issue shows no call of the program: which @call fails?"


@dataclass
class Talk:
    """An attempt that asks, and people who answer at its ticket."""

    world: World
    attempt: Attempt
    said: int = 0

    @property
    def key(self) -> str:
        return self.attempt.task.ticket_key or ""

    def ask(self, attempt: Attempt | None = None, days: float | None = None) -> TaskState:
        attempt = attempt or self.attempt
        wait = days_to_wait(self.world.platform, attempt.task, self.world.arena.target) if days is None else days
        return conclude(
            attempt,
            Execution(
                engine="search",
                patch=None,
                evidence=Evidence(sandbox="none"),
                summary=f"Not reproduced. {QUESTION}",
                question=QUESTION,
                seconds=1.0,
            ),
            Verdict(verdict=VerdictKind.FAIL, patch_sha256=None, checks=()),
            message="",
            report="# It\n\nWhat was tried.\n",
            target=self.world.arena.target,
            headline="Unresolved.",
            question_days=wait,
        )

    def intent(self, text: str, author: str = "ada") -> TicketIntent:
        """Of a new comment on the issue."""
        self.said += 1
        user = self.world.arena.forge.add_user(author)
        change = TicketChange(
            service=Service(self.world.arena.dialect),
            project=REPOSITORY,
            key=self.key,
            kind=Kind.ISSUE,
            action="issue_comment.created",
            comment=Comment(
                id=str(self.said),
                body=text,
                author=author,
                author_id=self.world.arena.user_id(user),
                url=f"https://example.org/#{self.said}",
                created_at=datetime.now(UTC),
            ),
        )
        return about_ticket(change)

    def say(self, text: str, author: str = "ada", deliveries: int = 1) -> None:
        """Comments on the issue, and delivers that as the forge's webhooks do."""
        intent = self.intent(text, author)
        for n in range(deliveries):
            self.hear(intent, f"{self.said}-{n}")

    def hear(self, intent: TicketIntent, delivery: str) -> None:
        log = PostgresLog(self.world.platform.database)
        with self.world.platform.database.team(DEFAULT_TEAM) as connection:
            receive(connection, log, DEFAULT_TEAM, Delivery("github", delivery, "issue_comment", b"0" * 32), intent)

    def deliver(self) -> list[tuple[str, str]]:
        """Does what is due, and returns what became of each comment."""
        with self.world.platform.database.system() as connection:
            connection.execute("UPDATE questions SET next_try_at = now() WHERE state = 'pending'")
            connection.execute("UPDATE answers SET next_try_at = now() WHERE state = 'pending'")
            connection.execute("UPDATE commands SET next_try_at = now() WHERE state = 'pending'")
        self.world.deliver()
        with self.world.platform.database.system() as connection:
            return connection.execute("SELECT state, body FROM answers ORDER BY received_at, id").fetchall()  # type: ignore[return-value]

    def task(self) -> tasks.Task:
        with self.world.platform.database.team(DEFAULT_TEAM) as connection:
            return tasks.get_task(connection, self.attempt.task.id)

    def state(self) -> tuple[str, int]:
        task = self.task()
        return task.state, task.attempt

    def claim(self) -> Attempt:
        task = self.task()
        arguments = (self.world.platform.database, DEFAULT_TEAM, task.id, task.attempt)
        return Attempt.claim(*arguments, holder="next", seconds=300, max_claims=3)

    def comments(self) -> list[str]:
        return [text for _, text in self.world.arena.comments(self.key)]


@pytest.fixture
def talk(world: World) -> Talk:
    return Talk(world, world.start())


def test_a_question_is_one_new_comment_however_often_it_is_due(talk: Talk) -> None:
    assert talk.ask() == TaskState.WAITING
    assert talk.state() == ("waiting", 1)
    for _ in range(3):
        with talk.world.platform.database.system() as connection:
            connection.execute("UPDATE questions SET state = 'pending'")
        talk.deliver()
    [said] = talk.comments()
    assert said.startswith(
        "Penstock has a question. The issue shows no call of the program: which @\N{WORD JOINER}call"
    )
    assert "write it in a comment here" in said and "Only people who may start work here are heard" in said
    with talk.world.platform.database.system() as connection:
        [(state, location)] = connection.execute("SELECT state, location FROM questions").fetchall()
        assert (state, str(location).startswith("http")) == ("asked", True)
        assert count_due(connection) == 0


def test_a_status_comment_that_is_there_says_that_penstock_waits(talk: Talk) -> None:
    talk.deliver()
    talk.ask()
    talk.deliver()
    assert [text.partition("\n")[0].partition(".")[0] for text in talk.comments()] == [
        "Penstock has a question about this issue and waits for an answer, in a comment here",
        "Penstock has a question",
    ]


def test_an_answer_delivered_a_hundred_times_starts_one_attempt(talk: Talk) -> None:
    talk.ask()
    talk.deliver()
    talk.say("> Penstock has a question.\n\n`total([1])` gives 2, it should be 1.", deliveries=100)
    for _ in range(3):
        assert talk.deliver() == [("accepted", "`total([1])` gives 2, it should be 1.")]
    task = talk.task()
    assert (task.state, task.attempt, task.starter, task.trusted) == ("queued", 2, "ada", False)
    assert talk.claim().text.body == "ada answers:\n\n`total([1])` gives 2, it should be 1."
    assert talk.state() == ("running", 2)
    with talk.world.platform.database.system() as connection:
        logged = connection.execute("SELECT actor_kind, actor, action FROM audit_log").fetchall()
    assert logged == [("forge", "ada", "task.answer")]


@pytest.mark.parametrize(
    ("text", "author"),
    [
        ("It is 3.", "eve"),
        ("It is 3.", "mallory"),
        ("It is 3.", "helper[bot]"),
        ("It is 3.\n\n<!-- penstock answer=1 -->", "ada"),
        ("> It is 3.", "ada"),
        ("/penstock help", "ada"),
    ],
)
def test_strangers_bots_quotations_and_own_comments_answer_nothing(talk: Talk, text: str, author: str) -> None:
    talk.ask()
    talk.say(text, author)
    assert talk.deliver() in ([], [("ignored", "")])
    assert talk.state() == ("waiting", 1)


def test_anyone_may_answer_where_anyone_may_start_work(talk: Talk) -> None:
    talk.world.settings(who_may_start="anyone")
    talk.ask()
    talk.say("It is 3.", "mallory")
    assert talk.deliver() == [("accepted", "It is 3.")]
    assert talk.state() == ("queued", 2)


def test_two_people_who_answer_before_the_next_run_are_both_heard(talk: Talk) -> None:
    talk.world.arena.forge.grant(REPOSITORY, "carol", "write")
    talk.ask()
    talk.say("It is 3.")
    talk.deliver()
    talk.say("And 4 elsewhere.", "carol")
    assert talk.deliver() == [("accepted", "It is 3."), ("accepted", "And 4 elsewhere.")]
    assert talk.claim().text.body == "ada answers:\n\nIt is 3.\n\ncarol answers:\n\nAnd 4 elsewhere."
    assert talk.state() == ("running", 2)


def test_a_forge_that_is_away_is_asked_again_and_time_does_not_end_the_task_meanwhile(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk.ask()
    talk.say("It is 3.")

    def away(*_: object) -> bool:
        raise ForgeUnavailable("away")

    with monkeypatch.context() as broken:
        broken.setattr("core.forge.hosted.HostedForge.may_write", away)
        assert talk.deliver() == [("pending", "It is 3.")]
    with talk.world.platform.database.system() as connection:
        connection.execute("UPDATE questions SET until = now()")
    assert close_overdue(talk.world.platform.database, talk.world.platform.log, 10) == []
    assert talk.deliver() == [("accepted", "It is 3.")]
    assert talk.state() == ("queued", 2)


@pytest.mark.parametrize(
    ("command", "state"),
    [(Command.STOP, ("cancelled", 1)), (Command.RETRY, ("queued", 2)), (Command.EXPLAIN, ("waiting", 1))],
)
def test_commands_work_while_a_task_waits(talk: Talk, command: Command, state: tuple[str, int]) -> None:
    talk.ask()
    talk.deliver()
    talk.say(f"/penstock {command}")
    talk.deliver()
    assert talk.state() == state
    if command == Command.EXPLAIN:
        assert talk.comments()[-1].startswith("# It\n\nWhat was tried.")


def test_what_a_comment_says_beside_a_retry_is_part_of_that_attempt(talk: Talk) -> None:
    talk.ask()
    talk.say("/penstock retry\n\nIt is 3.")
    assert talk.deliver() == [("accepted", "It is 3.")]
    assert talk.claim().text.body.endswith("ada answers:\n\nIt is 3.")


def test_a_sweep_brings_an_answer_that_no_webhook_did_and_no_other_again(talk: Talk) -> None:
    def known(intent: TicketIntent) -> bool:
        with talk.world.platform.database.team(DEFAULT_TEAM) as connection:
            return is_known(connection, DEFAULT_TEAM, "shop", intent)

    intent = talk.intent("It is 3.")
    talk.ask()
    assert not known(intent)
    talk.hear(intent, "swept")
    assert known(intent)
    assert talk.deliver() == [("accepted", "It is 3.")]


def test_a_question_that_is_answered_before_it_is_written_is_not_written(talk: Talk) -> None:
    talk.ask()
    with talk.world.platform.database.team(DEFAULT_TEAM) as connection:
        answer(connection, talk.world.platform.log, talk.attempt.task.id, "ops", "It is 3.")
        assert count_due(connection) == 0
    talk.deliver()
    assert talk.comments() == []


def test_time_ends_a_task_with_its_report(talk: Talk) -> None:
    talk.ask(days=1e-6)
    talk.deliver()
    assert close_overdue(talk.world.platform.database, talk.world.platform.log, 10) == [talk.attempt.task.id]
    talk.deliver()
    asked, report = (text.partition("\n")[0] for text in talk.comments())
    assert asked.startswith("Penstock has a question.") and report == "# It"
    talk.say("Too late.")
    assert talk.deliver() == []


def test_killed_between_any_two_requests_there_is_one_question(world: World) -> None:
    def new() -> Talk:
        talk = Talk(world, world.start())
        talk.ask()
        return talk

    for number, talk in killed_between_requests(world.arena.forge, new, _deliver_again, least=1):
        assert len(talk.comments()) == 1, number


def test_killed_between_any_two_requests_an_answer_starts_one_attempt(world: World) -> None:
    def new() -> Talk:
        talk = Talk(world, world.start())
        talk.ask()
        talk.hear(talk.intent("It is 3."), str(uuid.uuid4()))
        return talk

    for number, talk in killed_between_requests(world.arena.forge, new, _deliver_again, least=0):
        assert talk.state() == ("queued", 2), number
        assert talk.claim().text.body == "ada answers:\n\nIt is 3.", number


def _deliver_again(talk: Talk) -> None:
    talk.world.platform.database.close()  # not shared between processes
    talk.deliver()


@pytest.mark.parametrize(
    ("change", "waits"),
    [
        (lambda world: None, True),
        (lambda world: world.settings(question_days=0.0), False),
        (lambda world: world.settings(publishing=False), False),
        (lambda world: world.settings(**{f"{world.arena.dialect}_token": None}), False),
    ],
)
def test_a_task_waits_only_where_somebody_can_be_asked(
    talk: Talk, change: Callable[[World], None], waits: bool
) -> None:
    change(talk.world)
    assert talk.ask() == (TaskState.WAITING if waits else TaskState.UNRESOLVED)
    with talk.world.platform.database.system() as connection:
        assert connection.execute("SELECT count(*) FROM publications").fetchone() == (0 if waits else 1,)


def test_a_task_of_the_api_waits_without_a_comment_and_one_about_failed_checks_does_not(world: World) -> None:
    def made(sender: str) -> tasks.Task:
        event = tasks.request_event(DEFAULT_TEAM, f"{sender}:{uuid.uuid4()}", "/x", "shop", title="It fails")
        with world.platform.database.team(DEFAULT_TEAM) as connection:
            identity = tasks.create_task(connection, world.platform.log, event=event, source="shop", title="It fails")
            return tasks.get_task(connection, identity)

    assert days_to_wait(world.platform, made("api"), world.arena.target) == 7.0
    assert days_to_wait(world.platform, made("checks"), world.arena.target) == 0.0
    attempt = world.start(ticket=None)
    talk = Talk(world, attempt)
    assert talk.ask() == TaskState.WAITING
    with world.platform.database.system() as connection:
        assert count_due(connection) == 0
    assert world.arena.forge.repository(REPOSITORY).issues == []


@pytest.mark.parametrize("late", [timedelta(0), timedelta(days=2)], ids=["by a webhook", "by a sweep, days later"])
@pytest.mark.parametrize(
    ("text", "said"),
    [("@penstock the total must be 3", "@penstock the total must be 3"), ("@penstock!", None), ("", None)],
)
def test_what_the_comment_that_starts_a_task_says_is_part_of_it(
    talk: Talk, text: str, said: str | None, late: timedelta
) -> None:
    with talk.world.platform.database.team(DEFAULT_TEAM) as connection:
        tasks.cancel(connection, talk.world.platform.log, talk.attempt.task.id)
    seen = talk.intent(text)
    comment = seen.change.comment
    assert comment is not None and comment.created_at is not None
    written = comment.model_copy(update={"created_at": comment.created_at - late})
    change = seen.change.model_copy(
        update={"ticket": Snapshot(title="It fails", body="See there."), "comment": written}
    )
    signal = Signal(
        mentioned=("penstock",), comment=written.id, actor="ada", actor_id=written.author_id, at=written.created_at
    )
    intent = about_ticket(change, signal=signal, rules=Rules((Rule(RuleKind.MENTIONED, "penstock"),)))
    assert intent.task is not None
    for delivery in ("a", "b"):
        talk.hear(intent, delivery)
    assert talk.deliver() == ([("accepted", said)] if said else [])
    with talk.world.platform.database.team(DEFAULT_TEAM) as connection:
        [(started,)] = connection.execute("SELECT id FROM tasks WHERE state = 'queued'").fetchall()
    database = talk.world.platform.database
    begun = Attempt.claim(database, DEFAULT_TEAM, started, 1, holder="it", seconds=300, max_claims=3)
    assert begun.text.body == (f"See there.\n\nada says:\n\n{said}" if said else "See there.")
