"""What a review says about one of Penstock's pull requests, from forges' webhooks and APIs. Pure functions.

A remark that begins a thread, and the text of a review that does not approve, ask for a follow-up. What is said in a
thread that has begun is conversation, unless it has a line `/penstock retry`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from core.commands import Command, find_commands, is_own, without_commands
from core.follow_ups import Feedback, task_of
from core.intents import is_bot
from core.payload import BadField, parse
from core.tickets import bitbucket, gitlab
from core.tickets.fields import Person
from core.tickets.github import (
    IssueDelivery,
    PullRequestDelivery,
    Remark,
    ReviewCommentDelivery,
    ReviewDelivery,
    UnnumberedReviewDelivery,
)

_ASKING = ("commented", "changes_requested")
_ASKING_OF_GITEA = ("pull_request_review_comment", "pull_request_review_rejected")
MOST_PATH = 1024
_APART = 5
"""Seconds between two times that Gitea gives for the same review."""


def review_of(delivery: IssueDelivery | PullRequestDelivery, payload: Mapping[str, Any]) -> Feedback | None:
    """The remark that a delivery of GitHub or Gitea reports, if it asks for something."""
    if isinstance(delivery, IssueDelivery):
        return None
    branch = (delivery.pull_request.head and delivery.pull_request.head.ref) or ""
    if isinstance(delivery, ReviewCommentDelivery) and delivery.action == "created":
        return of_github_remark(branch, delivery.comment)
    if isinstance(delivery, ReviewDelivery):
        return of_github_review(branch, delivery.review) if delivery.action == "submitted" else None
    if delivery.action == "reviewed":
        return _unnumbered(branch, delivery, payload)
    return None


def of_github_remark(branch: str, remark: Remark) -> Feedback | None:
    """A comment of GitHub on a line."""
    first = remark.in_reply_to_id
    if first is not None and not _retries(remark.body):
        return None
    return _asked(
        branch,
        remark.body,
        remark.user,
        id=f"review-{remark.id}",
        url=remark.html_url,
        remark=None if first else str(remark.id),
        thread=str(first or remark.id),
        path=_short(remark.path),
        line=remark.line or remark.original_line,
    )


def of_github_review(branch: str, review: Remark) -> Feedback | None:
    """The text of a review of GitHub."""
    if (review.state or "").lower() not in _ASKING:
        return None
    return _asked(branch, review.body, review.user, id=f"whole-review-{review.id}", url=review.html_url)


def _unnumbered(branch: str, delivery: PullRequestDelivery, payload: Mapping[str, Any]) -> Feedback | None:
    try:
        review = parse(UnnumberedReviewDelivery, payload).review
    except BadField:
        return None
    if review is None or review.type not in _ASKING_OF_GITEA:
        return None
    pull = delivery.pull_request
    return of_gitea_review(branch, review.content, delivery.sender, (pull.updated_at,), pull.html_url)


def of_gitea_review(
    branch: str, text: str | None, who: Person | None, times: Sequence[datetime | None], url: str | None
) -> Feedback | None:
    """A review of Gitea, whose webhooks give it no id: known by its author, its text and about when it was written,
    which is any of `times`: webhooks have the time of the pull request's change, the API those of the review, seconds
    apart."""
    known = [when for when in times if when is not None]
    moments = [when + timedelta(seconds=more) for when in known for more in range(-_APART, _APART + 1)]

    def named(when: datetime | None) -> str:
        said = f"{who and who.id} {when and when.astimezone(UTC).isoformat()} {text}"
        return f"review-{hashlib.sha256(said.encode('utf-8', 'replace')).hexdigest()}"

    own = named(known[0] if known else None)
    others = tuple(dict.fromkeys(name for name in map(named, moments) if name != own))
    return _asked(branch, text, who, id=own, also=others, url=url)


def note_of(payload: Mapping[str, Any]) -> Feedback | None:
    """The remark about code that a delivery of GitLab about a note reports."""
    try:
        delivery = parse(gitlab.NoteDelivery, payload)
    except BadField:
        return None
    note, request = delivery.object_attributes, delivery.merge_request
    hidden = delivery.event_type == "confidential_note"
    if request is None or hidden or note.action not in (None, "create"):
        return None
    return of_gitlab_note(request.source_branch or "", note, delivery.user, note.discussion_id)


def of_gitlab_note(branch: str, note: gitlab.Note, author: Person | None, thread: str | None) -> Feedback | None:
    """The remark about code that a note of GitLab in a discussion is."""
    text = note.note or note.body
    retries = _retries(text)
    of_code = note.type == "DiffNote" or (retries and note.type == "DiscussionNote")
    if note.internal or note.confidential or note.system or not of_code:
        return None
    place = note.position or gitlab.Position()
    return _asked(
        branch,
        text,
        author,
        id=f"note-{note.id}",
        url=note.url,
        remark=None if retries else str(note.id),
        thread=thread,
        path=_short(place.new_path or place.old_path),
        line=place.new_line or place.old_line,
    )


def of_bitbucket_remark(branch: str, remark: bitbucket.Remark) -> Feedback | None:
    """The remark about code that a comment of Bitbucket is."""
    answers, place = remark.parent, remark.inline or bitbucket.Inline()
    retries = _retries(remark.body)
    if remark.deleted or remark.pending or not (retries if answers else remark.inline):
        return None
    user = remark.user
    return _asked(
        branch,
        remark.body,
        Person(login=user.called, id=user.id) if user else None,
        id=f"comment-{remark.id}",
        url=remark.links and remark.links.page,
        remark=None if answers or retries else str(remark.id),
        thread=str(answers.id if answers else remark.id),
        path=_short(place.path),
        line=place.to or place.old,
    )


def _retries(body: str | None) -> bool:
    """Whether a remark asks for an attempt with a command, which also counts in a thread that has begun."""
    return find_commands(body or "") == (Command.RETRY,)


def _asked(branch: str, body: str | None, author: Person | None, **rest: Any) -> Feedback | None:
    said = (body or "").strip()
    if _retries(said):
        said = without_commands(said)
    if not said or is_own(said) or task_of(branch) is None or author is None or not author.called:
        return None
    if is_bot(author.called):
        return None
    return Feedback(branch=branch, body=said, author=author.called, author_id=author.id, **rest)


def _short(path: str | None) -> str | None:
    return path[:MOST_PATH] if path else None
