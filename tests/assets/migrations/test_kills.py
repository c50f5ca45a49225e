"""A migration whose driver is killed after every transaction, or at random, ends like an undisturbed one."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assets.context.models import model_vectors
from assets.migrations.backfill import spot_check
from assets.migrations.backfill.build import build
from assets.migrations.lifecycle import record
from assets.migrations.lifecycle.drive import drive
from assets.migrations.lifecycle.record import Migration
from assets.platform import Platform
from core.database import Database
from core.embedding import known_answers
from core.embedding.hashing import HashingEmbedder
from core.embedding.spec import BuiltIn

GOOD = BuiltIn(name="good", provider="hashing", dimensions=512)
BATCH = 16


def in_child(work: Callable[[], None], *, kill_after: float | None = None) -> int:
    """Runs `work` in a forked process and returns its exit status: 0, or minus the signal's number."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def count_texts(log: Path, pause: float = 0.0) -> None:
    """Records each text that this process embeds from now on."""
    spot_check.SAMPLE_CHUNKS = 0  # it embeds again on purpose
    embed = HashingEmbedder.embed_documents

    def noted(self: HashingEmbedder, texts: Sequence[str]) -> Any:
        # Neither the check at opening nor a query is part of the build.
        if len(texts) != len(known_answers.TEXTS) and not texts[0].startswith("Make "):
            with log.open("ab") as file:
                file.writelines(text.encode() + b"\n" for text in texts)
        time.sleep(pause)
        return embed(self, texts)

    HashingEmbedder.embed_documents = noted  # type: ignore[method-assign]


def die_after(transactions: int, later: float = 0.0) -> None:
    """Kills this process right after its nth commit, or some seconds later."""
    left = [transactions]

    def wrap(method: Any) -> Any:
        @contextmanager
        def counted(*arguments: Any, **named: Any) -> Iterator[Any]:
            with method(*arguments, **named) as connection:
                yield connection
            left[0] -= 1
            if left[0] == 0 and later:
                threading.Timer(later, os.kill, (os.getpid(), signal.SIGKILL)).start()
            elif left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        return counted

    Database.system = wrap(Database.system)  # type: ignore[method-assign]
    Database.team = wrap(Database.team)  # type: ignore[method-assign]


def expected(platform: Platform, dimensions: int) -> dict[tuple[int, int], Any]:
    """The vectors that an undisturbed build makes."""
    embedder = HashingEmbedder(dimensions)
    with platform.database.system() as connection:
        rows = connection.execute("SELECT DISTINCT team_id, content_id FROM source_files WHERE content_id IS NOT NULL")
        found = rows.fetchall()
    texts = model_vectors.read_texts(platform.database, found[0][0], [row[1] for row in found])
    made = embedder.embed_documents(texts.texts)
    return dict(zip(zip(texts.contents, texts.chunks, strict=True), made, strict=True))


def assert_undisturbed(platform: Platform, rows: list[Any], dimensions: int = 512) -> None:
    wanted = expected(platform, dimensions)
    assert [(row[1], row[2]) for row in rows] == sorted(wanted)
    for _, content, chunk, text in rows:
        assert np.allclose(np.fromstring(text.strip("[]"), sep=","), wanted[content, chunk], atol=1e-6)


def again(platform: Platform) -> Platform:
    return Platform(platform.settings, platform.database.url)


def test_killed_after_every_transaction_it_ends_as_if_undisturbed(
    platform: Platform, begin: Any, states: Any, vectors: Any, tmp_path: Path
) -> None:
    migration = begin(GOOD, batch_chunks=BATCH, queries=20, automatic=False)
    log = tmp_path / "texts"
    kills = 0
    for transactions in (*range(1, 30), *range(30, 400, 6)):  # most of the comparison's transactions only read

        def work(transactions: int = transactions) -> None:
            count_texts(log)
            die_after(transactions)
            drive(again(platform), migration.id)

        if in_child(work) == 0:
            break
        kills += 1
    assert kills >= 10
    assert states() == {"hashing": "serving", "good": "building"}
    assert_undisturbed(platform, vectors("good"))
    texts = log.read_bytes().splitlines()
    assert len(texts) - len(set(texts)) <= kills * BATCH


def test_killed_at_random_it_embeds_no_more_than_a_batch_again_each_time(
    platform: Platform, begin: Any, vectors: Any, tmp_path: Path
) -> None:
    begin(GOOD, batch_chunks=BATCH)
    log = tmp_path / "texts"
    rng = random.Random(5)  # noqa: S311
    kills = 0
    for _ in range(12):

        def work() -> None:
            count_texts(log, pause=0.05)
            build(Database(platform.database.url), HashingEmbedder(512), batch_chunks=BATCH)

        kills += in_child(work, kill_after=rng.uniform(0.02, 0.25)) != 0
    assert kills > 3
    build(platform.database, HashingEmbedder(512), batch_chunks=BATCH)
    assert_undisturbed(platform, vectors("good"))
    texts = log.read_bytes().splitlines()
    assert len(texts) - len(set(texts)) <= kills * BATCH


@pytest.mark.services
def test_killed_fifty_times_at_random_in_any_stage_each_migration_ends_as_if_undisturbed(
    platform: Platform, begin: Any, states: Any, vectors: Any, tmp_path: Path
) -> None:
    rng = random.Random(50)  # noqa: S311
    kills, seen, log = 0, set(), tmp_path / "texts"
    for number in range(30):
        log.unlink(missing_ok=True)
        name, dimensions = f"new-{number}", 512 + 8 * number
        spec = BuiltIn(name=name, provider="hashing", dimensions=dimensions)
        migration = begin(spec, batch_chunks=BATCH, queries=30, margin=0.4, share=0.5)
        killed_before = kills
        for _ in range(400):
            # Most lives are short; some are long enough to ask all the queries of the comparison.
            life = rng.randint(1, 12) if rng.random() < 0.85 else rng.randint(12, 160)

            def work(life: int = life, later: float = rng.uniform(0, 0.01), migration: Migration = migration) -> None:
                count_texts(log)
                die_after(life, later)
                drive(again(platform), migration.id)

            ended = in_child(work)
            with platform.database.system() as connection:
                now = record.get(connection, migration.id)
            if ended == 0:
                break
            kills += 1
            seen.add(now.state)
        assert (now.state, states()[name]) == ("done", "serving")
        assert_undisturbed(platform, vectors(name), dimensions)
        texts = log.read_bytes().splitlines()
        assert len(texts) - len(set(texts)) <= (kills - killed_before) * BATCH
        if kills >= 50:
            break
    assert kills >= 50
    assert {"building", "shadowing"} <= seen  # the stages after these are passed in a moment: see the next test


def test_killed_after_the_cut_over_its_models_are_never_in_a_mixed_state(
    platform: Platform, begin: Any, states: Any
) -> None:
    migration = begin(GOOD, queries=30, margin=0.2)
    seen = set()
    for transactions in range(10, 200, 7):

        def work(transactions: int = transactions) -> None:
            die_after(transactions)
            drive(again(platform), migration.id)

        ended = in_child(work)
        now = states()
        seen.add((now["hashing"], now["good"]))
        if ended == 0:
            break
    assert seen <= {
        ("serving", "building"),
        ("building", "serving"),
        ("draining", "serving"),
        ("retired", "serving"),
    }
    assert states() == {"hashing": "retired", "good": "serving"}


def test_only_the_embedding_threads_have_a_lower_priority(platform: Platform, begin: Any) -> None:
    begin(GOOD)
    seen: set[int] = set()

    class Watched(HashingEmbedder):
        def embed_documents(self, texts: Sequence[str]) -> Any:
            seen.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
            return super().embed_documents(texts)

    before = os.getpriority(os.PRIO_PROCESS, 0)
    build(platform.database, Watched(512), nice=12)
    assert seen == {max(12, before)}
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_build_takes_its_share_of_the_time(platform: Platform, begin: Any, share: float) -> None:
    begin(GOOD)

    class Slow(HashingEmbedder):
        def embed_documents(self, texts: Sequence[str]) -> Any:
            time.sleep(0.03)
            return super().embed_documents(texts)

    done = build(platform.database, Slow(512), batch_chunks=BATCH, share=share)
    assert done.chunks >= 120
    used = done.model_seconds / done.seconds
    assert used < share + 0.05 if share < 1 else used > 0.5
