"""What people say in reviews of Penstock's own pull requests, by each service's API.

The lists that a sweep reads show comments, but neither what they are about nor the texts of whole reviews. Only pull
requests that Penstock has published are looked at, one by one, and only when something in them has changed.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from psycopg import Connection
from psycopg.rows import TupleRow

from assets.context.tickets.apis import ApiError, Reader
from assets.context.tickets.apis.bitbucket import values_of
from assets.sweeps.pages import MOST_PAGES, all_pages
from assets.sweeps.places import Place
from core.follow_ups import Feedback
from core.forge.protocol import own_branch
from core.payload import Moment, Objects, Payload, parse
from core.reviews import of_bitbucket_remark, of_gitea_review, of_github_remark, of_github_review, of_gitlab_note
from core.tickets import Comment, Service, bitbucket, gitlab
from core.tickets.fields import Body, Name, Person
from core.tickets.github import Remark

MOST_PULLS = 500
"""The newest of a source."""
FOLLOWED_DAYS = 180
_NUMBER = re.compile(r".*/(?:pulls?|merge_requests|pull-requests)/([1-9]\d{0,11})")
_BY_EXCLAMATION = (Service.GITLAB, Service.BITBUCKET)


@dataclass(frozen=True)
class OwnPull:
    """A pull request that Penstock has published: the number of the forge, its branch and its address."""

    number: str
    branch: str
    url: str


@dataclass(frozen=True)
class Said:
    """Something that a review says. `comment` is the id of the comment that it is in lists of comments, else `whole`
    is the review as a comment, if webhooks report it so. `feedback` is what it asks for, `at` when it was written."""

    feedback: Feedback | None
    at: datetime | None
    comment: str | None = None
    whole: Comment | None = None
    name: str = ""


# A repository that was renamed has pull requests under its former name too, behind those under its present one.
_OWN = """
SELECT task_id, attempt, location FROM (
    SELECT DISTINCT ON (p.location) p.task_id, p.attempt, p.location, p.target, p.updated_at
    FROM publications p LEFT JOIN fates f ON (f.task_id, f.attempt, f.target) = (p.task_id, p.attempt, p.target)
    WHERE p.state = 'published' AND p.body ->> 'source' = %(source)s AND starts_with(p.target, %(service)s || ':')
        AND p.updated_at > now() - %(days)s * interval '1 day' AND coalesce(f.fate, 'open') IN ('open', 'closed')
    ORDER BY p.location, p.attempt
) AS own ORDER BY target = %(target)s DESC, updated_at DESC LIMIT %(most)s
"""


def own_pulls(connection: Connection[TupleRow], place: Place) -> dict[str, OwnPull]:
    """Penstock's pull requests in a place that is a source's own repository, by the keys of their tickets. Later
    attempts that added to one have its address too."""
    if not place.own:
        return {}
    given = {
        "source": place.source,
        "service": place.service,
        "target": f"{place.service}:{place.project}",
        "days": FOLLOWED_DAYS,
        "most": MOST_PULLS,
    }
    rows = connection.execute(_OWN.encode(), given).fetchall()
    mark = "!" if place.service in _BY_EXCLAMATION else "#"
    found: dict[str, OwnPull] = {}
    for task, attempt, url in rows:
        if url and (number := _NUMBER.fullmatch(url)):  # not that of a comment
            found.setdefault(f"{mark}{number[1]}", OwnPull(number[1], own_branch(task, attempt), url))
    return found


class _GiteaReview(Payload):
    """https://docs.gitea.com/api, PullReview. What was written line by line is submitted later than it was begun."""

    id: Any = None
    body: Body = ""
    state: Name = None
    user: Person | None = None
    submitted_at: Moment = None
    updated_at: Moment = None


class _Discussion(Payload):
    """https://docs.gitlab.com/api/discussions/"""

    id: Name = None
    notes: Objects


_GITEA_ASKING = ("COMMENT", "REQUEST_CHANGES")


def _github(reader: Reader, project: str, pull: OwnPull) -> Iterator[Said]:
    at = f"/repos/{quote(project)}/pulls/{pull.number}"
    for item in all_pages(reader, f"{at}/comments?per_page=100"):
        remark = parse(Remark, item, "comment")
        said = remark.comment("review-")
        yield Said(of_github_remark(pull.branch, remark), said.created_at, said.id)
    for item in all_pages(reader, f"{at}/reviews?per_page=100"):
        review = parse(Remark, item, "review")
        if review.body and (review.state or "").upper() != "PENDING":
            said = review.comment("whole-review-")
            yield Said(of_github_review(pull.branch, review), said.created_at, whole=said, name=said.id)


def _gitea(reader: Reader, project: str, pull: OwnPull) -> Iterator[Said]:
    for item in all_pages(reader, f"/api/v1/repos/{quote(project)}/pulls/{pull.number}/reviews?limit=50"):
        review = parse(_GiteaReview, item, "review")
        if review.state in _GITEA_ASKING:
            times = (review.updated_at, review.submitted_at)
            feedback = of_gitea_review(pull.branch, review.body, review.user, times, pull.url)
            yield Said(feedback, review.updated_at or review.submitted_at, name=f"review {review.id}")


def _gitlab(reader: Reader, project: str, pull: OwnPull) -> Iterator[Said]:
    at = f"/api/v4/projects/{quote(project, safe='')}/merge_requests/{pull.number}/discussions?per_page=100"
    for item in all_pages(reader, at):
        discussion = parse(_Discussion, item, "discussion")
        for each in discussion.notes:
            note = parse(gitlab.Note, each, "note")
            if note.url is None:  # as webhooks give it
                note = note.model_copy(update={"url": f"{pull.url}#note_{note.id}"})
            feedback = of_gitlab_note(pull.branch, note, note.author, discussion.id)
            yield Said(feedback, note.created_at, str(note.id))


def _bitbucket(reader: Reader, project: str, pull: OwnPull) -> Iterator[Said]:
    url: str | None = f"/2.0/repositories/{quote(project)}/pullrequests/{pull.number}/comments?pagelen=100"
    for _ in range(MOST_PAGES):
        if url is None:
            return
        items, url = values_of(reader.get(url).body)
        for item in items:
            remark = parse(bitbucket.Remark, item, "comment")
            yield Said(of_bitbucket_remark(pull.branch, remark), remark.created_on, str(remark.id))


REVIEWS: Mapping[str, Callable[[Reader, str, OwnPull], Iterator[Said]]] = {
    Service.GITHUB: _github,
    Service.GITEA: _gitea,
    Service.GITLAB: _gitlab,
    Service.BITBUCKET: _bitbucket,
}


def read_reviews(reader: Reader, service: str, project: str, pull: OwnPull) -> list[Said]:
    """What the reviews of a pull request say; one that is gone says nothing. Raises `ApiError`, and `BadField` for an
    answer of another format."""
    try:
        return list(REVIEWS[service](reader, project, pull))
    except ApiError as error:
        if error.status not in (404, 410):
            raise
        return []
