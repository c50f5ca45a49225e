"""Sends records that a sensor cannot read to the dead letters, with the reason, so that the sensor continues."""

from collections.abc import Sequence

from assets.platform import Platform
from core.dead_letters import UNREADABLE
from core.eventlog.protocol import Unreadable
from core.events import DEAD_LETTERS, Event


def send_to_dead_letters(platform: Platform, unreadable: Sequence[Unreadable]) -> None:
    """Appends a dead letter for each record; a repeat changes nothing, since its id is the record's offset."""
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
