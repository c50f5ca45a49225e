"""Which parts of a platform on one machine run, by what its supervisor wrote. On Kubernetes there is no such file, and
the cluster's own metrics tell of pods."""

import json
from collections.abc import Iterator

from core.health.measures.families import Family, Group, Sample, Source
from core.processes import ProcessName

FILE = "parts.json"
_MOST_BYTES = 1 << 20


def _parts(source: Source) -> Iterator[Sample]:
    try:
        with (source.settings.run_folder / FILE).open("rb") as file:
            stored = json.loads(file.read(_MOST_BYTES))
        parts = list(stored["parts"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    for one in parts:
        if isinstance(one, dict) and isinstance(one.get("name"), str):
            process = ProcessName.read(one.get("process"))
            runs = one.get("state") == "up" and process is not None and process.runs()
            yield Sample("penstock_part_up", (one["name"],), runs)
            restarts = one.get("restarts")
            yield Sample("penstock_part_restarts", (one["name"],), restarts if isinstance(restarts, int) else 0)


PARTS = Group(
    "parts",
    (
        Family("penstock_part_up", "1 if a part of the platform on this machine runs.", ("part",)),
        Family("penstock_part_restarts", "How often the supervisor has started a part again.", ("part",)),
    ),
    _parts,
    needs_database=False,
)
