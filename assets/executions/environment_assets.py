"""The asset `environment`: what the tests of a source last ran with, or why that could not be made.

It is not executed by itself: tasks make environments, and report them here.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagster import AssetMaterialization, AssetSpec, MetadataValue

from assets.partitions import SOURCES
from assets.shared.markdown import cell, code, fenced
from core.work import Packages
from sandbox.environments.store import Store

KEY = "environment"
_MOST_SHOWN = 300
_MOST_LOG = 20_000

environment_spec = AssetSpec(
    KEY,
    description="The environment that the tests of a source run in: found, fetched and built by its tasks, and cached.",
    group_name="tasks",
    kinds={"python"},
    partitions_def=SOURCES,
)


@dataclass
class EnvironmentSteps:
    """What an attempt recorded about its environment; `refused` is why it could not be made, empty if it was."""

    steps: list[str] = field(default_factory=list)
    refused: str = ""

    def note(self, kind: str, body: dict[str, Any]) -> None:
        """Takes an entry of the trajectory."""
        if kind == KEY:
            self.refused = str(body.get("refused", "")) or self.refused
            if body.get("step"):
                self.steps.append(str(body["step"])[:300])


def environment_event(partition: str, packages: Packages | None, noted: EnvironmentSteps, store: Store) -> Any:
    """What is shown for the environment of one attempt; None when its tests ran with Penstock's own packages."""
    if packages is None and not noted.refused:
        return None
    metadata: dict[str, MetadataValue[Any]] = {}
    if noted.refused:
        metadata["refused"] = MetadataValue.md(f"**{cell(noted.refused)}**")
    if noted.steps:
        metadata["steps"] = MetadataValue.md("\n".join(f"1. {cell(step)}" for step in noted.steps[:50]))
    if packages is not None:
        metadata |= _made(packages, store)
    return AssetMaterialization(KEY, partition=partition, metadata=metadata)


def _made(packages: Packages, store: Store) -> dict[str, MetadataValue[Any]]:
    metadata: dict[str, MetadataValue[Any]] = {
        "runs_with": MetadataValue.text(packages.language or f"Python {packages.python}"),
        "declared_in": MetadataValue.text(packages.source),
        "projects": MetadataValue.text(", ".join(packages.projects) or "none"),
        "cached": MetadataValue.bool(packages.cached),
        "seconds": MetadataValue.float(packages.seconds),
        "key": MetadataValue.text(packages.key),
    }
    if packages.before:
        metadata["versions_before"] = MetadataValue.text(packages.before)
    if packages.versions:
        metadata["packages"] = MetadataValue.int(len(packages.versions))
        shown = " ".join(code(version) for version in packages.versions[:_MOST_SHOWN])
        metadata["versions"] = MetadataValue.md(shown)
    folder = store.folder / packages.key
    facts = next((row for row in store.entries() if row["key"] == packages.key), None)
    if facts is not None:
        metadata["mebibytes"] = MetadataValue.float(round(facts["bytes"] / (1 << 20), 1))
        metadata["making_seconds"] = MetadataValue.json(facts.get("seconds", {}))
        if facts.get("notes"):
            metadata["notes"] = MetadataValue.md("\n".join(f"- {cell(str(note))}" for note in facts["notes"]))
    if log := _tail(folder / "log.txt"):
        metadata["log"] = MetadataValue.md(fenced(log, "text"))
    return metadata


def _tail(path: Path) -> str:
    with suppress(OSError), path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _MOST_LOG))
        return file.read().decode(errors="replace")
    return ""
