"""The memory of a team's research: passages by hash with vectors, claims and reports, in Postgres.

All functions work in a caller's transaction, which sees one team's rows. Writes are idempotent.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from psycopg import Connection
from psycopg.types.json import Jsonb

from assets.research.records import Passage, Report, ReportVerdict
from core.embedding import Embedder, embed_most
from core.payload import clean


def store_passages(connection: Connection[Any], team_id: uuid.UUID, passages: Iterable[Passage]) -> None:
    """Stores passages as evidence. One that is there already keeps its first time."""
    rows = [
        (team_id, p.hash, p.corpus, clean(p.address), Jsonb(p.model_dump(mode="json")))
        for p in passages
        if p.valid and clean(p.text) == p.text  # Postgres cannot keep the bytes of others
    ]
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO research_passages (team_id, hash, corpus, address, body) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT DO NOTHING",
            rows,
        )


def load_passages(connection: Connection[Any], hashes: Iterable[str]) -> dict[str, Passage]:
    """The stored passages among `hashes`, with the first place of each."""
    rows = connection.execute(
        "SELECT DISTINCT ON (hash) hash, body FROM research_passages WHERE hash = ANY(%s) "
        "ORDER BY hash, stored_at, corpus, address",
        (list(hashes),),
    ).fetchall()
    return {str(key): Passage.model_validate(body) for key, body in rows}


def embed_passages(
    connection: Connection[Any], team_id: uuid.UUID, passages: Sequence[Passage], embedder: Embedder
) -> None:
    """Gives passages vectors of the model, as far as they have none. Raises `EmbedderUnavailable`."""
    known = {
        row[0]
        for row in connection.execute(
            "SELECT hash FROM research_vectors WHERE model = %s AND hash = ANY(%s)",
            (embedder.identity, [p.hash for p in passages]),
        ).fetchall()
    }
    new = [p for p in {p.hash: p for p in passages}.values() if p.hash not in known]
    if not new:
        return
    vectors = embed_most(embedder, [f"{p.title} {p.heading} {p.text}" for p in new]).vectors
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO research_vectors (team_id, hash, model, embedding) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT DO NOTHING",
            [(team_id, p.hash, embedder.identity, v) for p, v in zip(new, vectors, strict=True) if np.any(v)],
        )


def nearest(
    connection: Connection[Any], embedder: Embedder, query: str, limit: int, corpora: Iterable[str]
) -> list[Passage]:
    """The stored passages of some corpora nearest to a text, best first. Raises `EmbedderUnavailable`."""
    rows = connection.execute(
        "SELECT DISTINCT ON (n.distance, n.hash) p.body FROM (SELECT hash, embedding <=> %(query)s AS distance "
        "FROM research_vectors v WHERE model = %(model)s AND EXISTS (SELECT FROM research_passages p "
        "WHERE p.hash = v.hash AND p.corpus = ANY(%(corpora)s)) ORDER BY 2 LIMIT %(limit)s) n "
        "JOIN research_passages p ON p.hash = n.hash AND p.corpus = ANY(%(corpora)s) "
        "ORDER BY n.distance, n.hash, p.stored_at",
        {
            "query": embedder.embed_query(query),
            "model": embedder.identity,
            "corpora": list(corpora),
            "limit": limit,
        },
    ).fetchall()
    return [Passage.model_validate(body) for (body,) in rows]


def store_report(
    connection: Connection[Any], team_id: uuid.UUID, question_id: uuid.UUID, report: Report, verdict: ReportVerdict
) -> bool:
    """Stores a question's report with its verdict and claims; False if it has one already, which stays."""
    stored = connection.execute(
        "INSERT INTO research_reports (team_id, question_id, sha256, verdict, body, judged, sources) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (
            *(team_id, question_id, report.sha256, verdict.verdict),
            *(Jsonb(report.model_dump(mode="json")), Jsonb(verdict.model_dump(mode="json")), list(report.sources)),
        ),
    ).rowcount
    if not stored:
        return False
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO research_claims (team_id, question_id, number, text, support, disputed) "
            "VALUES (%s, %s, %s, %s, %s, %s)",
            [
                (team_id, question_id, c.number, clean(c.text), support, _disputing(report, support))
                for c in report.claims
                if (support := [q.passage for q in c.quotes])
            ],
        )
    return True


def _disputing(report: Report, support: Sequence[str]) -> list[str]:
    found = []
    for one in report.conflicts:
        sides = (one.first.passage, one.second.passage)
        found += [b for a, b in (sides, sides[::-1]) if a in support and b not in support]
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class StoredReport:
    report: Report
    verdict: ReportVerdict
    passages: dict[str, Passage]


def load_report(connection: Connection[Any], question_id: uuid.UUID) -> StoredReport | None:
    """A question's report with what it cites, as far as that is still stored."""
    row = connection.execute(
        "SELECT body, judged, sources FROM research_reports WHERE question_id = %s", (question_id,)
    ).fetchone()
    if row is None:
        return None
    report, verdict = Report.model_validate(row[0]), ReportVerdict.model_validate(row[1])
    return StoredReport(report, verdict, load_passages(connection, row[2]))


@dataclass(frozen=True)
class Forgotten:
    """How much was removed with a source."""

    passages: int
    claims: int
    questions: tuple[uuid.UUID, ...]
    """Those whose reports were removed."""


def forget(connection: Connection[Any], corpus: str, address: str | None = None) -> Forgotten:
    """Removes a source, or a whole corpus, from the memory, with all that rests on it: vectors, claims and reports. A
    text that also stands in another source stays."""
    gone = [
        row[0]
        for row in connection.execute(
            "DELETE FROM research_passages WHERE corpus = %(corpus)s AND (%(address)s::text IS NULL OR "
            "address = %(address)s) RETURNING hash",
            {"corpus": corpus, "address": address},
        ).fetchall()
    ]
    lost = [
        row[0]
        for row in connection.execute(
            "SELECT h FROM unnest(%s::text[]) AS h WHERE NOT EXISTS (SELECT FROM research_passages p WHERE p.hash = h)",
            (gone,),
        ).fetchall()
    ]
    return Forgotten(len(gone), *_withdraw(connection, lost))


def _withdraw(connection: Connection[Any], lost: list[str]) -> tuple[int, tuple[uuid.UUID, ...]]:
    connection.execute("DELETE FROM research_vectors WHERE hash = ANY(%s)", (lost,))
    claims = connection.execute("DELETE FROM research_claims WHERE support && %s", (lost,)).rowcount
    connection.execute(
        "UPDATE research_questions SET state = 'withdrawn' WHERE id IN "
        "(SELECT question_id FROM research_reports WHERE sources && %s)",
        (lost,),
    )
    withdrawn = connection.execute(
        "DELETE FROM research_reports WHERE sources && %s RETURNING question_id", (lost,)
    ).fetchall()
    connection.execute(  # those of open questions are needed for their report, which leaves out what is gone
        "UPDATE research_steps s SET output = s.output || "
        """'{"claims": [], "conflicts": [], "answered": false}'::jsonb """
        "FROM research_questions q WHERE q.id = s.question_id AND q.state <> 'open' AND s.kind = 'analysis' "
        "AND s.output IS NOT NULL AND EXISTS (SELECT FROM research_steps f WHERE f.question_id = s.question_id "
        "AND f.kind = 'search' AND f.number = s.number AND f.output -> 'hashes' ?| %s)",
        (lost,),
    )
    return claims, tuple(question for (question,) in withdrawn)
