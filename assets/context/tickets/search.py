"""Finds tickets by words, by meaning and by key, each with the reasons and the author of the text that matched.

Three kinds of lists are fused by reciprocal rank (Cormack, Clarke and Buettcher, SIGIR 2009): BM25 over whole
tickets, BM25 over single passages, and the nearest passages by each model. Their scores have no common scale, and
there are no learned weights for tickets. A ticket whose key is in the query comes first.
"""

import logging
import re
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from assets.context.chunking import terms
from assets.context.pack.spans import Trust
from assets.context.store.contents import read_chunks
from assets.context.store.vector_table import VectorTable
from assets.context.tickets.apply import BODY
from assets.context.tickets.corpus import Corpus, Scored
from assets.context.tickets.corpus_cache import CorpusCache
from assets.context.tickets.vector_cache import VectorCache
from core.database import Database
from core.embedding import Embedder, EmbedderUnavailable, Vectors
from core.tickets import Kind, State
from core.work import Reason

RANK_CONSTANT = 60
"""As in the paper; the larger it is, the less the first ranks differ."""

LISTED = 200
QUERY_CHARACTERS = 8000
QUERY_TERMS = 200
PASSAGE_CHARACTERS = 400
MOST_CLOSERS = 3

_INSIDERS = ("owner", "member", "collaborator")
"""Users who may write to the repository are trusted like the author of a ticket."""

_KEY = re.compile(r"(?<![\w/])([#!]\d{1,12}|[A-Z][A-Z0-9_]{1,30}-\d{1,12})(?![\w-])")
_corpora = CorpusCache()
_vectors = VectorCache()
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TicketHit:
    """A ticket that was found. `part` is the text that matched best (`body` or a comment's id), with its `author` and
    `trust`; `passage` is the start of its best chunk. `closed_by` are the merged pull requests that close the ticket
    (`#12 at 0123abcd`), and for a merged pull request its commit."""

    source: str
    service: str
    project: str
    key: str
    kind: str
    title: str
    state: str
    status: str | None
    url: str | None
    updated_at: datetime
    score: float
    why: tuple[Reason, ...]
    part: str
    author: str | None
    trust: Trust
    passage: str
    closed_by: tuple[str, ...] = ()


def search_tickets(
    database: Database,
    team_id: uuid.UUID,
    source: str,
    query: str,
    k: int = 10,
    *,
    embedders: Sequence[Embedder] = (),
    state: State | None = None,
    kind: Kind | None = None,
    before: datetime | None = None,
    without: Sequence[str] = (),
) -> list[TicketHit]:
    """The `k` best-matching tickets of a source, best first; empty if it has no tickets.

    `state`, `kind` and `before` (opened before that moment) filter the result; `without` excludes tickets with these
    URLs. A model that is unavailable is left out, with a warning in the log.
    """
    query = query[:QUERY_CHARACTERS]
    vectors = [(embedder, vector) for embedder in embedders if (vector := _embed(embedder, query)) is not None]
    words = dict(Counter(terms.query_terms(query)).most_common(QUERY_TERMS))
    with database.team(team_id) as connection:
        corpus = _corpora.get(database.url, connection, team_id, source)
        if not corpus.size or k < 1:
            return []
        wanted = corpus.wanted(state, kind, before, without)
        found = corpus.weigh(connection, list(words))
        lists = [("words", corpus.score_tickets(found, words)), ("passage", corpus.score_passages(found, words))]
        for embedder, vector in vectors:
            table = VectorTable.find(connection, embedder.identity)
            if table:
                hits = _vectors.nearest(
                    database.url, connection, table, team_id, source, corpus.contents, vector, LISTED
                )
                lists.append((f"vectors {embedder.identity.partition('@')[0]}", corpus.nearest(hits)))
        chosen = _fuse(corpus, wanted, lists, set(_KEY.findall(query)), k)
        return _hits(connection, team_id, source, corpus, chosen)


def _embed(embedder: Embedder, query: str) -> Vectors | None:
    """None if the model is unavailable, or knows no word of the query."""
    try:
        vector = embedder.embed_query(query[:4000])
    except EmbedderUnavailable as error:
        _log.warning("searched tickets without the model %s: %s", embedder.identity, error)
        return None
    return vector if vector.any() else None


@dataclass(frozen=True)
class _Chosen:
    """A ticket by its index, with the row and chunk of its text that matched best."""

    ticket: int
    score: float
    why: tuple[Reason, ...]
    row: int
    chunk: int


def _fuse(
    corpus: Corpus, wanted: NDArray[np.bool_], lists: Sequence[tuple[str, Scored]], named: set[str], k: int
) -> list[_Chosen]:
    ranks: dict[int, list[tuple[int, int]]] = {}  # by ticket: (index of the list, rank in it from 1)
    for number, (_, scored) in enumerate(lists):
        for rank, ticket in enumerate(scored.best(LISTED, wanted), start=1):
            ranks.setdefault(ticket, []).append((number, rank))
    keyed = {ticket for ticket in corpus.with_keys(named) if wanted[ticket]}
    scores = {
        ticket: round(sum(_share(rank) for _, rank in ranks.get(ticket, ())) + (ticket in keyed), 5)
        for ticket in ranks.keys() | keyed
    }
    order = sorted(scores, key=lambda ticket: (-scores[ticket], corpus.keys[ticket]))
    return [_explained(corpus, lists, ranks.get(ticket, []), ticket, ticket in keyed) for ticket in order[:k]]


def _explained(
    corpus: Corpus, lists: Sequence[tuple[str, Scored]], ranks: Sequence[tuple[int, int]], ticket: int, keyed: bool
) -> _Chosen:
    why = []
    best = (0.0, corpus.first_row(ticket), 0)
    for number, rank in ranks:
        signal, scored = lists[number]
        detail = f"rank {rank}, {scored.unit} {float(scored.values[ticket]):.2f}"
        why.append(Reason(signal=signal, detail=detail, contribution=_share(rank)))
        row, chunk = scored.place(ticket)
        if row >= 0:
            best = max(best, (_share(rank), row, chunk))
    if keyed:
        why.append(Reason(signal="key", detail=f"the text names {corpus.keys[ticket][2]}", contribution=1.0))
    score = round(sum(reason.contribution for reason in why), 5)
    _, row, chunk = best
    return _Chosen(ticket, score, tuple(sorted(why, key=lambda reason: -reason.contribution)), row, chunk)


def _share(rank: int) -> float:
    return round(1.0 / (RANK_CONSTANT + rank), 5)


# Forces a lookup by the few keys, even if Postgres has no statistics of the tables yet.
_DETAILS = """
SELECT w.place, d.*
FROM unnest(%(services)s::text[], %(projects)s::text[], %(keys)s::text[], %(parts)s::text[])
     WITH ORDINALITY AS w(service, project, key, part, place)
CROSS JOIN LATERAL (
    SELECT t.kind, t.title, t.state, t.status, t.url, t.updated_at, t.commit, t.author_id AS owner_id,
           t.author AS owner, p.author, p.author_id, p.association
    FROM tickets t CROSS JOIN ticket_parts p
    WHERE (t.team_id, t.source, t.service, t.project, t.key) = (%(team)s, %(source)s, w.service, w.project, w.key)
      AND (p.team_id, p.source, p.service, p.project, p.key, p.part)
          = (%(team)s, %(source)s, w.service, w.project, w.key, w.part) OFFSET 0) d
ORDER BY w.place
"""
_CLOSERS = """
SELECT t.closes, t.service, t.project, t.key, t.commit FROM tickets t
WHERE t.team_id = %s AND t.source = %s AND t.state = 'merged' AND t.deleted_at IS NULL AND t.closes && %s
ORDER BY t.closed_at NULLS LAST, t.key
"""


def _hits(
    connection: Connection[TupleRow], team_id: uuid.UUID, source: str, corpus: Corpus, chosen: Sequence[_Chosen]
) -> list[TicketHit]:
    keys = [corpus.keys[one.ticket] for one in chosen]
    columns = {"services": [k[0] for k in keys], "projects": [k[1] for k in keys], "keys": [k[2] for k in keys]}
    parts = [corpus.parts[one.row] for one in chosen]
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            _DETAILS.encode(), {"team": team_id, "source": source, "parts": parts, **columns}
        ).fetchall()
    kept = [row.pop("place") - 1 for row in rows]  # one may have been moved or deleted in the meantime
    chosen, keys, parts = [chosen[n] for n in kept], [keys[n] for n in kept], [parts[n] for n in kept]
    closers = connection.execute(_CLOSERS, (team_id, source, [key for _, _, key in keys])).fetchall()
    places = [(corpus.content_id(one.row), one.chunk) for one in chosen]
    passages = read_chunks(connection, places)
    return [
        TicketHit(
            source=source,
            service=key[0],
            project=key[1],
            key=key[2],
            score=one.score,
            why=one.why,
            part=part,
            trust=_trust(part, row),
            passage=" ".join(passage.text.split())[:PASSAGE_CHARACTERS],
            closed_by=_closed_by(closers, key, row["commit"]),
            **{name: row[name] for name in ("kind", "title", "state", "status", "url", "updated_at", "author")},
        )
        for one, key, part, row, passage in zip(chosen, keys, parts, rows, passages, strict=True)
    ]


def _trust(part: str, row: dict[str, Any]) -> Trust:
    """`TICKET_AUTHOR` for the ticket's own text, comments by its author, and comments by users who may write to the
    repository."""
    same = row["author_id"] == row["owner_id"] if row["owner_id"] else row["author"] == row["owner"]
    by_author = same and (row["author_id"] or row["author"])
    if part == BODY or by_author or row["association"] in _INSIDERS:
        return Trust.TICKET_AUTHOR
    return Trust.OUTSIDE_COMMENT


def _closed_by(closers: Sequence[TupleRow], ticket: tuple[str, str, str], commit: str | None) -> tuple[str, ...]:
    """A number (`#12`) refers to the same project only; a Jira key is unique over all projects."""
    service, project, key = ticket
    own = [f"commit {commit[:12]}"] if commit else []
    others = [
        f"{closing_key} at {at[:12]}" if at else closing_key
        for closes, its_service, its_project, closing_key, at in closers
        if key in closes and (not key.startswith("#") or (its_service, its_project) == (service, project))
    ]
    return tuple(own + others)[:MOST_CLOSERS]
