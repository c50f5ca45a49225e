"""Whatever deliveries are lost, a sweep brings the state that all of them would have brought."""

import random
from typing import Any

import pytest

import assets.sweeps.store
from tests.assets.sweeps.conftest import STARTED, Side, Stage
from tests.forge_arena import REPOSITORY

PEOPLE = ("ada", "bob", "eve")
WORDS = ("the total is wrong", "it fails again", "see the log", "@helper, can you look?", "rounding of discounts")


class History:
    """Random things that happen at the forge, the same for the same seed."""

    def __init__(self, stage: Stage, seed: int, *, again: bool = False) -> None:
        self.stage, self.random = stage, random.Random(seed)  # noqa: S311
        self.forge = stage.arena.forge
        self.again = again
        self.issues: list[int] = []
        self.pulls: list[int] = []
        self.plain: list[tuple[int, int]] = []
        """Comments without commands: (ticket, comment)."""

    def run(self, steps: int) -> None:
        self.open()
        self.push()
        choices = [
            *(self.open,) * 4,
            *(self.label,) * 4,
            *(self.comment,) * 4,
            *(self.command,) * 3,
            *(self.edit_comment, self.edit, self.close, self.push, self.pull, self.assign, self.mention),
        ]
        for _ in range(steps):
            self.random.choice(choices)()

    def who(self) -> str:
        return self.random.choice(PEOPLE)

    def any_ticket(self) -> int:
        return self.random.choice(self.issues + self.pulls)

    def open(self) -> None:
        words = self.random.choice(WORDS)
        labels = self.random.choice(([], [], ["bug"], ["penstock"]))
        made = self.forge.add_issue(REPOSITORY, f"{words} {len(self.issues)}", words, author=self.who(), labels=labels)
        self.issues.append(made.number)

    def label(self) -> None:
        number = self.random.choice(self.issues)
        issue, name = self.forge.issue(REPOSITORY, number), self.random.choice(("penstock", "bug", "later"))
        if name in issue.labels:
            kept = [one for one in issue.labels if one != name]
            self.forge.label(REPOSITORY, number, *kept, author=self.who(), replace=True)
        elif self.again or not any((one.kind, one.name) == ("labeled", name) for one in issue.history):
            self.forge.label(REPOSITORY, number, name, author=self.who())

    def comment(self) -> None:
        number = self.any_ticket()
        made = self.forge.add_comment(REPOSITORY, number, self.random.choice(WORDS), author=self.who())
        self.plain.append((number, made.id))

    def command(self) -> None:
        text = self.random.choice(
            ("/penstock retry", "Hm.\n\n/penstock stop\n", "> /penstock stop", "/penstock explain")
        )
        self.forge.add_comment(REPOSITORY, self.any_ticket(), text, author=self.who())

    def mention(self) -> None:
        self.forge.add_comment(REPOSITORY, self.any_ticket(), "Over to @penstock.", author=self.who())

    def edit_comment(self) -> None:
        if self.plain:
            _, comment = self.random.choice(self.plain)
            self.forge.edit_comment(REPOSITORY, comment, "Edited.\n\n/penstock stop\n")

    def edit(self) -> None:
        self.forge.edit(REPOSITORY, self.random.choice(self.issues), title=f"Edited {self.random.randint(0, 99)}")

    def close(self) -> None:
        number = self.random.choice(self.issues)
        is_open = self.forge.issue(REPOSITORY, number).state == "open"
        self.forge.edit(REPOSITORY, number, author=self.who(), state="closed" if is_open else "open")

    def assign(self) -> None:
        login = self.random.choice(("helper", "bob"))
        self.forge.assign(REPOSITORY, self.random.choice(self.issues), login, author=self.who())

    def push(self) -> None:
        self.forge.push(REPOSITORY, "main", self.stage.commit("main", f"push {self.random.random()}"))

    def pull(self) -> None:
        open_ones = [n for n in self.pulls if self.forge.pull(REPOSITORY, n).state == "open"]
        if open_ones and self.random.random() < 0.5:
            self.forge.edit(REPOSITORY, open_ones[0], state="closed")
            return
        branch = f"topic-{len(self.pulls)}"
        self.forge.push(REPOSITORY, branch, self.stage.commit("main", f"pull {self.random.random()}"))
        self.pulls.append(self.forge.add_pull(REPOSITORY, branch, title=f"Change {branch}", author=self.who()).number)


def _lossy(seed: int) -> Any:
    chance = random.Random(seed)  # noqa: S311
    return lambda _: chance.random() < 0.5


def _tickets_with_tasks(side: Side) -> list[str]:
    return [row[0] for row in side.rows(STARTED)]


RULES = [
    pytest.param({}, False, id="opened"),
    pytest.param({"trigger_label": "penstock"}, False, id="labelled"),
    pytest.param({"start_rules": ("assigned:helper", "mentioned:penstock", "labelled:penstock")}, True, id="several"),
]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("settings", "several"), RULES)
def test_half_of_all_deliveries_lost_leads_to_the_same_state(
    stage: Stage, settings: dict[str, Any], several: bool, seed: int
) -> None:
    whole, lossy = stage.side(**settings), stage.side(drops=_lossy(seed), **settings)
    whole.wait_for_looks()
    history = History(stage, seed, again=several)
    history.run(50)
    stage.arena.forge.wait_for_deliveries()
    assert {one.status for one in whole.receiver.sent} <= {200, 202}
    lost = sum(not one.status for one in lossy.receiver.sent)
    assert lost > 15
    for side in (whole, lossy):
        side.settle()
    whole.look()
    assert lossy.differences(whole)
    swept = lossy.sweep()
    assert [one.error for one in swept] == [None, None]
    assert all(one.whole and not one.problems for one in swept)
    lossy.settle()
    assert lossy.differences(whole) == {}
    assert lossy.indexed == whole.indexed == stage.head()
    assert _tickets_with_tasks(lossy) == _tickets_with_tasks(whole)
    assert _tickets_with_tasks(whole)
    if not several:  # else the event that started the task first depends on what was delivered
        assert lossy.rows(STARTED) == whole.rows(STARTED)
    again = lossy.sweep()
    assert [one.stored.missed for one in again] == [0, 0]
    tasks = lossy.rows(STARTED)
    assert lossy.receiver.resend_lost() == lost
    lossy.settle()
    assert lossy.differences(whole) == {}
    assert lossy.rows(STARTED) == tasks, "a webhook that comes after the sweep starts no other task"


def test_with_nothing_lost_a_sweep_finds_nothing(stage: Stage) -> None:
    side = stage.side(start_rules=("opened", "labelled:penstock", "assigned:helper", "mentioned:penstock"))
    side.wait_for_looks()
    History(stage, 3, again=True).run(40)
    stage.arena.forge.wait_for_deliveries()
    side.settle()
    side.look()
    side.settle()
    before, tasks, deliveries = side.state, side.rows(STARTED), side.rows("SELECT count(*) FROM deliveries")
    assert [(one.stored.missed, one.error) for one in side.sweep()] == [(0, None), (0, None)]
    side.settle()
    assert (side.state, side.rows(STARTED)) == (before, tasks)
    assert side.rows("SELECT count(*) FROM deliveries") == deliveries


class Killed(BaseException):
    """The process ends here."""


def test_a_sweep_that_is_killed_again_and_again_gets_to_the_same_state(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"trigger_label": "penstock"}
    whole, lossy = stage.side(**settings), stage.side(drops=lambda _: True, **settings)
    History(stage, 4).run(40)
    stage.arena.forge.wait_for_deliveries()
    assert not any(one.status for one in lossy.receiver.sent)
    receive, left = assets.sweeps.store.receive, 0

    def one_of_few(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 1:
            raise Killed  # before it is stored; else, after the commit of the one before
        return receive(*arguments, **named)

    monkeypatch.setattr(assets.sweeps.store, "receive", one_of_few)
    kills = 0
    while True:
        left = 5
        try:
            lossy.sweep()
            break
        except Killed:
            kills += 1
            assert kills < 200
    assert kills > 5
    for side in (whole, lossy):
        side.settle()
    assert lossy.differences(whole) == {}
    assert lossy.rows(STARTED) == whole.rows(STARTED)
    assert lossy.indexed == stage.head()
