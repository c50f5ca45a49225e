"""The journal of an attempt, by which one whose process was killed goes on at the action that it had come to.

Each action is stored before it runs, and its outcome after. When an attempt is run again, everything is decided again
from the start, but an action whose outcome is stored is not carried out: its outcome is taken from the journal, with
the time that it took. Decisions are deterministic, so the same actions follow; where one does not, because the journal
was written by another version or a test behaves in another way, the rest of the journal is set aside.
Source of the idea: event sourcing, as in durable execution (Temporal, "Workflow execution", 2024).
"""

import contextlib
import hashlib
import json
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from core.remarks import AT_ONCE, Remark
from core.trajectory import Entry

OutcomeT = TypeVar("OutcomeT")
APART = frozenset({"environment"})
"""Kinds of entries that are written anew each time, since what they are about may be in a cache by then."""
BEGIN, RESUME, REMARKS = "begin", "resume", "remarks"
"""The first entry of an execution, behind those of earlier stages; that of one which goes on; and what people said."""
MAX_OUTCOME = 16 << 20
"""Bytes of one outcome, before it is compressed; an action with a longer one is carried out again."""


class Store(Protocol):
    """Where the journal is kept: `core.trajectory.Trajectory`."""

    def entries(self) -> Sequence[Entry]: ...

    def append(self, kind: str, body: dict[str, Any], elapsed: float, digest: str | None = None) -> int: ...

    def finish(self, seq: int, outcome: bytes, elapsed: float, ended: int) -> None: ...

    def remarks(self) -> Sequence[Remark]: ...

    def heard(self, seq: int, remarks: Sequence[Remark]) -> None: ...


class Unkept:
    """Passes entries on to a callback and keeps no outcome."""

    def __init__(self, record: Callable[[str, dict[str, Any]], object]) -> None:
        self._record = record
        self._count = 0

    def entries(self) -> Sequence[Entry]:
        return ()

    def append(self, kind: str, body: dict[str, Any], elapsed: float, digest: str | None = None) -> int:
        self._record(kind, body)
        self._count += 1
        return self._count

    def finish(self, seq: int, outcome: bytes, elapsed: float, ended: int) -> None:
        """Nothing is kept."""

    def remarks(self) -> Sequence[Remark]:
        return ()

    def heard(self, seq: int, remarks: Sequence[Remark]) -> None:
        """Nothing is kept."""


class Journal:
    """Writes entries, or follows those that an earlier run of the attempt has written.

    Its clock counts the seconds of the attempt's budget. While the journal is followed it stands at the time of the
    entry that was reached, so that what is decided by time is decided as before.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        entries = store.entries()
        self._ahead = deque(_valid(entries))
        self._missed = [one for entry in entries if entry.kind == REMARKS for one in _remarks_of(entry)]
        """Remarks of earlier runs; those that are not met while their journal is followed are heard afterwards."""
        self._heard: set[str] = set()
        self.keeps = not isinstance(store, Unkept)
        self._elapsed = 0.0
        self._since = time.monotonic()
        self.last = 0
        """The number of the last entry that was written or passed."""
        self._followed = 0
        self._resuming = "" if self._ahead else None
        """Why the journal was left, once it was; None when nothing about it is to be written."""
        self.taken_over = 0
        """How many actions were not carried out, because their outcome was known."""

    @property
    def following(self) -> bool:
        """Whether entries of an earlier run lie ahead."""
        return bool(self._ahead)

    def now(self) -> float:
        """Seconds of the attempt's budget that are used."""
        return self._elapsed if self._ahead else self._elapsed + time.monotonic() - self._since

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Time inside does not count."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._since += time.monotonic() - began

    def record(self, kind: str, body: dict[str, Any]) -> int:
        """Writes an entry, or passes the one that an earlier run has written; returns its number."""
        if self._ahead and kind not in APART:
            entry = self._ahead[0]
            if entry.kind == kind and entry.digest is None:
                return self._pass(entry.seq, entry.elapsed)
            self._leave(f"`{entry.kind}` was to follow, but `{kind}` did")
        return self._append(kind, body)

    def hear(self) -> list[Remark]:
        """What people have said since the last call, at most `AT_ONCE` remarks; while the journal is followed, what an
        earlier run heard at this point. Writes an entry, whose number is `last` then, unless nobody said anything."""
        if self._ahead:
            entry = self._ahead[0]
            if entry.kind != REMARKS:
                return []
            self._pass(entry.seq, entry.elapsed)
            found = _remarks_of(entry)
        else:
            said = (*self._missed, *self._store.remarks())
            unheard = {one.id: one for one in said if one.id not in self._heard}
            found = list(unheard.values())[:AT_ONCE]
            if not found:
                return []
            self._append(REMARKS, {"remarks": [vars(one) for one in found]})
        self._heard.update(one.id for one in found)
        self._store.heard(self.last, found)
        return found

    def perform(
        self,
        kind: str,
        body: dict[str, Any],
        key: object,
        run: Callable[[], OutcomeT],
        *,
        encode: Callable[[OutcomeT], Any],
        decode: Callable[[Any], OutcomeT],
    ) -> OutcomeT:
        """The outcome of an action: that of an earlier run, if it has ended there, else that of `run`. `key` (JSON)
        says what is to be done: another key is another action. `encode` gives JSON."""
        digest = hashlib.sha256(json.dumps([kind, key], sort_keys=True, default=str).encode()).hexdigest()
        seq = None
        if self._ahead:
            entry = self._ahead[0]
            if entry.kind == kind and entry.digest == digest:
                if entry.outcome is not None and (known := _read(entry.outcome, decode)) is not None:
                    self._pass(entry.ended or entry.seq, entry.elapsed)
                    self.taken_over += 1
                    return known
                # It was interrupted: it is carried out again under its number.
                seq = self._pass(entry.seq, self._elapsed)
                self._leave("")
            else:
                self._leave(f"`{entry.kind}` was to follow, but another `{kind}` did")
        if seq is None:
            seq = self._append(kind, body, digest)
        outcome = run()
        if self.keeps:
            text = json.dumps(encode(outcome), ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")
            if len(text) <= MAX_OUTCOME:
                self._store.finish(seq, zlib.compress(text, 3), self.now(), max(self.last, seq))
        return outcome

    def _pass(self, last: int, elapsed: float) -> int:
        """Passes all entries up to number `last`."""
        while self._ahead and self._ahead[0].seq <= last:
            self._ahead.popleft()
        self._elapsed, self._since = elapsed, time.monotonic()
        self.last = self._followed = last
        return last

    def _leave(self, why: str) -> None:
        """From now on nothing is followed."""
        self._ahead.clear()
        self._since = time.monotonic()
        if self._resuming is not None:
            self._resuming = why

    def _append(self, kind: str, body: dict[str, Any], digest: str | None = None) -> int:
        if self._resuming is not None and kind not in APART:
            said = {"why": self._resuming} if self._resuming else {}
            self._resuming = None
            self._store.append(RESUME, {"after": self._followed, "actions": self.taken_over, **said}, self.now())
        self.last = self._store.append(kind, body, self.now(), digest)
        return self.last


def _valid(entries: Sequence[Entry]) -> list[Entry]:
    """The entries to follow, from the beginning of the execution: where a run was resumed, those of the run before that
    it did not reach are left out."""
    kept: list[Entry] = []
    begins = next((n for n, entry in enumerate(entries) if entry.kind == BEGIN), len(entries))
    for entry in entries[begins:]:
        if entry.kind == RESUME:
            after = entry.body.get("after", 0)
            kept = [one for one in kept if one.seq <= after]
        elif entry.kind not in APART:
            kept.append(entry)
    return kept


def _remarks_of(entry: Entry) -> list[Remark]:
    return [Remark(**one) for one in entry.body.get("remarks", ())]


def _read(outcome: bytes, decode: Callable[[Any], OutcomeT]) -> OutcomeT | None:
    """A stored outcome; None when it cannot be read, as one of another version."""
    try:
        inflate = zlib.decompressobj()
        text = inflate.decompress(outcome, MAX_OUTCOME)
        return decode(json.loads(text.decode("utf-8", "surrogatepass"))) if inflate.eof else None
    except (zlib.error, ValueError, LookupError, TypeError, AttributeError):
        return None
