"""What people say in reviews of Penstock's pull requests: which attempt it becomes, and how it is answered."""

import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest

from assets.results.deliver import deliver
from assets.results.follow_ups import MOST_FOLLOW_UPS, MOST_FOR_CHECKS, count_due
from core import tasks
from core.attempts import Attempt
from core.commands import Command
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM
from core.follow_ups import Feedback
from core.forge.conformance import Remark
from core.forge.protocol import ForgeUnavailable
from core.health.ledger import read_ledger
from core.intake import ChecksIntent, Delivery, Intent, Target, TicketIntent, receive
from core.states import TaskState
from core.tickets import Service, TicketChange
from core.tickets.record import Comment, Kind
from core.work import VerdictKind
from tests.assets.results.conftest import World
from tests.forge_arena import REPOSITORY

MORE = "diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n@@ -1 +1 @@\n-x = 2\n+x = 3\n"


@dataclass
class Review:
    """A published pull request, and people who review it."""

    world: World
    attempt: Attempt
    threads: list[Any] = field(default_factory=list)

    @property
    def branch(self) -> str:
        return f"penstock/{self.attempt.task.id}"

    @property
    def pull(self) -> Any:
        return next(p for p in self.world.arena.forge.repository(REPOSITORY).pulls if p.head == self.branch)

    @property
    def key(self) -> str:
        return self.world.arena.key_of(self.pull)

    def say(self, text: str, author: str = "ada", deliveries: int = 1, **rest: Any) -> None:
        """Reviews a line, and delivers it as the forge's webhooks do."""
        where = self.world.arena.remark(self.branch, text)
        self.threads.append(where)
        self.hear(text, author, deliveries, remark=where.id, thread=where.thread, path="m.py", line=1, **rest)

    def hear(self, text: str, author: str = "ada", deliveries: int = 1, **rest: Any) -> None:
        user = self.world.arena.forge.add_user(author)
        name = str(rest.pop("id", None) or uuid.uuid4())
        said = Feedback(name, rest.pop("branch", self.branch), text, author, self.world.arena.user_id(user), **rest)
        for _ in range(deliveries):
            self._receive(feedback=said)

    def checks_fail(self, head: str | None = None, deliveries: int = 1) -> None:
        """Delivers that checks of the head have failed."""
        arena = self.world.arena
        at = head or str(arena.head(self.branch))
        intent = ChecksIntent(Target(repository=REPOSITORY), arena.dialect, REPOSITORY, self.branch, at)
        for _ in range(deliveries):
            self._receive_intent(intent)

    def command(self, text: str) -> None:
        user = self.world.arena.forge.add_user("ada")
        [pull] = self.world.branch_pulls(self.attempt)
        who = {"author": "ada", "author_id": self.world.arena.user_id(user)}
        comment = Comment(id="1", body=text, **who, url=f"{pull.url}#issuecomment-1")
        self._receive(commands=(Command.RETRY,), comment=comment)

    def _receive(self, comment: Comment | None = None, **rest: Any) -> None:
        change = TicketChange(
            service=Service(self.world.arena.dialect),
            project=REPOSITORY,
            key=self.key,
            kind=Kind.PULL_REQUEST,
            action="review.created",
            comment=comment,
        )
        self._receive_intent(TicketIntent(Target(repository=REPOSITORY), change, **rest))

    def _receive_intent(self, intent: Intent) -> None:
        with self.world.platform.database.team(DEFAULT_TEAM) as connection:
            delivery = Delivery("github", str(uuid.uuid4()), "review", b"0" * 32)
            receive(connection, PostgresLog(self.world.platform.database), DEFAULT_TEAM, delivery, intent)

    def deliver(self) -> list[str]:
        """Delivers once everything has settled, and returns the states of all remarks."""
        with self.world.platform.database.system() as connection:
            connection.execute("UPDATE feedback SET next_try_at = now(), received_at = received_at - interval '1 hour'")
        self.world.deliver()
        with self.world.platform.database.system() as connection:
            return [row[0] for row in connection.execute("SELECT state FROM feedback ORDER BY received_at, id")]

    def task(self) -> tasks.Task:
        with self.world.platform.database.team(DEFAULT_TEAM) as connection:
            return tasks.get_task(connection, self.attempt.task.id)

    def begin(self) -> Attempt:
        """Claims the next attempt."""
        task = self.task()
        arguments = (self.world.platform.database, DEFAULT_TEAM, task.id, task.attempt)
        return Attempt.claim(*arguments, holder="run", seconds=300, max_claims=3)

    def answers(self, number: int = 0) -> list[str]:
        said = [text for author, text in self.world.arena.remarks(self.threads[number]) if author == "penstock-bot"]
        return [text for text in said if "penstock answer=" in text]


@pytest.fixture
def review(world: World) -> Review:
    attempt = world.start()
    world.conclude(attempt)
    world.deliver()
    return Review(world, attempt)


def test_a_remark_becomes_the_next_attempt_on_the_same_branch_and_is_answered_there(
    world: World, review: Review
) -> None:
    review.say("It must be 3.", deliveries=3)
    review.say("And why not 4?")
    assert review.deliver() == ["taken", "taken"]
    task = review.task()
    assert (task.state, task.attempt, task.starter, task.trusted) == (TaskState.QUEUED, 2, "ada", False)
    attempt = review.begin()
    assert attempt.follow_up is not None
    assert (attempt.follow_up.branch, attempt.follow_up.head) == (review.branch, world.arena.head(review.branch))
    assert attempt.text.title == "It fails"
    assert "ada says on m.py, line 1:\n\nIt must be 3." in attempt.text.body
    assert "And why not 4?" in attempt.text.body
    world.conclude(attempt, diff=MORE, base=attempt.follow_up.head)
    review.deliver()
    assert review.deliver() == ["answered", "answered"]
    assert world.arena.read(review.branch, "m.py") == "x = 3\n"
    assert len(world.branch_pulls(review.attempt)) == 1
    assert review.task().state == TaskState.RESOLVED
    answers = review.answers()
    if world.arena.dialect == "gitea":  # both stand in the conversation, and say what they answer
        assert [text.partition("\n")[0] for text in answers] == ["> It must be 3.", "> And why not 4?"]
    else:
        assert len(answers) == len(review.answers(1)) == 1
    commit = world.arena.head(review.branch)
    assert all("The branch has a new commit." in text and f"Commit {commit}." in text for text in answers)
    assert all("worked on 1 other remark too" in text for text in answers)
    assert review.deliver() == ["answered", "answered"]
    assert review.answers() == answers


def test_nothing_found_is_said_in_the_thread_and_leaves_the_pull_request(world: World, review: Review) -> None:
    review.say("It must be 3.")
    review.deliver()
    world.conclude(review.begin(), VerdictKind.FAIL)
    before = world.arena.head(review.branch)
    review.deliver()
    assert review.deliver() == ["answered"]
    assert "Nothing was changed." in review.answers()[0]
    assert world.arena.head(review.branch) == before
    assert review.task().state == TaskState.RESOLVED
    assert world.comments(review.attempt)[-1].startswith("Penstock proposes a patch")


def test_a_failed_attempt_is_said_and_a_retry_goes_on_at_the_pull_request(world: World, review: Review) -> None:
    review.say("It must be 3.")
    review.deliver()
    review.begin().fail("broken")
    assert review.deliver() == ["answered"]
    assert "could not work on this" in review.answers()[0]
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        tasks.retry(connection, PostgresLog(world.platform.database), review.attempt.task.id)
    again = review.begin()
    assert again.follow_up is not None
    assert again.follow_up.branch == review.branch


@pytest.mark.parametrize("author", ["eve", "mallory"])
def test_who_may_not_write_starts_nothing(review: Review, author: str) -> None:
    review.say("Delete everything.", author)
    assert review.deliver() == ["ignored"]
    assert review.task().attempt == 1
    assert review.answers() == []


def test_a_forge_that_cannot_be_asked_starts_nothing_yet(
    review: Review, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    review.say("It must be 3.")
    with monkeypatch.context() as broken:
        broken.setattr(
            "core.forge.hosted.HostedForge.may_write",
            lambda *_: (_ for _ in ()).throw(ForgeUnavailable("away")),
        )
        assert review.deliver() == ["pending"]
        assert review.task().attempt == 1
    assert review.deliver() == ["taken"]


def test_remarks_wait_until_no_more_come(world: World, review: Review) -> None:
    review.say("It must be 3.")
    assert deliver(world.platform).followed == []
    assert review.deliver() == ["taken"]


def test_remarks_wait_for_the_attempt_that_is_under_way(world: World, review: Review) -> None:
    review.say("It must be 3.")
    review.deliver()
    attempt = review.begin()
    review.say("And 4.")
    assert review.deliver() == ["taken", "pending"]
    world.conclude(attempt, VerdictKind.FAIL)
    review.deliver()
    assert review.deliver() == ["answered", "taken"]
    assert review.task().attempt == 3


def test_a_branch_with_a_persons_commit_is_left_to_them(world: World, review: Review) -> None:
    theirs = world.arena.commit(review.branch)
    review.say("It must be 3.")
    assert review.deliver() == ["answered"]
    assert "leaves it alone" in review.answers()[0]
    assert review.task().attempt == 1
    assert world.arena.head(review.branch) == theirs


def test_a_persons_push_during_the_work_wins(world: World, review: Review) -> None:
    review.say("It must be 3.")
    review.deliver()
    attempt = review.begin()
    theirs = world.arena.commit(review.branch)
    assert attempt.follow_up is not None
    world.conclude(attempt, diff=MORE, base=attempt.follow_up.head)
    review.deliver()
    assert review.deliver() == ["answered"]
    assert world.arena.head(review.branch) == theirs
    assert "was not added to the branch" in review.answers()[0]


def test_a_closed_pull_request_takes_no_remarks(world: World, review: Review) -> None:
    review.say("It must be 3.")
    world.arena.close(review.branch)
    assert review.deliver() == ["ignored"]
    assert review.task().attempt == 1


def test_an_answer_in_a_thread_that_has_begun_is_conversation(world: World, review: Review) -> None:
    if world.arena.dialect == "gitea":
        pytest.skip("Gitea's webhooks have no answers in threads")
    where = world.arena.remark(review.branch, "Why?")
    review.hear("Thanks!", remark="999", thread=where.thread)
    assert review.deliver() == ["ignored"]


def test_only_branches_of_the_sources_own_tasks_count(review: Review) -> None:
    for branch in ("main", "penstock/x", f"penstock/{uuid.uuid4()}"):
        review.hear("Hello.", branch=branch)
    assert review.deliver() == []


def test_retry_on_the_pull_request_takes_what_the_comment_says(world: World, review: Review) -> None:
    review.command("/penstock retry\nIt must be 3.")
    review.deliver()
    assert review.deliver() == ["taken"]
    attempt = review.begin()
    assert attempt.follow_up is not None
    assert "ada says:\n\nIt must be 3." in attempt.follow_up.request
    assert "/penstock" not in attempt.follow_up.request


def test_retry_without_more_asks_what_should_change(world: World, review: Review) -> None:
    review.command("/penstock retry")
    assert review.deliver() == []
    [(_, said)] = world.arena.remarks(Remark(review.key, None, None))
    assert said.startswith("What should be different?")
    assert review.task().attempt == 1


def test_follow_ups_are_bounded(world: World, review: Review) -> None:
    with world.platform.database.system() as connection:
        connection.execute(
            "INSERT INTO follow_ups SELECT %s, %s, n, '#1', 'u', 'b', 'h', 'r' FROM generate_series(100, %s) AS n",
            (DEFAULT_TEAM, review.attempt.task.id, 99 + MOST_FOLLOW_UPS),
        )
    review.say("It must be 3.")
    assert review.deliver() == ["answered"]
    assert f"has had {MOST_FOLLOW_UPS} follow-ups" in review.answers()[0]
    assert review.task().attempt == 1


def test_a_held_follow_up_is_added_once_approved(world: World, review: Review) -> None:
    world.settings(approval="all")
    review.say("It must be 3.")
    review.deliver()
    attempt = review.begin()
    assert attempt.follow_up is not None
    world.conclude(attempt, diff=MORE, base=attempt.follow_up.head)
    review.deliver()
    assert review.deliver() == ["answered"]
    assert "waits for approval" in review.answers()[0]
    assert world.arena.read(review.branch, "m.py") == "x = 2\n"
    review.command("/penstock approve")
    with world.platform.database.system() as connection:
        connection.execute("UPDATE commands SET command = 'approve'")
    review.deliver()
    assert world.arena.read(review.branch, "m.py") == "x = 3\n"


def test_failed_checks_become_an_attempt_with_their_log(world: World, review: Review) -> None:
    world.arena.check(review.branch, "unit", False, "E  assert 2 == 3")
    world.arena.check(review.branch, "build", True)
    review.checks_fail(deliveries=3)
    assert review.deliver() == ["taken"]
    task = review.task()
    assert (task.attempt, task.starter, task.trusted) == (2, "ada", False)
    attempt = review.begin()
    assert "The check 'unit' fails" in attempt.text.body
    assert "assert 2 == 3" in attempt.text.body
    assert attempt.follow_up is not None
    world.conclude(attempt, diff=MORE, base=attempt.follow_up.head)
    review.deliver()
    assert review.deliver() == ["answered"]
    assert world.arena.read(review.branch, "m.py") == "x = 3\n"
    [(_, said)] = world.arena.remarks(Remark(review.key, None, None))
    assert said.startswith("> The check 'unit' fails")


def test_checks_wait_until_all_have_ended(world: World, review: Review) -> None:
    world.arena.check(review.branch, "unit", False)
    world.arena.check(review.branch, "build", None)
    review.checks_fail()
    assert review.deliver() == ["pending"]
    world.arena.check(review.branch, "build", True)
    assert review.deliver() == ["taken"]


def test_checks_that_fail_without_the_patch_or_have_passed_since_start_nothing(world: World, review: Review) -> None:
    world.arena.check(review.branch, "unit", False)
    world.arena.check("main", "unit", False)
    review.checks_fail()
    assert review.deliver() == ["ignored"]
    assert review.task().attempt == 1


def test_checks_of_another_head_or_a_persons_commit_start_nothing(world: World, review: Review) -> None:
    world.arena.forge.set_check(REPOSITORY, "0" * 40, "unit", "failure")
    review.checks_fail(head="0" * 40)
    assert review.deliver() == ["ignored"]
    world.arena.commit(review.branch)
    world.arena.check(review.branch, "unit", False)
    review.checks_fail()
    assert review.deliver() == ["ignored", "ignored"]
    assert world.arena.remarks(Remark(review.key, None, None)) == []


def test_failed_checks_are_followed_a_few_times_until_a_person_asks(world: World, review: Review) -> None:
    with world.platform.database.system() as connection:
        connection.execute(
            "INSERT INTO follow_ups SELECT %s, %s, n, '#1', 'u', 'b', 'h', 'r' FROM generate_series(100, %s) AS n",
            (DEFAULT_TEAM, review.attempt.task.id, 99 + MOST_FOR_CHECKS),
        )
    world.arena.check(review.branch, "unit", False)
    review.checks_fail()
    assert review.deliver() == ["answered"]
    [(_, said)] = world.arena.remarks(Remark(review.key, None, None))
    assert f"followed up on failed checks {MOST_FOR_CHECKS} times" in said
    review.say("Then make it 3.")
    assert review.deliver() == ["answered", "taken"]


def test_a_request_on_a_pull_request_that_is_closed_meanwhile_is_answered(world: World, review: Review) -> None:
    review.command("/penstock retry\nIt must be 3.")
    world.arena.close(review.branch)
    review.deliver()
    assert review.deliver() == ["answered"]
    [(_, said)] = world.arena.remarks(Remark(review.key, None, None))
    assert "The pull request is not open" in said
    assert review.task().attempt == 1


def test_a_pull_request_stands_in_the_ledger_after_a_follow_up_that_was_refused(world: World, review: Review) -> None:
    review.say("It must be 3.")
    review.deliver()
    attempt = review.begin()
    world.arena.commit(review.branch)
    assert attempt.follow_up is not None
    world.conclude(attempt, diff=MORE, base=attempt.follow_up.head)
    review.deliver()
    with world.platform.database.system() as connection:
        task = review.attempt.task
        connection.execute(
            "INSERT INTO deliveries (team_id, id, kind, state, task_id, body_sha256) "
            "VALUES (%s, 'x:1', 'k', 'task', %s, '')",
            (DEFAULT_TEAM, task.id),
        )
        assert read_ledger(connection).outcomes == {"changes": 1, "published": 1}
    assert world.comments(review.attempt)[-1].startswith("Penstock proposes a patch")


def test_what_is_due_is_counted_for_the_sensor(world: World, review: Review) -> None:
    def due() -> int:
        with world.platform.database.system() as connection:
            return count_due(connection)

    def pass_time() -> None:
        with world.platform.database.system() as connection:
            connection.execute("UPDATE feedback SET next_try_at = now(), received_at = received_at - interval '1 hour'")

    review.say("It must be 3.")
    review.say("And 4.")
    assert due() == 0  # not settled
    pass_time()
    assert due() == 1  # one pull request
    review.deliver()
    attempt = review.begin()
    assert due() == 0
    world.conclude(attempt, VerdictKind.FAIL)
    assert due() == 0  # its report is about to be published
    world.deliver()
    pass_time()
    assert due() == 0  # both are answered
    assert review.deliver() == ["answered", "answered"]


def test_remarks_of_an_attempt_that_failed_are_due(world: World, review: Review) -> None:
    review.say("It must be 3.")
    review.deliver()
    review.begin().fail("broken")
    with world.platform.database.system() as connection:
        assert count_due(connection) == 1
