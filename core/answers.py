"""What people say while a task waits for an answer or is worked on, as it is stored and becomes part of its text.

Not for what an answer moves (see `core.questions`), nor for how a running attempt hears it (see `core.remarks`).
"""

import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

ANSWER_CHARACTERS = 8_000
"""The longest answer; of a longer comment, the beginning."""
_ALL_CHARACTERS = 24_000
"""Of all answers to one task, what an attempt sees."""
_NAMESPACE = uuid.UUID("7d0f3c52-64a0-5d6b-8d0c-3b9a0a4e7c15")
"""Namespace of the ids of answers."""
_SKEW_SECONDS = 60
"""A comment may be this much older than the question or task that it is about, since a forge has a clock of its own."""

# The open task of a ticket that a comment of this time is about. One that has asked has heard what came before.
_HEARING = """
SELECT t.team_id, t.id FROM tasks t
LEFT JOIN questions q ON q.task_id = t.id AND q.attempt BETWEEN t.attempt - 1 AND t.attempt
WHERE t.source = %(source)s
    AND (t.ticket_service, t.ticket_project, t.ticket_key) = (%(service)s, %(project)s, %(key)s)
    AND t.state IN ('queued', 'running', 'waiting')
    AND (%(at)s::timestamptz IS NULL OR t.id = %(about)s
        OR coalesce(q.asked_at, t.created_at) <= %(at)s::timestamptz + %(skew)s * interval '1 second')
ORDER BY t.created_at DESC, q.attempt DESC NULLS LAST LIMIT 1
"""


@dataclass(frozen=True)
class Said:
    """A new comment on a ticket, beside its commands and quotations. `id` is the forge's, unique in its ticket."""

    id: str
    author: str
    author_id: str | None
    text: str
    url: str | None = None
    at: datetime | None = None

    def identity(self, team_id: uuid.UUID, place: str) -> uuid.UUID:
        """Its id in the database; `place` names the ticket."""
        return uuid.uuid5(_NAMESPACE, f"{team_id} {place} {self.id}")


def only_mentions(text: str) -> bool:
    """Whether a text says nothing beside names of people."""
    return not re.sub(r"@[\w.\[\]/-]+", "", text).strip(" \n\t,.:;!")


def own_identity(task_id: uuid.UUID, attempt: int, author: str, text: str) -> uuid.UUID:
    """The id of an answer that is no comment: the same person's same answer to the same question is one."""
    return uuid.uuid5(_NAMESPACE, f"{task_id} {attempt} {author}\n{text}")


def note_answer(
    connection: Connection[Any],
    team_id: uuid.UUID,
    source: str,
    ticket: tuple[str, str, str],
    said: Said,
    about: uuid.UUID | None = None,
) -> None:
    """Stores a comment on a ticket (service, project, key) once, if a task there is open. Whether its author may be
    heard is decided later. `about`: the task that this comment starts."""
    connection.execute(
        f"INSERT INTO answers (team_id, id, task_id, author, author_id, trusted, body, url, state) "  # noqa: S608
        f"SELECT a.team_id, %(answer)s, a.id, %(author)s, %(author_id)s, false, %(body)s, %(url)s, 'pending' "
        f"FROM ({_HEARING}) AS a ON CONFLICT (id) DO NOTHING".encode(),
        {
            **_hearing(source, ticket, said, about),
            "answer": said.identity(team_id, " ".join((source, *ticket))),
            "author": said.author[:200],
            "author_id": said.author_id,
            "body": said.text[:ANSWER_CHARACTERS],
            "url": said.url,
        },
    )


def is_noted(
    connection: Connection[Any], team_id: uuid.UUID, source: str, ticket: tuple[str, str, str], said: Said
) -> bool:
    """Whether a comment is stored; also one that no open task is there for."""
    query = f"SELECT EXISTS (SELECT FROM answers WHERE id = %(answer)s) OR NOT EXISTS ({_HEARING})"  # noqa: S608
    row = connection.execute(
        query.encode(),
        {**_hearing(source, ticket, said), "answer": said.identity(team_id, " ".join((source, *ticket)))},
    ).fetchone()
    return row is not None and bool(row[0])


def take_answers(connection: Connection[Any], task_id: uuid.UUID, attempt: int) -> None:
    """Makes the accepted answers that no attempt has taken up part of the text of `attempt`, which no run has claimed
    yet, and of all after it."""
    connection.execute(
        "UPDATE answers SET attempt = %s, outcome = %s WHERE task_id = %s AND state = 'accepted' AND attempt IS NULL",
        (attempt, f"attempt {attempt} works with it", task_id),
    )


def find_answers(connection: Connection[Any], task_id: uuid.UUID, attempt: int) -> str:
    """What the text of an attempt has of answers, the oldest first; empty without any."""
    rows = connection.execute(
        "SELECT author, CASE WHEN observed IS NULL AND EXISTS (SELECT FROM questions q "
        "WHERE q.task_id = answers.task_id AND q.asked_at < received_at) THEN 'answers' ELSE 'says' END, body "
        "FROM answers WHERE task_id = %s AND state = 'accepted' "
        "AND (attempt < %s OR attempt = %s AND observed IS NULL) "
        "ORDER BY received_at, id",
        (task_id, attempt, attempt),
    ).fetchall()
    text = "\n\n".join(f"{author} {verb}:\n\n{body.strip()}" for author, verb, body in rows)
    return text if len(text) <= _ALL_CHARACTERS else text[: _ALL_CHARACTERS - 1] + "…"


def _hearing(source: str, ticket: tuple[str, str, str], said: Said, about: uuid.UUID | None = None) -> dict[str, Any]:
    service, project, key = ticket
    return {
        "source": source,
        "service": service,
        "project": project,
        "key": key,
        "at": said.at,
        "about": about,
        "skew": _SKEW_SECONDS,
    }
