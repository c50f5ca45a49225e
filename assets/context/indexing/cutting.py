"""Cuts many files in worker processes, while the calling process embeds and writes.

This uses several cores, and if a grammar crashes its process on a file, the refresh continues: that file is
skipped with the reason. Few files are cut in the calling process, since a worker takes a moment to start.
"""

import marshal
import os
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

from assets.context.chunking.chunks import Chunk, cut, language_of
from assets.context.chunking.vocabulary import MOST_WORDS, Vocabulary
from assets.context.source.skips import skip_content
from assets.context.store.batch import ContentBatch, Key
from core.worker import Worker, WorkerEnded, serve

MODULE = "assets.context.indexing.cutting"

FEW_FILES = 256
"""Up to this many files are cut in the calling process."""

JOB_BYTES = 192 << 10
JOB_FILES = 64
MOST_PROCESSES = 3
JOB_TIMEOUT = 120.0
"""Timeout of one job in seconds, some hundred times its usual duration."""

MEMORY = 4 << 30
"""Bytes of address space of a worker process."""

_AHEAD = 2

File = tuple[str, bytes, dict[str, str]]
"""Blob id, content, and by chunker a path whose name selects its language."""


def cut_files(files: Iterable[File], vocabulary: Vocabulary) -> ContentBatch:
    """Cuts the files and counts their terms; files that are not to be indexed are in `skipped`."""
    contents: list[tuple[Key, list[Chunk]]] = []
    skipped: list[tuple[Key, str]] = []
    for blob, raw, chunkers in files:
        reason = skip_content(raw)
        for chunker, path in chunkers.items():
            if reason:
                skipped.append(((blob, chunker), reason))
            else:
                contents.append(((blob, chunker), cut(raw, language_of(path))))
    batch = ContentBatch.counted(contents, vocabulary)
    batch.skipped = skipped
    return batch


def cut_all(files: Iterable[File], count: int) -> Generator[ContentBatch]:
    """Yields batches of the files, in order. `count` is the approximate number of files.

    Holds a bounded number of files in memory. Close the generator to end its processes early.
    Raises `core.worker.WorkerUnavailable`.
    """
    if count <= FEW_FILES:
        vocabulary = Vocabulary()
        for job in _jobs(files):
            yield cut_files(job, vocabulary)
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processes = min(MOST_PROCESSES, cores)
    with _Workers() as workers, ThreadPoolExecutor(processes, "penstock-cutting") as pool:
        waiting: deque[Future[ContentBatch]] = deque()
        try:
            for job in _jobs(files):
                if len(waiting) >= _AHEAD * processes:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(workers.cut, job))
            while waiting:
                yield waiting.popleft().result()
        finally:
            workers.kill()


def _jobs(files: Iterable[File]) -> Iterator[list[File]]:
    job: list[File] = []
    size = 0
    for file in files:
        job.append(file)
        size += len(file[1])
        if size >= JOB_BYTES or len(job) >= JOB_FILES:
            yield job
            job, size = [], 0
    if job:
        yield job


class _Workers:
    """A worker process for each thread that cuts, started at its first job."""

    def __init__(self) -> None:
        self._mine = threading.local()
        self._started: list[Worker] = []
        self._killed = False

    def __enter__(self) -> "_Workers":
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self._started:
            worker.end()

    def kill(self) -> None:
        """Kills the workers from any thread. Jobs that wait or run fail with `CancelledError`."""
        self._killed = True
        for worker in self._started:
            worker.kill()

    def cut(self, job: list[File]) -> ContentBatch:
        """If a worker fails on the job, its files are cut one by one, and those on which one fails are skipped."""
        try:
            return self._ask(job)
        except WorkerEnded:
            done = ContentBatch()
        for file in job:
            try:
                done.merge(self._ask([file]))
            except WorkerEnded:
                for chunker in file[2]:
                    done.skip((file[0], chunker), "its parser crashed or timed out")
        return done

    def _ask(self, job: list[File]) -> ContentBatch:
        worker: Worker | None = getattr(self._mine, "worker", None)
        if worker is None and not self._killed:
            worker = self._mine.worker = Worker(MODULE)
            self._started.append(worker)
        if worker is None or self._killed:
            raise CancelledError
        try:
            return ContentBatch.from_plain(marshal.loads(worker.ask(marshal.dumps(job), JOB_TIMEOUT)))  # noqa: S302
        except WorkerEnded:
            self._mine.worker = None
            raise


def main() -> None:
    """Runs a worker process: answers each job with its batch."""
    vocabulary = Vocabulary()

    def answer(job: bytes) -> bytes:
        nonlocal vocabulary
        if len(vocabulary) > MOST_WORDS:
            vocabulary = Vocabulary()
        return marshal.dumps(cut_files(marshal.loads(job), vocabulary).to_plain())  # noqa: S302

    serve(answer, memory=MEMORY)


if __name__ == "__main__":
    main()
