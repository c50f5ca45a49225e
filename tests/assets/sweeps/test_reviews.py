"""Reviews of Penstock's pull requests are heard, whichever of their deliveries are lost."""

import random
import uuid
from typing import Any

import pytest

from core.events import DEFAULT_TEAM
from core.follow_ups import Feedback
from core.intake import Delivery, Target, TicketIntent, receive
from core.reviews import of_gitea_review
from core.tickets import Service, TicketChange
from core.tickets.fields import Person
from core.tickets.record import Kind
from tests.assets.sweeps.conftest import BRANCH, COMMANDS, Rows, Side, Stage, store_publication
from tests.forge_arena import REPOSITORY

FEEDBACK = (
    "SELECT id, task_id, ticket_key, branch, remark, thread, path, line, author, author_id, body, url FROM feedback "
    "ORDER BY id"
)
SAID = ("It must be 3.", "Why?", "/penstock retry\nIt must be 4.", "/penstock explain", "> quoted\n\nNo.", "Thanks!")


@pytest.fixture(params=["github", "gitlab", "gitea", "bitbucket"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class History:
    """Random reviews of Penstock's pull request and of somebody else's, the same for the same seed."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage, self.random, self.forge = stage, random.Random(seed), stage.arena.forge  # noqa: S311
        self.dialect = stage.arena.dialect
        self.pulls = []
        for branch in (BRANCH, "topic"):
            self.forge.push(REPOSITORY, branch, stage.commit("main", branch))
            self.pulls.append(self.forge.add_pull(REPOSITORY, branch, title=f"Change {branch}", author="ada"))

    def run(self, steps: int) -> None:
        reviews = self.dialect in ("github", "gitea")  # elsewhere they have no texts
        choices = [self.comment, *(self.review,) * (3 if reviews else 0), *(self.remark,) * 3]
        for _ in range(steps):
            self.random.choice([one for one in choices if self.dialect != "gitea" or one != self.remark])()

    def who(self) -> str:
        return self.random.choice(("ada", "bob", "eve"))

    def comment(self) -> None:
        self.forge.add_comment(REPOSITORY, self.any(), self.random.choice(SAID), author=self.who())

    def remark(self) -> None:
        """On a line, or in a thread that has begun."""
        number = self.any()
        held = [remark.thread for remark in self.forge.pull(REPOSITORY, number).remarks]
        thread = self.random.choice([None, *held[-2:]])
        text = self.random.choice(SAID)
        self.forge.add_remark(REPOSITORY, number, text, author=self.who(), path="m.py", thread=thread)

    def review(self) -> None:
        state = self.random.choice(("approved", "commented", "changes_requested"))
        text = self.random.choice((*SAID, ""))
        self.forge.add_review(REPOSITORY, self.pulls[0].number, text, author=self.who(), state=state)

    def any(self) -> int:
        return self.random.choice(self.pulls).number


def publish(side: Side, history: History) -> None:
    """What a platform stores when it has published the pull request."""
    arena = history.stage.arena
    store_publication(side.platform, "shop", arena.target, arena._url(history.pulls[0]))


def heard(side: Side) -> Rows:
    return side.rows(FEEDBACK)


@pytest.mark.parametrize("seed", [1, 2])
def test_half_of_all_deliveries_lost_leads_to_the_same_remarks(stage: Stage, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    whole, lossy = stage.side(), stage.side(drops=lambda _: chance.random() < 0.5)
    history = History(stage, seed)
    for side in (whole, lossy):
        publish(side, history)
    history.run(40)
    stage.arena.forge.wait_for_deliveries()
    assert {one.status for one in whole.receiver.sent} <= {200, 202}
    for side in (whole, lossy):
        side.settle()
    assert 0 < len(heard(lossy)) < len(heard(whole))
    swept = lossy.sweep()
    assert [(one.error, one.problems) for one in swept] == [(None, ()), (None, ())]
    lossy.settle()
    assert heard(lossy) == heard(whole)
    assert lossy.differences(whole) == {}
    assert {row[3] for row in heard(whole)} == {BRANCH}
    assert [one.stored.missed for one in lossy.sweep()] == [0, 0]
    lossy.receiver.resend_lost()
    lossy.settle()
    assert heard(lossy) == heard(whole), "a webhook that comes after the sweep brings no other remark"


def test_with_no_delivery_lost_a_sweep_finds_nothing(stage: Stage) -> None:
    side = stage.side()
    history = History(stage, 3)
    publish(side, history)
    history.run(30)
    stage.arena.forge.wait_for_deliveries()
    side.settle()
    before = heard(side)
    assert before
    assert [(one.stored.missed, one.error) for one in side.sweep()] == [(0, None), (0, None)]
    assert heard(side) == before


def test_without_a_single_delivery_remarks_and_commands_are_found(stage: Stage) -> None:
    whole, deaf = stage.side(), stage.side(drops=lambda _: True)
    history = History(stage, 4)
    for side in (whole, deaf):
        publish(side, history)
    history.run(30)
    stage.arena.forge.wait_for_deliveries()
    whole.settle()
    assert heard(deaf) == []
    deaf.sweep()
    assert heard(deaf) == heard(whole)
    assert deaf.rows(COMMANDS) == whole.rows(COMMANDS)


def test_reviews_of_other_pull_requests_are_not_asked_for(stage: Stage) -> None:
    side = stage.side(drops=lambda _: True)
    history = History(stage, 5)
    history.run(10)
    before = len(stage.arena.forge.requests)
    assert all(one.error is None for one in side.sweep())
    asked = [one.path for one in stage.arena.forge.requests[before:]]
    assert asked
    assert not [path for path in asked if "/reviews" in path or "/discussions" in path]
    assert heard(side) == []


@pytest.mark.parametrize("dialect", ["gitea"])
@pytest.mark.parametrize("webhook_first", [True, False])
def test_a_review_of_gitea_is_one_though_webhook_and_api_give_other_times(stage: Stage, webhook_first: bool) -> None:
    from datetime import timedelta

    side = stage.side(drops=lambda _: True)
    history = History(stage, 6)
    publish(side, history)
    at, bob = stage.clock().replace(microsecond=0), Person(id="3", login="bob")
    url = "http://127.0.0.1/pulls/1"

    def review(text: str, *seconds: int) -> Feedback:
        found = of_gitea_review(BRANCH, text, bob, [at + timedelta(seconds=more) for more in seconds], url)
        assert found is not None
        return found

    def hear(feedback: Feedback) -> int:
        key = f"#{history.pulls[0].number}"
        change = TicketChange(
            service=Service.GITEA, project=REPOSITORY, key=key, kind=Kind.PULL_REQUEST, action="pull_request.reviewed"
        )
        intent: Any = TicketIntent(Target(repository=REPOSITORY), change, feedback=feedback)
        with side.platform.database.team(DEFAULT_TEAM) as connection:
            delivery = Delivery("gitea", str(uuid.uuid4()), "review", b"0" * 32)
            receive(connection, side.platform.log, DEFAULT_TEAM, delivery, intent)
        return len(heard(side))

    webhook, api = review("It must be 3.", 2), review("It must be 3.", 0, -900)
    first, second = (webhook, api) if webhook_first else (api, webhook)
    assert hear(first) == hear(second) == hear(first) == 1
    assert hear(review("It must be 4.", 0)) == 2
    assert hear(review("It must be 3.", 60)) == 3
