"""Times searches in a process and a session of their own, as the gateway's are.

Linux may share cores by session before it looks at priorities (autogroup, sched(7)): a search in the session of the
build is slowed more than those of the gateway, which has its own. The process is started at the first query, is
started again a few times if it is killed, and ends with this one.
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
"""Of its process, the first one too: what is killed more often had better not be started again."""

START_SECONDS = 60.0
SEARCH_SECONDS = 30.0
"""A search that takes longer is given up; it counts as one that took so long."""

LONGEST_TEXT = 20_000
_FILES = 10
_ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Question:
    """One that people ask of a source."""

    team_id: uuid.UUID
    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Taken:
    """One search: its beginning by `time.monotonic`, seconds, and those in which it kept a processor busy, without the
    database's."""

    began: float
    seconds: float
    worked: float


class CannotAsk(RuntimeError):
    """A search cannot be timed now; the message says why."""


class _Ended(Exception):
    """The process has ended, or was told to."""


class _Late(Exception):
    """No answer in time."""


class Probe:
    """Asks searches in a process of its own. One thread asks; any may close."""

    def __init__(self, platform: Platform) -> None:
        self._given = {"url": platform.database.url, "settings": _plain(platform.settings)}
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = bytearray()
        self._starts = 0
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the process, if there is one at this moment."""
        return self._process.pid if self._process else None

    def ask(self, question: Question) -> Taken:
        """Raises `CannotAsk`."""
        process = self._running()
        began = time.monotonic()
        try:
            text = question.text[:LONGEST_TEXT]
            self._send(
                process, {"team": str(question.team_id), "source": question.source, "text": text, "count": _FILES}
            )
            answer = self._answer(process, began + SEARCH_SECONDS)
        except _Late:
            self._end()
            return Taken(began, time.monotonic() - began, SEARCH_SECONDS)
        except _Ended as error:
            self._end()
            raise CannotAsk(f"the process that asks searches {error}") from error
        if "error" in answer:
            raise CannotAsk(str(answer["error"])[:500])
        try:
            return Taken(float(answer["began"]), float(answer["seconds"]), float(answer["worked"]))
        except (KeyError, TypeError, ValueError) as error:
            self._end()
            raise CannotAsk("the process that asks searches gave an answer that cannot be read") from error

    def close(self) -> None:
        """Ends the process; one that waits for its answer is told `CannotAsk`."""
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
                raise CannotAsk("nothing is asked any more")
            if self._starts >= MOST_STARTS:
                raise CannotAsk(f"the process that asks searches has ended {MOST_STARTS} times, and is left alone")
            self._starts += 1
            try:
                process = self._process = _started()
            except OSError as error:
                raise CannotAsk(f"the process that asks searches cannot be started: {error}") from error
        try:
            self._send(process, self._given)
            answer = self._answer(process, time.monotonic() + START_SECONDS)
        except _Late as error:
            self._end()
            raise CannotAsk(f"the process that asks searches was not ready after {START_SECONDS:.0f} s") from error
        except _Ended as error:
            self._end()
            raise CannotAsk(f"the process that asks searches {error}") from error
        if "ready" not in answer:
            self._end()
            raise CannotAsk(f"the process that asks searches did not start: {str(answer.get('error'))[:500]}")
        return process

    def _end(self) -> None:
        with self._lock:
            process, self._process = self._process, None
            self._buffer.clear()
            if process is None:
                return
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            try:
                if stream is not None:
                    stream.close()
            except OSError:  # what was buffered for a process that is gone
                continue

    def _send(self, process: "subprocess.Popen[bytes]", told: dict[str, Any]) -> None:
        assert process.stdin is not None  # noqa: S101 - it was started with pipes
        try:
            process.stdin.write(json.dumps(told).encode() + b"\n")
            process.stdin.flush()
        except OSError as error:
            raise _Ended(_how(process)) from error

    def _answer(self, process: "subprocess.Popen[bytes]", deadline: float) -> dict[str, Any]:
        assert process.stdout is not None  # noqa: S101 - it was started with pipes
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while (at := self._buffer.find(b"\n")) < 0:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise _Late
                data = os.read(process.stdout.fileno(), 1 << 16)
                if not data:
                    raise _Ended(_how(process))
                self._buffer += data
                if len(self._buffer) > LONGEST_LINE:
                    raise _Ended("gave an answer without an end")
        line = bytes(self._buffer[:at])
        del self._buffer[: at + 1]
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise _Ended("gave an answer that cannot be read") from error
        if not isinstance(answer, dict):
            raise _Ended("gave an answer that cannot be read")
        return answer


def _started() -> "subprocess.Popen[bytes]":
    # Our own places of modules, and not the working directory's. In its own session a person's Ctrl-C is not for it.
    places = os.pathsep.join(dict.fromkeys([str(_ROOT), *filter(None, sys.path)]))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "assets.migrations.backfill.probe_worker", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": places},
        start_new_session=True,
    )


def _how(process: "subprocess.Popen[bytes]") -> str:
    try:
        status = process.wait(timeout=1.0)
    except subprocess.TimeoutExpired:
        return "does not answer"
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"


def _plain(settings: Settings) -> dict[str, Any]:
    """The settings without secrets: a search needs none but the database's, which goes beside them."""
    secret = {name for name in Settings.model_fields if isinstance(getattr(settings, name), SecretStr)}
    return settings.model_dump(mode="json", exclude=secret)
