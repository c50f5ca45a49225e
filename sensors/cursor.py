"""A log sensor's cursor: which log it has read, and the next offset of each partition, as JSON.

Offsets of one log mean nothing in another: after a change of `event_log` a sensor reads the new log
from its start, and skips what is already done.
"""

import json
from collections.abc import Mapping


def dump(log: str, offsets: Mapping[int, int]) -> str:
    """The cursor for a log, named as in the setting `event_log`."""
    by_partition = {str(partition): offset for partition, offset in sorted(offsets.items())}
    return json.dumps({"log": log, "offsets": by_partition})


def load(cursor: str | None, log: str) -> dict[int, int]:
    """Offsets by partition; empty (read from the start) without a cursor, or with one of another log.
    Raises `ValueError` for any other text."""
    if not cursor:
        return {}
    try:
        value = dict(json.loads(cursor))
        offsets = {int(partition): int(offset) for partition, offset in dict(value["offsets"]).items()}
        return offsets if value["log"] == log else {}
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"sensor cursor {cursor!r} cannot be read; reset it in the Dagster UI") from error
