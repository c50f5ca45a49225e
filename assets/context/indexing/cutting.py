"""Cuts many files in worker processes, while the calling process embeds and writes.

This uses several cores, and if a grammar crashes its process on a file, the refresh continues: that file is
skipped with the reason. Few files are cut in the calling process, since a worker takes a moment to start.
"""

import contextlib
import marshal
import os
import queue
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import IO

from assets.context.chunking.chunks import Chunk, cut, language_of
from assets.context.chunking.vocabulary import MOST_WORDS, Vocabulary
from assets.context.source.skips import skip_content
from assets.context.store.batch import ContentBatch, Key

FEW_FILES = 256
"""Up to this many files are cut in the calling process."""

JOB_BYTES = 192 << 10
JOB_FILES = 64
MOST_PROCESSES = 3
JOB_TIMEOUT = 120.0
"""Timeout of one job in seconds, some hundred times its usual duration."""

_AHEAD = 2
_HEADER = struct.Struct("<Q")
_START = "from assets.context.indexing.cutting import serve; serve()"

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
    """
    if count <= FEW_FILES:
        vocabulary = Vocabulary()
        for job in _jobs(files):
            yield cut_files(job, vocabulary)
        return
    with contextlib.ExitStack() as stack:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        crew = [stack.enter_context(_Cutter()) for _ in range(min(MOST_PROCESSES, cores))]
        waiting: deque[_Cutter] = deque()
        for number, job in enumerate(_jobs(files)):
            cutter = crew[number % len(crew)]
            if len(waiting) >= _AHEAD * len(crew):
                yield waiting.popleft().take()
            cutter.give(job)
            waiting.append(cutter)
        while waiting:
            yield waiting.popleft().take()


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


class _Cutter:
    """One worker process, started at its first job. It ends at the end of its input, so never outlives its parent."""

    def __init__(self) -> None:
        self._jobs: deque[list[File]] = deque()
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def __enter__(self) -> "_Cutter":
        return self

    def __exit__(self, *exception: object) -> None:
        self._end()

    def give(self, job: list[File]) -> None:
        self._jobs.append(job)
        if self._process is None:
            self._start()
        self._send(job)

    def take(self) -> ContentBatch:
        """The batch of the oldest unfinished job. If the worker fails on it, its files are cut one by one."""
        job = self._jobs.popleft()
        with contextlib.suppress(queue.Empty):
            answer = self._answers.get(timeout=JOB_TIMEOUT)
            if answer is not None:
                return ContentBatch.from_plain(marshal.loads(answer))  # noqa: S302
        self._end()
        done = _one_by_one(job)
        if self._jobs:
            self._start()
            for waiting in self._jobs:
                self._send(waiting)
        return done

    def _start(self) -> None:
        self._process = _worker()
        self._answers = queue.SimpleQueue()
        # A thread reads the answers, so that two full pipes cannot deadlock the processes.
        threading.Thread(target=_collect, args=(self._process.stdout, self._answers), daemon=True).start()

    def _send(self, job: list[File]) -> None:
        if self._process and self._process.stdin:
            with contextlib.suppress(BrokenPipeError):  # the worker died: `take` detects that and cuts the job again
                _write(self._process.stdin, marshal.dumps(job))

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        if process.stdin:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()


def _one_by_one(job: list[File]) -> ContentBatch:
    """Cuts the files of a job that failed, each in its own process, and skips those that crash it or time out."""
    done = ContentBatch()
    for blob, raw, chunkers in job:
        process = _worker()
        packed = marshal.dumps([(blob, raw, chunkers)])
        try:
            answer, _ = process.communicate(_HEADER.pack(len(packed)) + packed, timeout=JOB_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            answer = b""
        if len(answer) > _HEADER.size:
            done.merge(ContentBatch.from_plain(marshal.loads(answer[_HEADER.size :])))  # noqa: S302
        else:
            for chunker in chunkers:
                done.skip((blob, chunker), "its parser crashed or timed out")
    return done


def _worker() -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", _START]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def _collect(stream: IO[bytes], answers: "queue.SimpleQueue[bytes | None]") -> None:
    with stream:
        while (answer := _read(stream)) is not None:
            answers.put(answer)
    answers.put(None)


def serve() -> None:
    """Runs a worker: reads jobs from standard input and writes their batches to standard output."""
    source = os.fdopen(os.dup(0), "rb")
    target = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    vocabulary = Vocabulary()
    while (job := _read(source)) is not None:
        if len(vocabulary) > MOST_WORDS:
            vocabulary = Vocabulary()
        _write(target, marshal.dumps(cut_files(marshal.loads(job), vocabulary).to_plain()))  # noqa: S302


def _read(stream: IO[bytes]) -> bytes | None:
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    size = _HEADER.unpack(header)[0]
    content = stream.read(size)
    return content if len(content) == size else None


def _write(stream: IO[bytes], content: bytes) -> None:
    stream.write(_HEADER.pack(len(content)))
    stream.write(content)
    stream.flush()
