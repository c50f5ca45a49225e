"""Does one step: searches for a sub-question, reads what was found, or writes the report.

A process may be killed at any instant: what it had begun is done again by whoever takes the step next.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
import psycopg_pool
from psycopg import Connection

from assets.research import memory
from assets.research.corpora.protocol import Corpus
from assets.research.corpora.team_memory import TeamMemory
from assets.research.engines.answer import Answered, Writer, analysed, conclude
from assets.research.engines.searching import search
from assets.research.flow.steps import Question, Step, StepKind, StepLost, find_question, finish, outputs, renew, take
from assets.research.records import Analysis, Cost, Passage, Searched, SubQuestion
from core.database import Database
from core.embedding import Embedder
from core.eventlog.postgres import PostgresLog

MOST_TRIES = 6
"""A step that has been taken so often without an end ends as not done, and the report says so."""
LEASE_SECONDS = 60.0
_log = logging.getLogger(__name__)

OpenCorpora = Callable[[Question], Sequence[Corpus]]


@dataclass(frozen=True)
class Workshop:
    """What a worker needs. `corpora` opens what a question is to search, of its own team only."""

    database: Database
    log: PostgresLog
    corpora: OpenCorpora
    embedder: Embedder
    lease_seconds: float = LEASE_SECONDS
    writer: Callable[[], Writer | None] = lambda: None
    """The chat model for questions whose engine is `model`."""


def work(
    shop: Workshop, holder: str, question: uuid.UUID | None = None, kinds: Sequence[StepKind] = tuple(StepKind)
) -> Step | None:
    """Takes a step and does it; None if none waits. A step that is lost meanwhile is somebody else's."""
    step = take(shop.database, holder=holder, seconds=shop.lease_seconds, question=question, kinds=kinds)
    if step is None:
        return None
    try:
        with _renewing(shop, step):
            _do(shop, step)
    except StepLost as lost:
        _log.info("%s", lost)
    return step


@contextmanager
def _renewing(shop: Workshop, step: Step) -> Iterator[None]:
    """Renews the step's lease until the block ends: the first index of a large folder takes longer than a lease."""
    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(shop.lease_seconds / 3):
            try:
                if not renew(shop.database, step, shop.lease_seconds):
                    return
            except (psycopg.OperationalError, psycopg_pool.PoolTimeout):
                continue  # the lease lapses by itself if the database stays unreachable

    thread = threading.Thread(target=loop, name="research-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=10)


def _do(shop: Workshop, step: Step) -> None:
    began = time.monotonic()
    with shop.database.team(step.team_id) as connection:
        one = find_question(connection, step.question_id)
    if step.kind is StepKind.SEARCH:
        found = _searched(shop, one, step)
        with shop.database.team(step.team_id) as connection:
            memory.store_passages(connection, step.team_id, found.passages)
            memory.embed_passages(connection, step.team_id, found.passages, shop.embedder)
            finish(connection, shop.log, step, _slim(found), time.monotonic() - began)
    elif step.kind is StepKind.ANALYSIS:
        with shop.database.team(step.team_id) as connection:
            found = _load(connection, one.id, step.number)
        analysis = _analysed(shop, one, found, step)
        with shop.database.team(step.team_id) as connection:
            finish(connection, shop.log, step, analysis, time.monotonic() - began)
    else:
        _synthesise(shop, one, step, began)


def _searched(shop: Workshop, one: Question, step: Step) -> Searched:
    sub = SubQuestion.model_validate(step.body["sub"])
    if step.epoch > MOST_TRIES:
        return Searched(
            sub=sub, passages=(), problems=(f"the search for “{sub.text}” was given up after {MOST_TRIES} tries",)
        )
    if datetime.now(UTC) > one.deadline:
        return Searched(sub=sub, passages=(), problems=(f"“{sub.text}” was not searched: no time was left",))
    recalled = TeamMemory(shop.database, one.team_id, shop.embedder)
    return search(shop.corpora(one), sub, memory=recalled)


def _analysed(shop: Workshop, one: Question, found: Searched, step: Step) -> Analysis:
    if step.epoch > MOST_TRIES:
        return Analysis(sub=found.sub, answered=False, claims=(), conflicts=())
    writer = shop.writer() if one.engine == "model" else None
    return analysed(found, shop.embedder, writer)


class SlimSearched(Searched):
    """What is stored of a search: the passages are in the memory, by hash."""

    hashes: tuple[str, ...] = ()


def _slim(found: Searched) -> SlimSearched:
    fields = {name: getattr(found, name) for name in type(found).model_fields}
    return SlimSearched(**{**fields, "passages": (), "hashes": tuple(p.hash for p in found.passages)})


def _load(connection: Connection[Any], question: uuid.UUID, number: int) -> Searched:
    every = [SlimSearched.model_validate(one) for one in outputs(connection, question, StepKind.SEARCH)]
    slim = next(one for one in every if one.sub.number == number)
    return _with_passages(slim, memory.load_passages(connection, slim.hashes))


def _with_passages(slim: SlimSearched, stored: dict[str, Passage]) -> Searched:
    fields = {name: getattr(slim, name) for name in Searched.model_fields}
    return Searched(**{**fields, "passages": tuple(stored[h] for h in slim.hashes if h in stored)})


def _synthesise(shop: Workshop, one: Question, step: Step, began: float) -> None:
    """Report and verdict from what is stored at this moment, in one transaction: nothing that was deleted since its
    search is cited."""
    with shop.database.team(step.team_id) as connection:
        slims = [SlimSearched.model_validate(each) for each in outputs(connection, one.id, StepKind.SEARCH)]
        analyses = [Analysis.model_validate(each) for each in outputs(connection, one.id, StepKind.ANALYSIS)]
        wanted = {h for slim in slims for h in slim.hashes}
        stored = memory.load_passages(connection, wanted)
        searched = [_with_passages(slim, stored) for slim in slims]
        notes = list(one.notes)
        kept = [_without(analysis, stored) for analysis in analyses]
        if lost := sum(len(a.claims) for a in analyses) - sum(len(a.claims) for a in kept):
            notes.append(f"{lost} findings were left out: their source was deleted after it was read.")
        cost = Cost(
            seconds=round((datetime.now(UTC) - _asked_at(connection, one)).total_seconds(), 3),
            searches=len(slims),
            passages=len(stored),
        )
        made: Answered = conclude(one.question, one.engine, searched, kept, cost, notes)
        memory.store_report(connection, step.team_id, one.id, made.report, made.verdict)
        finish(connection, shop.log, step, made.verdict, time.monotonic() - began)


def _without(analysis: Analysis, stored: dict[str, Passage]) -> Analysis:
    claims = tuple(
        c.model_copy(update={"quotes": tuple(q for q in c.quotes if q.passage in stored)})
        for c in analysis.claims
        if c.quotes[0].passage in stored
    )
    conflicts = tuple(c for c in analysis.conflicts if c.first.passage in stored and c.second.passage in stored)
    return analysis.model_copy(update={"claims": claims, "conflicts": conflicts, "answered": bool(claims)})


def _asked_at(connection: Connection[Any], one: Question) -> datetime:
    row = connection.execute("SELECT created_at FROM research_questions WHERE id = %s", (one.id,)).fetchone()
    return row[0] if row else datetime.now(UTC)
