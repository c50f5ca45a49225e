"""Queries for comparing two models: messages of past commits, and recent user queries.

A commit's message describes the files that it changed, so these are the known right answer, without labelling. User
queries have no known answer: they show speed and how far the models agree.
"""

import logging
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from psycopg import Connection
from psycopg.rows import TupleRow

from assets.context.models import model_vectors
from core.git import GitError, Repository

_log = logging.getLogger(__name__)

MOST_FILES = 5
"""A commit that changed more files describes none of them in particular."""
FEWEST_WORDS = 4
_LONGEST = 2000
_TRAILER = ("signed-off-by:", "co-authored-by:", "change-id:", "reviewed-by:", "git-svn-id:")

Mirror = Callable[[uuid.UUID, str], Repository]


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """`relevant` are the right files, all searchable. Queries of one `cluster` are about one file and count
    together."""

    team_id: uuid.UUID
    source: str
    text: str
    relevant: tuple[str, ...]
    cluster: str
    language: str


def from_commits(
    repository: Repository, commit: str, team_id: uuid.UUID, source: str, paths: frozenset[str], most: int
) -> list[JudgedQuery]:
    """At most `most` of the newest commits whose message has enough words and whose files still exist."""
    found: list[JudgedQuery] = []
    seen: set[str] = set()
    for made in repository.log(commit, limit=20 * most):
        text = clean_message(made.message)
        relevant = tuple(sorted(set(made.paths) & paths))
        if len(made.paths) > MOST_FILES or not relevant or len(text.split()) < FEWEST_WORDS or text in seen:
            continue
        seen.add(text)
        language = PurePosixPath(relevant[0]).suffix.lstrip(".") or "other"
        found.append(JudgedQuery(team_id, source, text, relevant, f"{team_id}/{source}/{relevant[0]}", language))
        if len(found) == most:
            break
    return found


def clean_message(message: str) -> str:
    """A commit's message without the lines that tools add, and without characters that PostgreSQL cannot store."""
    kept = [line for line in message.splitlines() if not line.strip().lower().startswith(_TRAILER)]
    text = " ".join("\n".join(kept).split()).replace("\0", " ")
    return text[:_LONGEST].encode("utf-8", "replace").decode()


def judged_queries(connection: Connection[TupleRow], mirror: Mirror, most: int) -> list[JudgedQuery]:
    """At most `most` queries, as evenly from all visible sources as possible; where one has too few, others add more.

    A source whose mirror cannot be read yields none, which is logged.
    """
    sources = model_vectors.visible_sources(connection)
    found: dict[int, list[JudgedQuery]] = {}
    each, asked = -(-most // max(1, len(sources))), list(range(len(sources)))
    while asked:
        for place in asked:
            found[place] = _of_source(connection, mirror, *sources[place], each)
        lacking = most - sum(map(len, found.values()))
        asked = [place for place in asked if len(found[place]) == each]  # these may have more
        if lacking <= 0 or not asked:
            break
        each += -(-lacking // len(asked))
    return _one_of_each_in_turn(found.values())[:most]


def _of_source(
    connection: Connection[TupleRow], mirror: Mirror, team_id: uuid.UUID, source: str, commit: str, most: int
) -> list[JudgedQuery]:
    try:
        repository = mirror(team_id, source)
        paths = model_vectors.visible_paths(connection, team_id, source)
        return from_commits(repository, commit, team_id, source, paths, most)
    except (GitError, OSError, ValueError) as error:
        _log.warning("source %s: its history cannot be read: %s", source, error)
        return []


def _one_of_each_in_turn(lists: Iterable[list[JudgedQuery]]) -> list[JudgedQuery]:
    lists = list(lists)
    longest = max((len(one) for one in lists), default=0)
    return [one[place] for place in range(longest) for one in lists if place < len(one)]
