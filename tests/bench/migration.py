"""A migration under load: its effect on the latency of searches, and its speed.

A synthetic repository of about 50,000 chunks (see `context_repository`) is indexed with the default model. Another
process builds the vectors of a real ONNX model on one core with the default share of the time, as a migration does,
while searches run continuously. Their latency is compared with that before the build, and with that in pauses of the
build, which alternate with it so that other load on the machine affects both alike. Building alone is compared with the
model's own speed, and cutting over and rolling back are timed under searches.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from assets.context.indexing.refresh import refresh
from assets.context.models import model_vectors
from assets.context.search import search
from assets.context.source.sources import add_source
from assets.migrations.backfill import pace
from assets.migrations.backfill.build import Progress, Stopped, build
from assets.migrations.lifecycle import record, switch
from assets.migrations.lifecycle.record import Options
from assets.platform import Platform
from core.database.embedded import LOGIN, EmbeddedServer
from core.database.schema import upgrade
from core.embedding import Embedder, Vectors, catalogue, find_spec
from core.events import DEFAULT_TEAM
from core.settings import Settings
from core.states import MigrationState
from core.statistics import percentile
from tests.bench.context_repository import Author, commit, create

FILES = int(os.environ.get("PENSTOCK_BENCH_FILES", "7500"))
SECONDS = float(os.environ.get("PENSTOCK_BENCH_SECONDS", "60"))
"""Seconds of searching without a build, and of searching during the build."""
SHARE = float(os.environ.get("PENSTOCK_BENCH_SHARE", str(pace.SHARE)))
ROUNDS = 4
NEW = "all-minilm-l6-v2-q"
ALONE_CHUNKS = 600


def measure() -> list[dict[str, Any]]:
    with _workplace() as platform:
        author = Author(seed=11)
        texts = [author.query() for _ in range(400)]
        with platform.database.system() as connection:
            old = catalogue.find(connection, "wordllama")
            chunks = catalogue.coverage(connection, old.id)[0].chunks
        new = catalogue.register(platform.database, find_spec(NEW, platform.settings.models_folder))
        before, failures, empty = _ask_for(platform, texts, _after(SECONDS / 2))
        options = Options(threads=1, share=SHARE)
        started = switch.start(platform.database, old, new, options, {})
        told, pause = platform.settings.home / "builder.json", platform.settings.home / "pause"
        builder = _builder(platform, told, pause)
        quiet: list[float] = []
        busy: list[float] = []
        built, embedding, disturbed = 0, 0.0, 0
        try:
            # Until the builder has begun to embed.
            _ask_for(platform, texts, lambda: told.exists() or builder.poll() is not None)
            for _ in range(ROUNDS):
                done = _told(told)
                taken, more_failures, more_empty = _ask_for(platform, texts, _after(SECONDS / ROUNDS))
                busy += taken
                disturbed += more_failures + more_empty
                seen = _told(told)
                built += seen["embedded"] - done["embedded"]
                embedding += seen["embedding_seconds"] - done["embedding_seconds"]
                pause.touch()
                _ask_for(platform, texts, lambda: _told(told)["paused"] or builder.poll() is not None)
                quiet += _ask_for(platform, texts, _after(SECONDS / ROUNDS))[0]
                pause.unlink()
                _ask_for(platform, texts, lambda: not _told(told)["paused"] or builder.poll() is not None)
        finally:
            builder.terminate()
            builder.wait()
        alone = _building_alone(platform, new.identity)
        searching = f"95% of searches while {NEW} is built on one core, {chunks:,} chunks"
        one_core = _model_speed(platform, new.identity, threads=1)
        return [
            _row(searching, percentile(busy, 0.95), "ms", "in its pauses", percentile(quiet, 0.95)),
            _row("the same", percentile(busy, 0.95), "ms", "before it began", percentile(before, 0.95)),
            _row("half of them", percentile(busy, 0.5), "ms", "in its pauses", percentile(quiet, 0.5)),
            _row("searches that failed or found nothing then", disturbed, "", "undisturbed", failures + empty),
            _row("built meanwhile", built / SECONDS, "chunks/s", "the model alone on one core", one_core),
            _row("part of that time in which it embedded", 100 * embedding / SECONDS, "%", "its share", 100 * SHARE),
            alone,
            *_cutting_over(platform, started.id, texts),
        ]


def _told(told: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(told.read_text(encoding="utf-8"))
    return found


def _ask_for(platform: Platform, texts: list[str], done: Callable[[], bool]) -> tuple[list[float], int, int]:
    """Searches until `done`. Returns the milliseconds of each search, and how many failed and found nothing."""
    taken: list[float] = []
    failed = empty = 0
    for text in texts[:20]:
        _search(platform, text)
    while not done():
        began = time.perf_counter()
        try:
            empty += not _search(platform, texts[len(taken) % len(texts)])
        except Exception as error:
            failed += 1
            print(f"migration: a search failed: {error}", file=sys.stderr)  # noqa: T201
        taken.append(1000 * (time.perf_counter() - began))
    return taken, failed, empty


def _search(platform: Platform, text: str) -> list[Any]:
    used = platform.models.in_use()
    return search(platform.database, DEFAULT_TEAM, "bench", text, 10, embedders=used.asked, fallback=used.draining)


def _after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def _building_alone(platform: Platform, identity: str) -> dict[str, Any]:
    """Chunks per second of a build on an idle machine, against the model alone on texts of the same index."""
    with platform.database.system() as connection:
        entry = catalogue.find(connection, identity)
    embedder = platform.models.open(entry)
    alone = _model_speed(platform, identity)
    done: list[Progress] = []

    def check() -> None:
        if done and done[-1].chunks >= 2 * ALONE_CHUNKS:
            raise Stopped("measured")

    with suppress(Stopped):
        build(platform.database, embedder, share=1.0, check=check, on_progress=done.append)
    # Writing lags behind embedding; from the first write on, both have the same rate.
    first, last = next(one for one in done if one.chunks), done[-1]
    rate = (last.chunks - first.chunks) / (last.seconds - first.seconds)
    return _row("building with nothing beside it", rate, "chunks/s", "the model alone", alone)


def _model_speed(platform: Platform, identity: str, *, threads: int = 0) -> float:
    """Chunks per second of the model alone."""
    with platform.database.system() as connection:
        entry = catalogue.find(connection, identity)
        left = model_vectors.lacking(connection, identity)
    embedder = catalogue.opened(entry, threads=threads)
    sample = [content.content_id for content in left[-200:]]
    texts = model_vectors.read_texts(platform.database, DEFAULT_TEAM, sample).texts[:ALONE_CHUNKS]
    embedder.embed_documents(texts[:8])  # loads the model
    began = time.perf_counter()
    embedder.embed_documents(texts)
    return len(texts) / (time.perf_counter() - began)


def _cutting_over(platform: Platform, number: int, texts: list[str]) -> Iterator[dict[str, Any]]:
    """How long cutting over and rolling back hold locks, under continuous searches."""
    with platform.database.system() as connection:
        migration = record.get(connection, number)
        record.move(connection, migration, MigrationState.SHADOWING)
        record.move(connection, record.get(connection, number), MigrationState.JUDGED)
    stop = threading.Event()
    seen: list[tuple[list[float], int, int]] = []
    asking = threading.Thread(target=lambda: seen.append(_ask_for(platform, texts, stop.is_set)))
    asking.start()
    try:
        time.sleep(2)
        switch.cut_over(platform.database, number, accept=True)
        time.sleep(2)
        switch.roll_back(platform.database, number, "measured")
        time.sleep(2)
    finally:
        stop.set()
        asking.join()
    with platform.database.system() as connection:
        events = record.timeline(connection, number)
    over, back = [event.body["milliseconds"] for event in events if event.kind == "locks held"]
    yield _row("cutting over, locks held", over, "ms", "the most allowed", 100)
    yield _row("rolling back, locks held", back, "ms", "the most allowed", 100)
    taken, failed, empty = seen[0]
    yield _row("searches that failed or found nothing then", failed + empty, "", "searches", len(taken))


def _builder(platform: Platform, told: Path, pause: Path) -> "subprocess.Popen[bytes]":
    arguments = [platform.database.url, str(platform.settings.home), str(told), str(pause)]
    # In its own session, as the platform starts its processes: Linux may share the cores between sessions.
    return subprocess.Popen([sys.executable, "-m", "tests.bench.migration", *arguments], start_new_session=True)


def _build_here(url: str, home: str, told: str, pause: str) -> None:
    """Builds like `drive`, and writes how much it has embedded to the file `told`. Waits while the file `pause`
    exists."""
    platform = Platform(Settings(home=Path(home)), url)
    with platform.database.system() as connection:
        entry = catalogue.find(connection, NEW)
    options = Options(threads=1, share=SHARE)
    embedder = _Counting(catalogue.opened(entry, threads=options.threads))

    def tell(paused: bool = False) -> None:
        part = Path(told).with_suffix(".part")
        body = {"embedded": embedder.texts, "embedding_seconds": embedder.seconds, "paused": paused}
        part.write_text(json.dumps(body), encoding="utf-8")
        part.replace(told)

    def check() -> None:
        paused = Path(pause).exists()
        tell(paused)
        while paused and Path(pause).exists():
            time.sleep(0.02)

    build(platform.database, embedder, share=options.share, nice=options.nice, check=check)


class _Counting:
    """An embedder that counts the texts it embeds, and the seconds that this takes."""

    def __init__(self, inner: Embedder) -> None:
        self._inner = inner
        self.identity, self.dimensions, self.max_tokens = inner.identity, inner.dimensions, inner.max_tokens
        self.texts, self.seconds = 0, 0.0

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        began = time.perf_counter()
        found = self._inner.embed_documents(texts)
        self.texts += len(texts)
        self.seconds += time.perf_counter() - began
        return found

    def embed_query(self, text: str) -> Vectors:
        return self._inner.embed_query(text)


@contextmanager
def _workplace() -> Iterator[Platform]:
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedServer(Path(folder) / "postgres")
        try:
            server.ensure_database("penstock")
            upgrade(server.url("penstock", owner=True), login=LOGIN)
            settings = Settings(home=Path(folder) / "home", allowed_roots=(Path(folder),))
            platform = Platform(settings, server.url("penstock"))
            repository = Path(folder) / "repository.git"
            create(repository)
            commit(repository, Author().files(FILES), 0)
            add_source(platform.database, DEFAULT_TEAM, "bench", str(repository), roots=settings.roots)
            refresh(
                platform.database,
                DEFAULT_TEAM,
                "bench",
                mirrors=platform.mirrors,
                roots=settings.roots,
                embedders=platform.models.in_use().asked,
            )
            yield platform
            platform.close()
        finally:
            server.release()


def _row(name: str, value: float, unit: str, against: str, against_value: float) -> dict[str, Any]:
    ratio = round(value / against_value, 3) if against_value else 0.0
    return {
        "name": name,
        "value": round(value, 2),
        "unit": unit,
        "against": against,
        "against_value": round(against_value, 2),
        "ratio": ratio,
    }


if __name__ == "__main__":
    _build_here(*sys.argv[1:])
