"""A log sensor's cursor: the next offset of each partition, as JSON."""

import json
from collections.abc import Mapping


def dump(offsets: Mapping[int, int]) -> str:
    return json.dumps({str(partition): offset for partition, offset in sorted(offsets.items())})


def load(cursor: str | None) -> dict[int, int]:
    """Offsets by partition; empty (read from the start) without a cursor. Raises `ValueError` for a foreign one."""
    if not cursor:
        return {}
    try:
        return {int(partition): int(offset) for partition, offset in dict(json.loads(cursor)).items()}
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"sensor cursor {cursor!r} is not a JSON object of offsets by partition; reset it in the Dagster UI"
        ) from error
