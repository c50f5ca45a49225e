"""The event log: what every adapter promises, and the records that cross the border.

A log has topics, a topic has partitions, and a partition is a sequence of events numbered by offset.
Every offset handed in or out is the next one to read. Readers keep their own offsets; consumer groups
only mirror them, so that lag can be seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from core.events import TOPICS, Event

MAX_EVENT_BYTES = 2 << 20
"""The largest event a log takes, as JSON. The same for every adapter: what Postgres takes, the relay can move."""

MAX_BATCH_BYTES = 16 << 20
"""A read stops early rather than return more than this and one event."""


class EventLogUnavailable(ConnectionError):
    """The log cannot be reached now. What was asked may or may not have happened; ask again later."""


class UnknownTopic(LookupError):
    """The topic does not exist; `ensure_topics` creates it."""


class EventRefused(ValueError):
    """The event can never be appended: it is too large, is not text, or its id or subject holds a NUL character."""


@dataclass(frozen=True)
class Guarantees:
    """How an adapter's `append` behaves beyond what all promise (nothing lost, order per key)."""

    atomic: bool
    """A writer killed in the middle of `append` leaves all of its events, or none. Otherwise some of them."""
    deduplicates: bool
    """Appending an event id again to a topic changes nothing. Otherwise readers drop repeats by event id."""


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
    """What one read found. `next_offsets` names every partition of the topic; hand it to the next read.

    `resets` holds the partitions whose asked offset the log no longer has (retention passed it, or the
    topic was made anew), with the earliest offset, where reading went on.
    """

    records: tuple[Record, ...]
    next_offsets: Mapping[int, int]
    resets: Mapping[int, int] = field(default_factory=dict)
    unreadable: tuple[Unreadable, ...] = ()


class EventLog(Protocol):
    """A durable log of events. Every method may raise `EventLogUnavailable`, and none waits without end.

    Events of one team with one subject keep their order. A reader never passes an event that is
    committed later: reading on from `next_offsets` misses nothing. Safe to use from several threads.
    """

    @property
    def guarantees(self) -> Guarantees: ...

    def ensure_topics(self, topics: Sequence[str] = TOPICS) -> None:
        """Creates the topics that do not exist yet; the others are left as they are."""

    def append(self, events: Sequence[tuple[str, Event]]) -> None:
        """Appends (topic, event) pairs in order; on return they survive a crash of the log.
        Raises `UnknownTopic`, and `EventRefused` before anything is written."""

    def read(self, topic: str, offsets: Mapping[int, int], *, limit: int = 500, wait: float = 0.0) -> Batch:
        """Up to `limit` events from `offsets` on; a partition it does not name is read from its start.

        Returns at once when something is there, else as soon as something arrives, else empty after
        `wait` seconds. Raises `UnknownTopic`.
        """

    def end_offsets(self, topic: str) -> dict[int, int]:
        """The offset after the last event, by partition. Raises `UnknownTopic`."""

    def commit_group(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Mirrors a consumer group's offsets. Reading does not look at them."""

    def lag(self, group: str, topic: str) -> dict[int, int]:
        """How many events the group has still to read, by partition; all that are kept, if it never committed."""

    def close(self) -> None:
        """Gives up connections; using the log again opens new ones."""


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
            f"event {event.id!r} for {topic} has {len(body):,} bytes as JSON, the most is {MAX_EVENT_BYTES:,}: "
            "store the large value elsewhere and put a link into the event"
        )
    return body
