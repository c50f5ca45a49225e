"""What a sensor cannot read goes to the topic of dead letters, with the reason, and the sensor goes on."""

from collections.abc import Sequence

from assets.platform import Platform
from core.dead_letters import UNREADABLE
from core.eventlog.protocol import Unreadable
from core.events import DEAD_LETTERS, Event


def put_aside(platform: Platform, unreadable: Sequence[Unreadable]) -> None:
    """Appends a dead letter for each record; repeating it changes nothing, since its id is the record's place."""
    platform.log.append(
        [
            (
                DEAD_LETTERS,
                Event(
                    id=f"penstock:unreadable:{record.topic}:{record.partition}:{record.offset}",
                    source="/penstock/sensors",
                    type=UNREADABLE,
                    subject=record.topic,
                    data={
                        "topic": record.topic,
                        "partition": record.partition,
                        "offset": record.offset,
                        "reason": record.reason,
                    },
                ),
            )
            for record in unreadable
        ]
    )
