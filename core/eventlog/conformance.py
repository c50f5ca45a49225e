"""What every event log must do, as checks that anyone can run against their own adapter.

Each check takes a function without arguments that opens the log, creates topics of its own and raises
`ConformanceFailure` with what was seen. The function must be picklable, since writers that are killed
run in their own processes. Not for speed: `tests/bench/event_log.py` measures that.
"""

import multiprocessing
import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe

from core.conformance import ConformanceFailure, require
from core.eventlog.protocol import MAX_EVENT_BYTES, EventLog, EventRefused, Record, UnknownTopic
from core.events import Event

OpenLog = Callable[[], EventLog]
Check = Callable[[OpenLog], None]

ARRIVES_WITHIN = 20.0
"""Seconds within which an appended event must be readable, on a busy machine and behind a relay."""

WAKES_WITHIN = 2.0


def check_order_per_key(open_log: OpenLog) -> None:
    """Events with one subject come back in the order of their appends, whatever the batches."""
    with _fresh(open_log) as (log, topic):
        events = [_event(f"o{i}", subject=f"source-{i % 7}", data={"n": i}) for i in range(210)]
        for start in range(0, 210, 30):
            log.append([(topic, event) for event in events[start : start + 30]])
        records = _follow(log, topic, {event.id for event in events})
        for subject in {event.subject for event in events}:
            seen = [r.event.data["n"] for r in _first_of_each(records) if r.event.subject == subject]
            require(seen == sorted(seen), f"subject {subject}: read in the order {seen}")


def check_resume(open_log: OpenLog) -> None:
    """Reading from `next_offsets`, in pieces and with another instance, returns every event once."""
    with _fresh(open_log) as (log, topic):
        wanted = {f"r{i}" for i in range(40)}
        log.append([(topic, _event(name, subject=f"s{i % 5}")) for i, name in enumerate(sorted(wanted))])
        _follow(log, topic, wanted)
        ends = log.end_offsets(topic)
        offsets: Mapping[int, int] = {}
        places: list[tuple[int, int]] = []
        names: set[str] = set()
        while dict(offsets) != ends:
            reader = open_log()
            try:
                batch = reader.read(topic, offsets, limit=7, wait=ARRIVES_WITHIN)
            finally:
                reader.close()
            require(0 < len(batch.records) <= 7, f"a read of 7 at {offsets} returned {len(batch.records)}")
            require(set(batch.next_offsets) == set(ends), f"next offsets {batch.next_offsets} lack a partition")
            require(all(batch.next_offsets[p] <= ends[p] for p in ends), f"{batch.next_offsets} is beyond {ends}")
            places += [(record.partition, record.offset) for record in batch.records]
            names |= {record.event.id for record in batch.records}
            offsets = batch.next_offsets
        require(len(places) == len(set(places)), "an offset was read twice")
        require(names == wanted, f"never read: {sorted(wanted - names)}")
        first = _first_places(places)
        again = log.read(topic, first, limit=500, wait=ARRIVES_WITHIN)
        require(bool(again.records), "nothing was read from an offset in the middle")
        low = {record.partition: record.offset for record in reversed(again.records)}
        require(all(low[p] == first[p] for p in low), f"a read from {first} started at {low}")


def check_long_poll_wakes(open_log: OpenLog) -> None:
    """A waiting read returns soon after an event is appended."""
    with _fresh(open_log) as (log, topic):
        writer = open_log()
        try:
            offsets = log.read(topic, {}, wait=0.05).next_offsets
            for number in range(3):
                sent: list[float] = []

                def send(name: str = f"w{number}", sent: list[float] = sent) -> None:
                    time.sleep(0.3)
                    writer.append([(topic, _event(name))])
                    sent.append(time.monotonic())

                thread = threading.Thread(target=send)
                thread.start()
                batch = log.read(topic, offsets, wait=ARRIVES_WITHIN)
                woken = time.monotonic()
                thread.join()
                require(len(batch.records) == 1, f"the waiting read returned {len(batch.records)} events")
                late = woken - sent[0]
                require(late < WAKES_WITHIN, f"the waiting read returned {late:.2f} s after the append")
                offsets = batch.next_offsets
        finally:
            writer.close()


def check_long_poll_ends(open_log: OpenLog) -> None:
    """A read of an empty topic returns no event after its wait, or immediately without one; offsets stay the same."""
    with _fresh(open_log) as (log, topic):
        first = log.read(topic, {}, wait=0.0)
        require(not first.records, "a new topic holds events")
        for wait in (0.0, 0.6):
            began = time.monotonic()
            batch = log.read(topic, first.next_offsets, wait=wait)
            took = time.monotonic() - began
            require(not batch.records and batch.next_offsets == first.next_offsets, f"empty read gave {batch}")
            require(wait <= took + 0.01 and took < wait + WAKES_WITHIN, f"a wait of {wait} s took {took:.2f} s")


def check_many_writers(open_log: OpenLog) -> None:
    """Many threads append while one reads: no event is skipped, no offset is read twice, and each writer's own
    events keep their order."""
    with _fresh(open_log) as (log, topic):
        writers, rounds = 6, 15
        wanted = {f"m{w}-{r}-{k}" for w in range(writers) for r in range(rounds) for k in range(3)}
        failures: list[BaseException] = []

        def write(w: int) -> None:
            try:
                for r in range(rounds):
                    batch = [_event(f"m{w}-{r}-{k}", subject=f"writer-{w}", data={"n": 3 * r + k}) for k in range(3)]
                    log.append([(topic, event) for event in batch])
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=write, args=(w,)) for w in range(writers)]
        for thread in threads:
            thread.start()
        records = _follow(log, topic, wanted, limit=11)
        for thread in threads:
            thread.join()
        require(not failures, f"a writer failed: {failures}")
        places = [(record.partition, record.offset) for record in records]
        require(len(places) == len(set(places)), "an offset was read twice")
        for w in range(writers):
            seen = [r.event.data["n"] for r in _first_of_each(records) if r.event.subject == f"writer-{w}"]
            require(seen == sorted(seen), f"writer {w}: read in the order {seen}")


def check_killed_writer(open_log: OpenLog) -> None:
    """A process killed while it appends loses nothing that was acknowledged, leaves its last batch as the adapter
    promises, and blocks neither readers nor other writers."""
    with _fresh(open_log) as (log, topic):
        context = multiprocessing.get_context("spawn")
        for attempt in range(2):
            receiver, sender = context.Pipe(duplex=False)
            prefix = f"k{attempt}"
            child = context.Process(target=_write_until_killed, args=(open_log, topic, prefix, sender), daemon=True)
            child.start()
            sender.close()
            require(receiver.poll(60), "the writer's process appended nothing within 60 s")
            time.sleep(random.uniform(0.0, 0.05))  # noqa: S311
            os.kill(child.pid or 0, signal.SIGKILL)
            child.join()
            acknowledged = 0
            while True:
                try:
                    acknowledged = receiver.recv()
                except EOFError:
                    break
            after = f"after-{attempt}"
            log.append([(topic, _event(after))])
            whole = {f"{prefix}-{b}-{k}" for b in range(1, acknowledged + 1) for k in range(_KILLED_BATCH)}
            records = _follow(log, topic, {*whole, after})
            names = [record.event.id for record in _first_of_each(records)]
            last = [name for name in names if name.startswith(f"{prefix}-{acknowledged + 1}-")]
            numbers = [int(name.rpartition("-")[2]) for name in last]
            require(numbers == list(range(len(numbers))), f"of the unacknowledged batch, events {numbers} are there")
            if log.guarantees.atomic:
                require(len(numbers) in (0, _KILLED_BATCH), f"{len(numbers)} of {_KILLED_BATCH} events are there")
            beyond = [name for name in names if name.startswith(f"{prefix}-{acknowledged + 2}-")]
            require(not beyond, f"events of a batch that was never begun: {beyond}")


def check_large_event(open_log: OpenLog) -> None:
    """An event of 1 MB comes back unchanged; one above `MAX_EVENT_BYTES` is refused with its whole append."""
    with _fresh(open_log) as (log, topic):
        text = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=1_000_000))  # noqa: S311
        log.append([(topic, _event("large", data={"text": text}))])
        record = _follow(log, topic, {"large"})[0]
        require(record.event.data["text"] == text, "the event came back changed")
        try:
            log.append([(topic, _event("small")), (topic, _event("larger", data={"text": "x" * MAX_EVENT_BYTES}))])
        except EventRefused as error:
            require("larger" in str(error), f"the refusal does not name the event: {error}")
        else:
            raise ConformanceFailure(f"an event of more than {MAX_EVENT_BYTES:,} bytes was accepted")
        log.append([(topic, _event("next"))])
        seen = {record.event.id for record in _follow(log, topic, {"next"})}
        require("small" not in seen, "a part of the refused append was written")


def check_faithful(open_log: OpenLog) -> None:
    """Whatever JSON an event carries comes back equal."""
    with _fresh(open_log) as (log, topic):
        data: dict[str, object] = {
            "text": 'NUL \0, line\u2028separator, \U0001f6b0, quote " and \\u0041 as written',
            "numbers": [0, -1, 2**70, 0.1, 1e300],
            "nothing": None,
            "deep": {"a": [[[{"b": []}]]]},
            "": "empty key",
        }
        event = _event("faithful", subject="søurce/ä b\n", data=data)
        log.append([(topic, event)])
        seen = _follow(log, topic, {"faithful"})[0].event
        require(seen == event, f"appended {event!r}, read {seen!r}")


def check_topics(open_log: OpenLog) -> None:
    """Creating a topic twice changes nothing; an unknown topic is refused by name; topics do not mix."""
    with _fresh(open_log) as (log, topic):
        other = f"{topic}.other"
        log.append([(topic, _event("here"))])
        for _ in range(2):
            log.ensure_topics([topic, other])
        log.append([(other, _event("there")), (topic, _event("here too"))])
        require({r.event.id for r in _follow(log, topic, {"here", "here too"})} == {"here", "here too"}, "topics mix")
        require({r.event.id for r in _follow(log, other, {"there"})} == {"there"}, "topics mix")
        missing = f"{topic}.missing"
        attempts: Sequence[Callable[[], object]] = (
            lambda: log.append([(missing, _event("nowhere"))]),
            lambda: log.read(missing, {}),
            lambda: log.end_offsets(missing),
        )
        for attempt in attempts:
            try:
                attempt()
            except UnknownTopic as error:
                require(missing in str(error), f"the error does not name the topic: {error}")
            else:
                raise ConformanceFailure("a topic that does not exist was accepted")


def check_repeated_event(open_log: OpenLog) -> None:
    """Appending an event again loses nothing; a log that promises to deduplicate drops the repeat."""
    with _fresh(open_log) as (log, topic):
        event = _event("repeated")
        log.append([(topic, event), (topic, event)])
        log.append([(topic, event)])
        log.append([(topic, _event("last", subject=event.subject))])
        names = [record.event.id for record in _follow(log, topic, {"repeated", "last"})]
        require(names[-1] == "last", f"read {names}")
        if log.guarantees.deduplicates:
            require(names == ["repeated", "last"], f"read {names}")


def check_groups(open_log: OpenLog) -> None:
    """A group's lag counts what it has not committed by any instance; groups are independent."""
    with _fresh(open_log) as (log, topic):
        log.append([(topic, _event(f"g{i}", subject=f"s{i}")) for i in range(10)])
        _follow(log, topic, {f"g{i}" for i in range(10)})
        group = f"conformance-{uuid.uuid4().hex}"
        require(sum(log.lag(group, topic).values()) == 10, f"a new group's lag is {log.lag(group, topic)}, not 10")
        some = log.read(topic, {}, limit=4, wait=ARRIVES_WITHIN)
        log.commit_group(group, topic, some.next_offsets)
        other = open_log()
        try:
            lag = other.lag(group, topic)
            require(sum(lag.values()) == 10 - len(some.records), f"read {len(some.records)} of 10, the lag is {lag}")
            other.commit_group(group, topic, log.end_offsets(topic))
            require(sum(log.lag(group, topic).values()) == 0, "the lag at the end is not 0")
            require(sum(log.lag(f"{group}-2", topic).values()) == 10, "groups are not apart")
        finally:
            other.close()


def check_lost_offsets(open_log: OpenLog) -> None:
    """Offsets that the log does not have are reported, and reading continues at the earliest event."""
    with _fresh(open_log) as (log, topic):
        log.append([(topic, _event(f"l{i}", subject=f"s{i}")) for i in range(12)])
        _follow(log, topic, {f"l{i}" for i in range(12)})
        ends = log.end_offsets(topic)
        seen: dict[str, Record] = {}
        offsets: Mapping[int, int] = {partition: end + 1_000 for partition, end in ends.items()}
        resets: dict[int, int] = {}
        deadline = time.monotonic() + ARRIVES_WITHIN
        while len(seen) < 12 and time.monotonic() < deadline:
            batch = log.read(topic, offsets, wait=1.0)
            resets |= batch.resets
            seen |= {record.event.id: record for record in batch.records}
            offsets = batch.next_offsets
        require(resets == dict.fromkeys(ends, 0), f"a read beyond the end reported the resets {resets}")
        require(len(seen) == 12, f"read {len(seen)} of 12 events after the reset")


CHECKS: tuple[Check, ...] = (
    check_order_per_key,
    check_resume,
    check_long_poll_wakes,
    check_long_poll_ends,
    check_many_writers,
    check_killed_writer,
    check_large_event,
    check_faithful,
    check_topics,
    check_repeated_event,
    check_groups,
    check_lost_offsets,
)

_KILLED_BATCH = 40


def _write_until_killed(open_log: OpenLog, topic: str, prefix: str, acknowledged: Pipe) -> None:
    log = open_log()
    batch = 0
    while True:
        batch += 1
        log.append([(topic, _event(f"{prefix}-{batch}-{k}")) for k in range(_KILLED_BATCH)])
        acknowledged.send(batch)


def _event(name: str, *, subject: str = "source", data: Mapping[str, object] | None = None) -> Event:
    return Event(id=name, source="/conformance", type="penstock.conformance", subject=subject, data=data or {})


@contextmanager
def _fresh(open_log: OpenLog) -> Iterator[tuple[EventLog, str]]:
    log = open_log()
    topic = f"conformance.{uuid.uuid4().hex}"
    try:
        log.ensure_topics([topic])
        yield log, topic
    finally:
        log.close()


def _follow(log: EventLog, topic: str, wanted: set[str], *, limit: int = 500) -> list[Record]:
    """Reads from the start until every wanted id was seen."""
    offsets: Mapping[int, int] = {}
    records: list[Record] = []
    missing = set(wanted)
    deadline = time.monotonic() + ARRIVES_WITHIN
    while missing:
        batch = log.read(topic, offsets, limit=limit, wait=0.5)
        records += batch.records
        missing -= {record.event.id for record in batch.records}
        offsets = batch.next_offsets
        if time.monotonic() > deadline:
            some = sorted(missing)[:5]
            raise ConformanceFailure(f"{len(missing)} of {len(wanted)} events never came, among them {some}")
    return records


def _first_of_each(records: Sequence[Record]) -> list[Record]:
    """What a reader that drops repeats by event id sees."""
    first: dict[str, Record] = {}
    for record in records:
        first.setdefault(record.event.id, record)
    return list(first.values())


def _first_places(places: Sequence[tuple[int, int]]) -> dict[int, int]:
    """An offset in the middle of each partition."""
    middle: dict[int, list[int]] = {}
    for partition, offset in places:
        middle.setdefault(partition, []).append(offset)
    return {partition: sorted(offsets)[len(offsets) // 2] for partition, offsets in middle.items()}
