"""Sweeps of Bitbucket, which has pull requests and their comments but no issues."""

import random
from typing import Any

import pytest

from assets.context.tickets.apis import APIS, ApiError, Reader
from assets.sweeps.organisations import enrol, register
from core.events import DEFAULT_TEAM
from core.tickets import Service
from tests.assets.sweeps.conftest import COMMANDS, Stage
from tests.forge_arena import REPOSITORY, git

PEOPLE = ("ada", "bob", "eve")
SAID = ("It fails again.", "/penstock retry", "Hm.\n\n/penstock stop\n", "> /penstock stop", "/penstock explain")


@pytest.fixture
def dialect() -> str:
    return "bitbucket"


class History:
    """Random things that happen to pull requests, the same for the same seed."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage, self.random, self.forge = stage, random.Random(seed), stage.arena.forge  # noqa: S311
        self.pulls: list[int] = []
        self.plain: list[int] = []

    def run(self, steps: int) -> None:
        self.open()
        choices = [self.open, self.push, self.edit, self.close, self.edit_comment, *(self.comment,) * 5]
        for _ in range(steps):
            self.random.choice([*choices, *(self.remark,) * 2])()

    def who(self) -> str:
        return self.random.choice(PEOPLE)

    def open(self) -> None:
        branch = f"topic-{len(self.pulls)}"
        self.forge.push(REPOSITORY, branch, self.stage.commit("main", f"pull {self.random.random()}"))
        self.pulls.append(self.forge.add_pull(REPOSITORY, branch, title=f"Change {branch}", author=self.who()).number)

    def push(self) -> None:
        self.forge.push(REPOSITORY, "main", self.stage.commit("main", f"push {self.random.random()}"))

    def edit(self) -> None:
        self.forge.edit(REPOSITORY, self.random.choice(self.pulls), title=f"Edited {self.random.randint(0, 99)}")

    def close(self) -> None:
        number = self.random.choice(self.pulls)
        if self.forge.pull(REPOSITORY, number).state == "open":
            self.forge.edit(REPOSITORY, number, author=self.who(), state="closed")

    def comment(self) -> None:
        text = self.random.choice(SAID)
        made = self.forge.add_comment(REPOSITORY, self.random.choice(self.pulls), text, author=self.who())
        if text == SAID[0]:
            self.plain.append(made.id)

    def edit_comment(self) -> None:
        if self.plain:
            self.forge.edit_comment(REPOSITORY, self.random.choice(self.plain), "Edited.\n\n/penstock stop\n")

    def remark(self) -> None:
        number = self.random.choice(self.pulls)
        remarks = self.forge.pull(REPOSITORY, number).remarks
        thread = self.random.choice(remarks).thread if remarks and self.random.random() < 0.5 else None
        self.forge.add_remark(REPOSITORY, number, "Why?", author=self.who(), path="m.py", thread=thread)


@pytest.mark.parametrize("seed", [1, 2])
def test_half_of_all_deliveries_lost_leads_to_the_same_state(stage: Stage, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    whole, lossy = stage.side(), stage.side(drops=lambda _: chance.random() < 0.5)
    History(stage, seed).run(60)
    stage.arena.forge.wait_for_deliveries()
    assert {one.status for one in whole.receiver.sent} <= {200, 202}
    lost = sum(not one.status for one in lossy.receiver.sent)
    assert lost > 15
    for side in (whole, lossy):
        side.settle()
    assert lossy.differences(whole)
    swept = lossy.sweep()
    assert [(one.error, one.whole, one.problems) for one in swept] == [(None, True, ())] * 2
    lossy.settle()
    assert lossy.differences(whole) == {}
    assert whole.rows(COMMANDS)
    assert lossy.indexed == whole.indexed == stage.head()
    assert [one.stored.missed for one in lossy.sweep()] == [0, 0]
    assert lossy.receiver.resend_lost() == lost
    lossy.settle()
    assert lossy.differences(whole) == {}


def test_with_nothing_lost_a_sweep_finds_nothing(stage: Stage) -> None:
    side = stage.side()
    History(stage, 3).run(40)
    stage.arena.forge.wait_for_deliveries()
    side.settle()
    before = side.state
    assert [(one.stored.missed, one.error) for one in side.sweep()] == [(0, None), (0, None)]
    side.settle()
    assert side.state == before


def test_a_sweep_reads_only_what_has_changed_and_every_page_of_it(stage: Stage) -> None:
    side = stage.side(drops=lambda _: True)
    path = stage.arena.forge.repository(REPOSITORY).path
    for number in range(60):
        git(path, "update-ref", f"refs/heads/topic-{number}", stage.head())
        stage.arena.forge.add_pull(REPOSITORY, f"topic-{number}")
    assert sum(one.stored.missed for one in side.sweep()) == 60
    side.settle()
    stage.clock.catch_up()
    pull = stage.arena.forge.repository(REPOSITORY).pulls[3]
    stage.arena.forge.add_comment(REPOSITORY, pull.number, "/penstock help", author="ada")
    asked = len(stage.arena.forge.requests)
    assert sum(one.stored.missed for one in side.sweep()) == 2, "the pull request has changed too"
    since = [one.path for one in stage.arena.forge.requests[asked:]]
    assert [sum(place in path for path in since) for place in ("/pullrequests?", "/comments?")] == [1, 1]
    assert [key for key, *_ in side.rows(COMMANDS)] == [f"!{pull.iid}"]


@pytest.mark.parametrize(
    "body", [[], {}, {"values": 3}, {"values": ["x"]}, {"values": [], "next": "http://127.0.0.1:9/"}]
)
def test_an_answer_that_is_no_page_of_this_service_is_said(stage: Stage, body: Any) -> None:
    side = stage.side(drops=lambda _: True)
    stage.arena.forge.add_fault("status", path="/pullrequests", status=200, body=body)
    [error] = [one.error for one in side.sweep() if one.place.service == "bitbucket"]
    assert error is not None
    assert "the answer is not" in error or "another host" in error


def test_a_persons_token_reads_too(stage: Stage) -> None:
    headers = APIS[Service.BITBUCKET].headers(f"ada@example.org:{stage.arena.token}")
    with Reader(stage.arena.forge.url, headers, setting="X") as reader:
        assert reader.get("/2.0/user").body["type"] == "app_user"
    nobody = Reader(stage.arena.forge.url, APIS[Service.BITBUCKET].headers(None), setting="X")
    with nobody as reader, pytest.raises(ApiError, match="refuses access"):
        reader.get("/2.0/user")


def test_every_repository_of_a_workspace_becomes_a_source(stage: Stage) -> None:
    for number in range(101):
        stage.arena.forge.add_repository(f"acme/r{number}", stage.arena.folder / "seed" if number == 100 else None)
    side = stage.side(drops=lambda _: True)
    done = enrol(
        side.platform, register(side.platform.database, DEFAULT_TEAM, "acme", "bitbucket", stage.arena.forge.url)
    )
    assert (done.added, done.error) == (("r100",), None)
    assert {reason for _, reason in done.skipped} == {"empty"}
    assert len(done.skipped) == 100
