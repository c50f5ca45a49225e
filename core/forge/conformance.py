"""What every hosted forge must do, as checks that run against a real or fake one. Not for the local forge.

An `Arena` opens the adapter on a repository and does what other people do there. Each check uses tasks and tickets of
its own, so all can run on one repository.
"""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from core.conformance import require
from core.follow_ups import FollowUp
from core.forge.conventions import PLAIN, Conventions
from core.forge.host import Checks, PullState
from core.forge.hosted import HostedForge
from core.forge.protocol import Publication, PublicationRefused
from core.work import GateCheck, Patch, Verdict, VerdictKind

AT_ONCE = 8
Check = Callable[["Arena"], None]


@dataclass(frozen=True)
class SeenPull:
    """A pull request as the forge has it. `title` is without a draft's prefix. `labels` is None if it has none."""

    url: str
    state: PullState
    draft: bool
    title: str
    body: str
    base: str
    labels: tuple[str, ...] | None = ()


@dataclass(frozen=True)
class Remark:
    """The key of a pull request, the forge's id of a comment on a line, and that of its thread; both are None if the
    forge's API has no answers in threads."""

    pull: str
    id: str | None
    thread: str | None


class Arena(Protocol):
    """A repository whose default branch `main` has the file `m.py` with the line `x = 1`."""

    def open(self, conventions: Conventions = PLAIN) -> HostedForge:
        """A new adapter, as another process would open it."""

    def base_commit(self) -> str:
        """The head of `main`."""

    def new_ticket(self) -> str:
        """The key of a new issue."""

    def pulls(self, branch: str) -> list[SeenPull]:
        """All pull requests of a branch."""

    def close(self, branch: str) -> None:
        """A person closes the pull request of a branch."""

    def delete(self, branch: str) -> None:
        """A person deletes a branch."""

    def commit(self, branch: str) -> str:
        """A person commits to a branch, which is made from `main` if there is none; returns the commit."""

    def head(self, branch: str) -> str | None:
        """The head of a branch, or None."""

    def read(self, branch: str, path: str) -> str:
        """A file's content on a branch."""

    def message(self, branch: str) -> str:
        """The message of a branch's last commit."""

    def comments(self, ticket: str) -> list[tuple[str, str]]:
        """Author and text of each comment."""

    def say(self, ticket: str, text: str) -> None:
        """Another person comments."""

    def remark(self, branch: str, text: str) -> Remark:
        """Another person reviews a line of the pull request of a branch."""

    def check(self, branch: str, name: str, passed: bool | None, log: str = "") -> None:
        """The check `name` of the head of a branch has passed or not, or runs still (None)."""

    def remarks(self, said: Remark) -> list[tuple[str, str]]:
        """Author and text of each comment where a remark is answered."""


def publication(arena: Arena, kind: VerdictKind = VerdictKind.PASS, ticket: str | None = None) -> Publication:
    """A new task's proven patch, which makes `x` 2."""
    diff = "diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n"
    patch = Patch(base_commit=arena.base_commit(), diff=diff)
    verdict = Verdict(
        verdict=kind,
        patch_sha256=patch.sha256,
        checks=(GateCheck(name="applies", passed=kind is not VerdictKind.FAIL, detail=""),),
    )
    return Publication(
        task_id=uuid.uuid4(),
        attempt=1,
        title="x is too small",
        message="Fix: x is too small\n\nIt was 1.\n",
        report="# Report\n\nx is 2 now.\n",
        description="x is 2 now.\n",
        patch=patch,
        verdict=verdict,
        when=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        ticket=ticket,
    )


def check_a_patch_becomes_one_pull_request(arena: Arena) -> None:
    wanted = publication(arena)
    url = arena.open().publish(wanted)
    found = arena.pulls(wanted.branch)
    require(len(found) == 1, f"{len(found)} pull requests were made")
    [pull] = found
    require(pull.url == url, f"{url} was returned for {pull.url}")
    require((pull.state, pull.draft, pull.base) == (PullState.OPEN, False, "main"), f"it is {pull}")
    require(pull.title == "Fix: x is too small", f"its title is {pull.title!r}")
    require(str(wanted.task_id) in pull.body and "x is 2 now." in pull.body, f"its text is {pull.body!r}")
    require(arena.read(wanted.branch, "m.py") == "x = 2\n", "the branch does not hold the patch")
    require(arena.open().publish(wanted) == url, "a repeat has another address")
    require(len(arena.pulls(wanted.branch)) == 1, "a repeat made another pull request")


def check_a_draft_is_marked(arena: Arena) -> None:
    wanted = publication(arena, VerdictKind.DRAFT)
    arena.open().publish(wanted)
    [pull] = arena.pulls(wanted.branch)
    require(pull.draft, "the pull request of a draft is not one")
    require(pull.title == "Fix: x is too small", f"its title is {pull.title!r}")


def check_without_a_verdict_nothing_is_published(arena: Arena) -> None:
    good = publication(arena)
    other = Verdict(verdict=VerdictKind.PASS, patch_sha256="0" * 64, checks=good.verdict.checks)
    for bad in (publication(arena, VerdictKind.FAIL), replace(good, verdict=other)):
        try:
            arena.open().publish(bad)
        except PublicationRefused:
            require(arena.head(bad.branch) is None, "a branch was pushed without a verdict")
            continue
        require(False, "a patch without a verdict for its own hash was published")


def check_a_closed_pull_request_stays_closed(arena: Arena) -> None:
    wanted = publication(arena)
    url = arena.open().publish(wanted)
    arena.close(wanted.branch)
    require(arena.open().publish(wanted) == url, "a repeat has another address")
    require([pull.state for pull in arena.pulls(wanted.branch)] == [PullState.CLOSED], "it was opened again")
    arena.delete(wanted.branch)
    require(arena.open().publish(wanted) == url, "a repeat has another address")
    require(arena.head(wanted.branch) is None, "its branch was pushed again")


def check_commits_of_a_person_are_kept(arena: Arena) -> None:
    wanted = publication(arena)
    url = arena.open().publish(wanted)
    theirs = arena.commit(wanted.branch)
    require(arena.open().publish(wanted) == url, "a repeat has another address")
    require(arena.head(wanted.branch) == theirs, "a person's commit was replaced")
    strange = publication(arena)
    theirs = arena.commit(strange.branch)
    try:
        arena.open().publish(strange)
    except PublicationRefused as refusal:
        require(strange.branch in str(refusal), f"the refusal does not name the branch: {refusal}")
    else:
        require(False, "a branch with other commits was taken over")
    require(arena.head(strange.branch) == theirs, "a person's branch was replaced")


def check_many_at_once_make_one(arena: Arena) -> None:
    """For forges that refuse a second pull request of a branch also in the same instant. Gitea does not; the platform
    gives a publication to one process at a time."""
    ticket = arena.new_ticket()
    wanted = publication(arena, ticket=ticket)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        urls = list(pool.map(lambda _: arena.open().publish(wanted), range(AT_ONCE)))
    require(len(set(urls)) == 1, f"{len(set(urls))} addresses were returned")
    require(len(arena.pulls(wanted.branch)) == 1, "several pull requests were made")


def check_a_status_comment_is_edited_in_place(arena: Arena) -> None:
    ticket, task = arena.new_ticket(), uuid.uuid4()
    require(arena.open().note(ticket, task, "Nothing yet.", create=False) is None, "a comment was made")
    first = arena.open().note(ticket, task, "Working.")
    arena.say(ticket, "Thank you.")
    for text in ("Done.", "Done."):
        require(arena.open().note(ticket, task, text) == first, "another comment was written")
    other = arena.open().note(ticket, uuid.uuid4(), "Another task.")
    require(other != first, "another task's comment was edited")
    texts = [text.partition("\n")[0].strip() for _, text in arena.comments(ticket)]
    require(texts == ["Done.", "Thank you.", "Another task."], f"the comments are {texts}")


def check_a_copied_marker_is_not_ours(arena: Arena) -> None:
    ticket, task = arena.new_ticket(), uuid.uuid4()
    arena.open().note(ticket, task, "Working.")
    [(_, ours)] = arena.comments(ticket)
    second = arena.new_ticket()
    arena.say(second, ours)
    arena.open().note(second, task, "Done.")
    texts = [text.partition("\n")[0].strip() for _, text in arena.comments(second)]
    require(texts == ["Working.", "Done."], f"a person's comment was taken for ours: {texts}")


def check_a_report_is_a_comment_of_its_own(arena: Arena) -> None:
    ticket = arena.new_ticket()
    wanted = replace(publication(arena, VerdictKind.FAIL, ticket), patch=None)
    arena.open().note(ticket, wanted.task_id, "Working.")
    url = arena.open().comment(wanted)
    require(arena.open().comment(wanted) == url, "a repeat has another address")
    texts = [text for _, text in arena.comments(ticket)]
    require(len(texts) == 2 and "x is 2 now." in texts[1], f"the comments are {texts}")


def check_long_texts_are_cut(arena: Arena) -> None:
    ticket = arena.new_ticket()
    text = "```text\n" + "a line of output\n" * 80_000 + "```\n"
    wanted = replace(publication(arena, ticket=ticket), description=text, report=text)
    arena.open().publish(wanted)
    [pull] = arena.pulls(wanted.branch)
    require(str(wanted.task_id) in pull.body[-200:], "the marker was cut off")
    url = arena.open().comment(replace(wanted, patch=None))
    require(arena.open().comment(replace(wanted, patch=None)) == url, "a long comment is not found again")


def check_nobody_is_mentioned(arena: Arena) -> None:
    ticket = arena.new_ticket()
    text = "By @everyone and @acme/admins.\n\n```python\n@property\n```\n"
    message = "Fix: #1 of @everyone\n\nBy @everyone.\n"
    wanted = replace(publication(arena, ticket=ticket), description=text, report=text, message=message)
    arena.open().publish(wanted)
    [pull] = arena.pulls(wanted.branch)
    arena.open().comment(replace(wanted, patch=None))
    [(_, comment)] = arena.comments(ticket)
    for name, found in (("title", pull.title), ("text", pull.body), ("comment", comment)):
        require("@everyone" not in found and "@acme" not in found, f"the {name} mentions people: {found!r}")
    require("\n@property\n" in pull.body, "code was changed")
    require("#1" not in pull.title, "the title refers to an issue, which a merge would close")
    said = arena.message(wanted.branch)
    require("@everyone" not in said and "#1" not in said, f"the commit mentions people or closes an issue: {said!r}")


def check_a_follow_up_adds_a_commit(arena: Arena) -> None:
    first = publication(arena)
    url = arena.open().publish(first)
    wanted = follow_up_of(arena, first, url)
    for _ in range(2):
        require(arena.open().publish(wanted) == url, "a follow-up has another address")
        require(arena.read(first.branch, "m.py") == "x = 3\n", "the branch does not hold the follow-up")
    require(len(arena.pulls(first.branch)) == 1, "a follow-up made another pull request")
    require(arena.head(wanted.own_branch) is None, "a follow-up made another branch")
    theirs = arena.commit(first.branch)
    require(arena.open().publish(wanted) == url, "a repeat after a person's commit has another address")
    require(arena.head(first.branch) == theirs, "a person's commit was replaced")
    require(arena.open().comment(replace(wanted, patch=None)) == url, "its report has another address")


def check_commits_pushed_meanwhile_win(arena: Arena) -> None:
    first = publication(arena)
    url = arena.open().publish(first)
    wanted = follow_up_of(arena, first, url)
    theirs = arena.commit(first.branch)
    try:
        arena.open().publish(wanted)
    except PublicationRefused as refusal:
        require(first.branch in str(refusal), f"the refusal does not name the branch: {refusal}")
    else:
        require(False, "a follow-up was published over a person's commit")
    require(arena.head(first.branch) == theirs, "a person's commit was replaced")


def check_a_pull_request_stands_as_it_does(arena: Arena) -> None:
    first = publication(arena)
    forge = arena.open()
    url = forge.publish(first)
    base, branch = arena.base_commit(), first.branch
    pull = arena.remark(branch, "Why 2?").pull
    found = forge.standing(pull, branch, base)
    require((found.url, found.head, found.ours) == (url, arena.head(branch), True), f"it stands as {found}")
    require(forge.standing(f"{pull}9", branch, base).url is None, "another pull request stands for it")
    theirs = arena.commit(branch)
    found = arena.open().standing(pull, branch, base)
    require((found.head, found.ours) == (theirs, False), f"a person's commit counts as ours: {found}")
    arena.close(branch)
    require(arena.open().standing(pull, branch, base).url is None, "a closed pull request stands open")


def check_a_remark_is_answered_once_where_it_was_made(arena: Arena) -> None:
    first = publication(arena)
    arena.open().publish(first)
    said, other = arena.remark(first.branch, "Why 2?"), arena.remark(first.branch, "And here?")
    asked = uuid.uuid4()
    where = arena.open().answer(said.pull, asked, "Since 1 is too small.", said.thread)
    require(arena.open().answer(said.pull, asked, "Since 1 is too small.", said.thread) == where, "it moved")
    texts = [text for _, text in arena.remarks(said)]
    require(sum("Since 1 is too small." in text for text in texts) == 1, f"the answers are {texts}")
    if said.thread is not None and said.id is not None and other.id is not None:
        require(all("Since 1" not in text for _, text in arena.remarks(other)), "another thread was answered")
        forge = arena.open()
        require(forge.begins(said.pull, said.thread, said.id), "a remark does not begin its thread")
        require(not forge.begins(said.pull, said.thread, other.id), "a remark begins another's thread")
        require(forge.begins(said.pull, "0" * len(said.thread), said.id), "a thread that is gone was begun by another")


def check_conventions_are_kept(arena: Arena) -> None:
    wanted = publication(arena)
    kept = Conventions(("Robot", "robot@example.org"), sign_off=True, labels=("penstock", "needs a look"))
    for _ in range(2):
        arena.open(kept).publish(wanted)
    said = arena.message(wanted.branch)
    require("\n\nSigned-off-by: Robot <robot@example.org>" in said, f"the commit is not signed off: {said!r}")
    [pull] = arena.pulls(wanted.branch)
    labels = pull.labels
    require(labels is None or sorted(labels) == ["needs a look", "penstock"], f"its labels are {labels}")
    found = arena.open(kept).standing(None, wanted.branch, arena.base_commit())
    require(found.ours, "its own commit is taken for a person's")


def check_failed_checks_are_those_that_passed_before(arena: Arena) -> None:
    first = publication(arena)
    forge = arena.open()
    forge.publish(first)
    branch, base = first.branch, arena.base_commit()
    head = str(arena.head(branch))
    require(forge.failed_checks(head, base) == Checks(True), "there are checks of a commit without any")
    arena.check(branch, "unit", False, "E  assert 2 == 3")
    arena.check(branch, "build", None)
    require(not forge.failed_checks(head, base).settled, "checks have settled while one runs")
    arena.check(branch, "build", True)
    found = forge.failed_checks(head, base)
    require(found.settled and [one.name for one in found.failed] == ["unit"], f"the failed checks are {found}")
    require("assert 2 == 3" in found.failed[0].log, f"the log is {found.failed[0].log!r}")
    arena.check("main", "unit", False)
    require(forge.failed_checks(head, base) == Checks(True), "a check that fails without the patch counts")
    arena.check("main", "unit", True)


def follow_up_of(arena: Arena, first: Publication, url: str) -> Publication:
    """The next attempt at a task, which makes `x` 3 at its pull request."""
    head = arena.head(first.branch)
    require(head is not None, "there is no branch")
    diff = "diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n@@ -1 +1 @@\n-x = 2\n+x = 3\n"
    patch = Patch(base_commit=str(head), diff=diff)
    verdict = first.verdict.model_copy(update={"patch_sha256": patch.sha256})
    asked = FollowUp("#1", url, first.branch, str(head), "Make it 3.")
    return replace(first, attempt=2, message="Follow-up: x\n", patch=patch, verdict=verdict, follow_up=asked)


CHECKS = (
    check_a_patch_becomes_one_pull_request,
    check_a_draft_is_marked,
    check_without_a_verdict_nothing_is_published,
    check_a_closed_pull_request_stays_closed,
    check_commits_of_a_person_are_kept,
    check_many_at_once_make_one,
    check_a_status_comment_is_edited_in_place,
    check_a_copied_marker_is_not_ours,
    check_a_report_is_a_comment_of_its_own,
    check_long_texts_are_cut,
    check_nobody_is_mentioned,
    check_a_follow_up_adds_a_commit,
    check_commits_pushed_meanwhile_win,
    check_a_pull_request_stands_as_it_does,
    check_a_remark_is_answered_once_where_it_was_made,
    check_failed_checks_are_those_that_passed_before,
    check_conventions_are_kept,
)
