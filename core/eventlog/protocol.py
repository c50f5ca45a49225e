"""The event log: the protocol that every adapter implements, with its records and errors.

A log has topics, a topic has partitions, and a partition is a sequence of events numbered by offset.
Every offset passed in or returned is the next one to read. Readers keep their own offsets; consumer groups
only mirror them, so that lag can be measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from core.events import TOPICS, Event

MAX_EVENT_BYTES = 2 << 20
"""The largest event, as JSON. The same for every adapter, so that the relay can move what Postgres accepts."""

MAX_BATCH_BYTES = 16 << 20
"""A read returns at most this much and one event more."""


class EventLogUnavailable(ConnectionError):
    """The log cannot be reached now. What was requested may or may not have happened; try again later."""


class UnknownTopic(LookupError):
    """The topic does not exist; `ensure_topics` creates it."""


class EventRefused(ValueError):
    """The event can never be appended: it is too large, is not text, or its id or subject holds a NUL character."""


@dataclass(frozen=True)
class Guarantees:
    """How an adapter's `append` behaves beyond what all adapters promise (nothing lost, order per key)."""

    atomic: bool
    """A writer killed during `append` leaves all of its events or none. If false, it may leave some of them."""
    deduplicates: bool
    """Appending an event id again to a topic changes nothing. If false, readers drop repeats by event id."""


@dataclass(frozen=True)
class Record:
    topic: str
    partition: int
    offset: int
    event: Event


@dataclass(frozen=True)
class Unreadable:
    """A record that is not a valid event. It is skipped, and reported here so that the reader can say so."""

    topic: str
    partition: int
    offset: int
    reason: str


@dataclass(frozen=True)
class Batch:
    """The result of one read. `next_offsets` names every partition of the topic; pass it to the next read.

    `resets` maps each partition whose requested offset the log does not have (deleted by retention, or the
    topic was recreated) to the earliest offset, where reading continued.
    """

    records: tuple[Record, ...]
    next_offsets: Mapping[int, int]
    resets: Mapping[int, int] = field(default_factory=dict)
    unreadable: tuple[Unreadable, ...] = ()


class EventLog(Protocol):
    """A durable log of events. Every method may raise `EventLogUnavailable`, and none waits without limit.

    Events of one team with one subject keep their order. A reader never skips an event that is
    committed later: reading from `next_offsets` misses nothing. Safe to use from several threads.
    """

    @property
    def guarantees(self) -> Guarantees: ...

    def ensure_topics(self, topics: Sequence[str] = TOPICS) -> None:
        """Creates the topics that do not exist yet; the others stay unchanged."""

    def append(self, events: Sequence[tuple[str, Event]]) -> None:
        """Appends (topic, event) pairs in order; on return they survive a crash of the log.
        Raises `UnknownTopic`, and `EventRefused` before anything is written."""

    def read(self, topic: str, offsets: Mapping[int, int], *, limit: int = 500, wait: float = 0.0) -> Batch:
        """Up to `limit` events from `offsets` on; a partition not named there is read from its start.

        Returns immediately if there are events, else as soon as one arrives, else empty after `wait` seconds.
        Raises `UnknownTopic`.
        """

    def end_offsets(self, topic: str) -> dict[int, int]:
        """The offset after the last event, by partition. Raises `UnknownTopic`."""

    def commit_group(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Stores a copy of a consumer group's offsets, for `lag`. Reading does not use it."""

    def lag(self, group: str, topic: str) -> dict[int, int]:
        """How many events the group has still to read, by partition; all stored ones if it never committed."""

    def close(self) -> None:
        """Closes connections; using the log again opens new ones."""


def encode(topic: str, event: Event) -> bytes:
    """The event as the JSON that logs store. Raises `EventRefused`."""
    for name, value in (("id", event.id), ("subject", event.subject)):
        if "\0" in value:
            raise EventRefused(f"event {event.id!r} for {topic}: its {name} holds a NUL character")
    try:
        body = event.to_json()
    except ValueError as error:  # half a surrogate pair, or nested too deeply
        raise EventRefused(f"event {event.id!r} for {topic} cannot be written as JSON: {error}") from error
    if len(body) > MAX_EVENT_BYTES:
        raise EventRefused(
            f"event {event.id!r} for {topic} has {len(body):,} bytes as JSON, the limit is {MAX_EVENT_BYTES:,}: "
            "store the large value elsewhere and put a link into the event"
        )
    return body
