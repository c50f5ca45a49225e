"""Times searches in a process and a session of their own, like the gateway's.

Linux may share cores by session before it considers priorities (autogroup, sched(7)): a search in the session of the
build is slowed more than those of the gateway, which has its own. The process starts at the first query, is restarted
a few times if it is killed, and ends with this one.
"""

import json
import os
import selectors
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from assets.migrations.backfill.probe_worker import LONGEST_LINE
from assets.platform import Platform
from core.settings import Settings

MOST_STARTS = 5
"""How often the process is started, the first time included: one that is killed more often is not worth restarting."""

START_SECONDS = 60.0
SEARCH_SECONDS = 30.0
"""The timeout of a search; one that exceeds it counts as having taken that long."""

LONGEST_TEXT = 20_000
_FILES = 10
_ROOT = Path(__file__).parents[3]
_PROCESS = "the process that times searches"
_UNREADABLE = f"{_PROCESS} gave an answer that cannot be read"


@dataclass(frozen=True, slots=True)
class ProbeQuery:
    """A query to a source, as a user would send it."""

    team_id: uuid.UUID
    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Timing:
    """One search: start by `time.monotonic`, duration, and processor time without the database's; seconds."""

    began: float
    seconds: float
    worked: float


class ProbeFailed(RuntimeError):
    """A search cannot be timed now; the message says why."""


class Probe:
    """Runs searches in a process of its own. One thread searches; any thread may close."""

    def __init__(self, platform: Platform) -> None:
        self._setup = {"url": platform.database.url, "settings": _without_secrets(platform.settings)}
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The running process's id; None while there is no process."""
        return self._process.pid if self._process else None

    def search(self, query: ProbeQuery) -> Timing:
        """Raises `ProbeFailed`."""
        process = self._running()
        began = time.monotonic()
        text = query.text[:LONGEST_TEXT]
        message = {"team": str(query.team_id), "source": query.source, "text": text, "count": _FILES}
        answer = self._exchange(process, message, SEARCH_SECONDS)
        if answer is None:
            return Timing(began, time.monotonic() - began, SEARCH_SECONDS)
        if "error" in answer:
            raise ProbeFailed(str(answer["error"])[:500])
        try:
            return Timing(float(answer["began"]), float(answer["seconds"]), float(answer["worked"]))
        except (KeyError, TypeError, ValueError) as error:
            self._end()
            raise ProbeFailed(_UNREADABLE) from error

    def close(self) -> None:
        """Ends the process; a `search` under way in another thread raises `ProbeFailed`."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()
                self._process.wait()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        with self._lock:
            if self._closed:
                raise ProbeFailed("the probe is closed")
            if self._starts >= MOST_STARTS:
                raise ProbeFailed(f"{_PROCESS} has ended {MOST_STARTS} times, and is not started again")
            self._starts += 1
            try:
                process = self._process = _start_process()
            except OSError as error:
                raise ProbeFailed(f"{_PROCESS} cannot be started: {error}") from error
        answer = self._exchange(process, self._setup, START_SECONDS)
        if answer is None:
            raise ProbeFailed(f"{_PROCESS} was not ready after {START_SECONDS:.0f} s")
        if "ready" not in answer:
            self._end()
            raise ProbeFailed(f"{_PROCESS} did not start: {str(answer.get('error'))[:500]}")
        return process

    def _exchange(
        self, process: "subprocess.Popen[bytes]", message: dict[str, Any], timeout: float
    ) -> dict[str, Any] | None:
        """The answer to a message; None when there is none within `timeout` seconds. Then, and when it raises
        `ProbeFailed`, the process has been ended."""
        try:
            answer = _answer_to(process, message, time.monotonic() + timeout)
        except ProbeFailed:
            self._end()
            raise
        if answer is None:
            self._end()
        return answer

    def _end(self) -> None:
        with self._lock:
            process, self._process = self._process, None
            if process is None:
                return
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            try:
                if stream is not None:
                    stream.close()
            except OSError:  # buffered input of a process that is gone
                continue


def _answer_to(process: "subprocess.Popen[bytes]", message: dict[str, Any], deadline: float) -> dict[str, Any] | None:
    assert process.stdin is not None and process.stdout is not None  # noqa: S101 - it was started with pipes
    try:
        process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()
    except OSError as error:
        raise ProbeFailed(f"{_PROCESS} {_how_it_ended(process)}") from error
    received = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while b"\n" not in received:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return None
            if not (data := os.read(process.stdout.fileno(), 1 << 16)):
                raise ProbeFailed(f"{_PROCESS} {_how_it_ended(process)}")
            received += data
            if len(received) > LONGEST_LINE:
                raise ProbeFailed(f"{_PROCESS} gave an answer without an end")
    try:
        answer = json.loads(received.partition(b"\n")[0])
    except ValueError as error:
        raise ProbeFailed(_UNREADABLE) from error
    if not isinstance(answer, dict):
        raise ProbeFailed(_UNREADABLE)
    return answer


def _start_process() -> "subprocess.Popen[bytes]":
    # Our own module paths, not the working directory. In a session of its own it does not receive a user's Ctrl-C.
    paths = os.pathsep.join(dict.fromkeys([str(_ROOT), *filter(None, sys.path)]))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "assets.migrations.backfill.probe_worker", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths},
        start_new_session=True,
    )


def _how_it_ended(process: "subprocess.Popen[bytes]") -> str:
    try:
        status = process.wait(timeout=1.0)
    except subprocess.TimeoutExpired:
        return "does not answer"
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"


def _without_secrets(settings: Settings) -> dict[str, Any]:
    """A search needs no secret but the database's, which is passed separately."""
    secret = {name for name in Settings.model_fields if isinstance(getattr(settings, name), SecretStr)}
    return settings.model_dump(mode="json", exclude=secret)
