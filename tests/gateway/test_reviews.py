"""What reviews say about Penstock's pull requests, from each forge's own payload."""

import copy
import uuid
from collections.abc import Mapping
from typing import Any

import pytest

from core.follow_ups import Feedback
from core.intake import TicketIntent
from core.rules import read_rules
from gateway import gitea, github, gitlab

TASK = uuid.UUID("11111111-2222-5333-8444-555555555555")
BRANCH = f"penstock/{TASK}"
ADA = {"id": 3, "login": "ada"}


def _github(event: str, action: str, **what: Any) -> tuple[str, dict[str, Any]]:
    pull = {
        "number": 7,
        "title": "Fix: it",
        "state": "open",
        "html_url": "https://example.org/acme/shop/pull/7",
        "head": {"ref": BRANCH},
        "updated_at": "2026-01-02T03:04:05Z",
    }
    repository = {"id": 1, "full_name": "acme/shop", "name": "shop", "owner": {"login": "acme"}}
    return event, {"action": action, "pull_request": pull, "repository": repository, "sender": ADA, **what}


def _remark(**more: Any) -> dict[str, Any]:
    remark = {
        "id": 70,
        "body": "It must be 3.",
        "user": ADA,
        "path": "m.py",
        "line": 4,
        "html_url": "https://e.org/r70",
    }
    return remark | more


def _review(**more: Any) -> dict[str, Any]:
    return {"id": 9, "state": "changes_requested", "body": "Please rename it.", "user": ADA} | more


def _note(**more: Any) -> dict[str, Any]:
    note = {
        "id": 70,
        "note": "It must be 3.",
        "noteable_type": "MergeRequest",
        "type": "DiffNote",
        "author_id": 3,
        "discussion_id": "6a9c1750b37d513a43987b574953fceb50b03ce7",
        "url": "https://e.org/n#note_70",
        "action": "create",
        "position": {"new_path": "m.py", "old_path": "m.py", "new_line": 4, "old_line": None},
    }
    return {
        "object_kind": "note",
        "event_type": "note",
        "user": {"id": 3, "username": "ada"},
        "project": {"id": 1, "path_with_namespace": "acme/shop"},
        "object_attributes": note | more,
        "merge_request": {"iid": 7, "title": "Fix: it", "state": "opened", "source_branch": BRANCH},
    }


def _feedback(service: str, event: str, payload: Mapping[str, Any]) -> Feedback | None:
    if service == "gitlab":
        intent = gitlab.normalise(payload, rules=read_rules((), None))
    else:
        intent = (github if service == "github" else gitea).normalise(event, payload, rules=read_rules((), None))
    assert isinstance(intent, TicketIntent)
    return intent.feedback


def test_a_comment_on_a_line_says_where_and_is_answered_in_its_thread() -> None:
    found = _feedback("github", *_github("pull_request_review_comment", "created", comment=_remark()))
    assert found == Feedback(
        "review-70", BRANCH, "It must be 3.", "ada", "3", "https://e.org/r70", "70", "70", "m.py", 4
    )
    assert found.task_id == TASK
    outdated = _remark(line=None, original_line=2)
    found = _feedback("github", *_github("pull_request_review_comment", "created", comment=outdated))
    assert found is not None
    assert found.line == 2


def test_a_note_on_a_line_is_answered_in_its_discussion() -> None:
    found = _feedback("gitlab", "", _note())
    assert found is not None
    assert (found.thread, found.remark, found.path, found.line) == (
        "6a9c1750b37d513a43987b574953fceb50b03ce7",
        "70",
        "m.py",
        4,
    )
    assert (found.branch, found.author, found.author_id) == (BRANCH, "ada", "3")


def test_the_text_of_a_review_is_answered_in_the_conversation() -> None:
    found = _feedback("github", *_github("pull_request_review", "submitted", review=_review()))
    assert found is not None
    assert (found.body, found.thread) == ("Please rename it.", None)


@pytest.mark.parametrize("kind", ["pull_request_review_rejected", "pull_request_review_comment"])
def test_giteas_reviews_are_the_same_however_often_they_come(kind: str) -> None:
    event, payload = _github("pull_request_comment", "reviewed", review={"type": kind, "content": "It must be 3."})
    found = _feedback("gitea", event, payload)
    assert found is not None
    assert (found.body, found.author, found.thread) == ("It must be 3.", "ada", None)
    assert _feedback("gitea", "pull_request_review_comment", copy.deepcopy(payload)) == found
    payload["pull_request"]["updated_at"] = "2026-01-02T03:04:09Z"
    again = _feedback("gitea", event, payload)
    assert again is not None
    assert again.id != found.id


@pytest.mark.parametrize(
    ("service", "sent"),
    [
        ("github", _github("pull_request_review_comment", "created", comment=_remark(in_reply_to_id=60))),
        ("github", _github("pull_request_review_comment", "edited", comment=_remark())),
        ("github", _github("pull_request_review_comment", "created", comment=_remark(user={"login": "x[bot]"}))),
        ("github", _github("pull_request_review_comment", "created", comment=_remark(user=None))),
        ("github", _github("pull_request_review_comment", "created", comment=_remark(body="<!-- penstock x -->"))),
        ("github", _github("pull_request_review_comment", "created", comment=_remark(body=" \n"))),
        ("github", _github("pull_request_review", "submitted", review=_review(state="approved"))),
        ("github", _github("pull_request_review", "submitted", review=_review(body=None))),
        ("github", _github("pull_request_review", "dismissed", review=_review())),
        ("gitea", _github("pull_request_approved", "reviewed", review={"type": "pull_request_review_approved"})),
        ("gitea", _github("pull_request_comment", "reviewed", review=["odd"])),
        ("gitlab", ("", _note(type="DiscussionNote"))),
        ("gitlab", ("", _note(type=None))),
        ("gitlab", ("", _note(action="update"))),
        ("gitlab", ("", _note(internal=True))),
    ],
)
def test_what_asks_for_nothing_is_no_feedback(service: str, sent: tuple[str, dict[str, Any]]) -> None:
    assert _feedback(service, *sent) is None


@pytest.mark.parametrize("branch", ["main", "penstock/", f"{BRANCH}x", f"x/{BRANCH}", f"penstock/{TASK}-0", None])
def test_other_branches_are_other_peoples_business(branch: str | None) -> None:
    event, payload = _github("pull_request_review_comment", "created", comment=_remark())
    payload["pull_request"]["head"] = {"ref": branch}
    assert _feedback("github", event, payload) is None


@pytest.mark.parametrize("first", [None, 60])
def test_retry_in_a_thread_is_feedback_there(first: int | None) -> None:
    said = _remark(body="/penstock retry\nIt must be 4.", in_reply_to_id=first)
    event, payload = _github("pull_request_review_comment", "created", comment=said)
    intent = github.normalise(event, payload, rules=read_rules((), None))
    assert isinstance(intent, TicketIntent)
    assert intent.commands == ()
    assert intent.feedback is not None
    assert (intent.feedback.body, intent.feedback.thread) == ("It must be 4.", str(first or 70))
    assert intent.feedback.remark == (None if first else "70")


def test_retry_in_a_discussion_is_feedback_there() -> None:
    found = _feedback("gitlab", "", _note(note="/penstock retry\nIt must be 4.", type="DiscussionNote"))
    assert found is not None
    assert (found.body, found.remark) == ("It must be 4.", None)
    assert found.thread == "6a9c1750b37d513a43987b574953fceb50b03ce7"


def test_retry_alone_in_a_thread_is_a_command() -> None:
    event, payload = _github("pull_request_review_comment", "created", comment=_remark(body="/penstock retry"))
    intent = github.normalise(event, payload, rules=read_rules((), None))
    assert isinstance(intent, TicketIntent)
    assert (len(intent.commands), intent.feedback) == (1, None)


def test_a_remark_that_gives_a_command_is_a_command_alone() -> None:
    event, payload = _github("pull_request_review_comment", "created", comment=_remark(body="/penstock stop\nPlease."))
    intent = github.normalise(event, payload, rules=read_rules((), None))
    assert isinstance(intent, TicketIntent)
    assert (len(intent.commands), intent.feedback) == (1, None)
