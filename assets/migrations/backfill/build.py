"""Backfill: embeds stored contents that lack vectors of a model, in small transactions, at a bounded pace.

Each start queries the database for what is left, so a killed run resumes: a content has all vectors of a model or
none. While one part is embedded, the next is read and the previous one written; two parts are one batch, the most
that is embedded again after a kill.
"""

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from assets.context.models import model_vectors
from assets.context.models.model_vectors import Lacking, Texts
from assets.migrations.backfill.pace import SHARE, Pace
from core.database import Database
from core.embedding import Embedded, Embedder, WrongAnswer, embed_most, refuses_too_many

MOST_PASSES = 50
"""Content that arrives during one pass is embedded by the next."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One call of `build`: chunks written, chunks to write in all, and seconds, elapsed and spent in the model."""

    chunks: int
    total: int
    seconds: float
    model_seconds: float

    @property
    def rate(self) -> float:
        return self.chunks / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        return (self.total - self.chunks) / self.rate if self.rate > 0 and self.total > self.chunks else None


class Stopped(RuntimeError):
    """The migration was paused or cancelled; what is written stays."""


def build(
    database: Database,
    embedder: Embedder,
    *,
    batch_chunks: int = 512,
    share: float = SHARE,
    nice: int = 0,
    check: Callable[[], None] = lambda: None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Embeds until no visible content lacks a vector of the model.

    `share` is the part of the time in which it embeds (`pace.py`). `nice` is the niceness of the embedding threads
    alone (setpriority(2); on Linux it applies per thread). `batch_chunks` bounds what a kill makes embed again. `check`
    is called before each call of the model and during rests, and may raise `Stopped`. A text that the model refuses is
    set aside. Raises `WrongAnswer` for a model that refuses many, `EmbedderUnavailable`,
    psycopg's errors, and `TimeoutError` when content arrives faster than it is embedded; what was written before stays.
    """
    identity = embedder.identity
    began, in_model, chunks, total, refused = time.monotonic(), 0.0, 0, 0, 0
    progress = Progress(0, 0, 0.0, 0.0)
    pace = Pace(share)
    for _ in range(MOST_PASSES):
        with database.system() as connection:
            left = model_vectors.lacking(connection, identity)
        if not left:
            break
        total = chunks + sum(content.chunks for content in left)
        with (
            ThreadPoolExecutor(1, "penstock-read") as reader,
            ThreadPoolExecutor(1, "penstock-write") as writer,
            ThreadPoolExecutor(1, "penstock-embed", initializer=_lower_priority, initargs=(nice,)) as model,
        ):
            written: Future[int] | None = None
            for texts in _ahead(reader, database, _parts(left, lambda: pace.part(max(1, batch_chunks // 2)))):
                found, spent = _embed(model, embedder, texts.texts, pace, check)
                in_model += spent
                refused += len(found.refused)
                if refuses_too_many(refused, total):
                    raise WrongAnswer(
                        f"{identity} refuses {refused} of {total} texts: {next(iter(found.refused.values()))}"
                    )
                if written is not None:
                    chunks += written.result()
                written = writer.submit(_write, database, identity, texts, found)
                progress = Progress(chunks, total, time.monotonic() - began, in_model)
                on_progress(progress)
            if written is not None:
                chunks += written.result()
        progress = Progress(chunks, max(total, chunks), time.monotonic() - began, in_model)
        on_progress(progress)
    else:
        raise TimeoutError(f"content arrived faster than {identity} could embed it, for {MOST_PASSES} passes")
    return progress


def _embed(
    model: ThreadPoolExecutor, embedder: Embedder, texts: Sequence[str], pace: Pace, check: Callable[[], None]
) -> tuple[Embedded, float]:
    """The vectors of `texts` and the seconds spent in the model, which gets slices with rests in between."""
    # Sorted by length, since a slice is padded to its longest text.
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    found = np.empty((len(texts), embedder.dimensions), dtype=np.float32)
    done, seconds = 0, 0.0
    refused: dict[int, str] = {}
    while done < len(texts):
        places = order[done : done + pace.slice(len(texts) - done)]
        pace.rest(check)
        began = time.monotonic()
        given = model.submit(embed_most, embedder, [texts[place] for place in places]).result()
        vectors = given.vectors
        spent = time.monotonic() - began
        pace.embedded(len(places), spent)
        if vectors.shape != (len(places), embedder.dimensions):
            raise WrongAnswer(f"{embedder.identity} gave vectors of shape {vectors.shape} for {len(places)} texts")
        found[places] = vectors
        refused |= {places[at]: reason for at, reason in given.refused.items()}
        done += len(places)
        seconds += spent
    return Embedded(found, refused), seconds


def _lower_priority(nice: int) -> None:
    if nice:
        own = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, own, max(nice, os.getpriority(os.PRIO_PROCESS, own)))


def _write(database: Database, identity: str, texts: Texts, found: Embedded) -> int:
    model_vectors.write_vectors(database, identity, texts, found)
    return len(texts.texts)


def _parts(left: Sequence[Lacking], most: Callable[[], int]) -> Iterator[tuple[uuid.UUID, list[int]]]:
    """Runs of contents of one team, with at most `most()` chunks in total; a single content may have more."""
    contents: list[int] = []
    size = 0
    for place, content in enumerate(left):
        contents.append(content.content_id)
        size += content.chunks
        following = left[place + 1] if place + 1 < len(left) else None
        if following is None or following.team_id != content.team_id or size + following.chunks > most():
            yield content.team_id, contents
            contents, size = [], 0


def _ahead(
    reader: ThreadPoolExecutor, database: Database, parts: Iterator[tuple[uuid.UUID, list[int]]]
) -> Iterator[Texts]:
    """The texts of each part; the next part is read while the caller works on this one."""
    following: Future[Texts] | None = None
    for team_id, contents in parts:
        reading = reader.submit(model_vectors.read_texts, database, team_id, contents)
        if following is not None and (texts := following.result()).texts:
            yield texts
        following = reading
    if following is not None and (texts := following.result()).texts:
        yield texts
