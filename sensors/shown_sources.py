"""Keeps what the Dagster UI shows of sources true, whoever changed them: partitions follow the sources, and an index
that a command made is shown as materialised.

Without this, a source that was added or refreshed at the command line would appear only after its next event, and one
that was removed would keep its last state for ever. All of it is recorded without a run.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dagster import (
    AddDynamicPartitionsRequest,
    AssetKey,
    AssetMaterialization,
    AssetRecordsFilter,
    DagsterInstance,
    DeleteDynamicPartitionsRequest,
    MetadataValue,
    RunsFilter,
)

from assets.context.store.versions import index_version_name
from assets.partitions import SOURCES, partition_key
from core.health.freshness import SourceFreshness
from sensors.slots import IN_PROGRESS

INDEX = AssetKey("context_index")
AT_ONCE = 20
"""Sources whose last materialisation one tick looks up."""

PartitionsRequest = AddDynamicPartitionsRequest | DeleteDynamicPartitionsRequest


def partitions_to_change(instance: DagsterInstance, sources: Sequence[SourceFreshness]) -> list[PartitionsRequest]:
    """Partitions of sources that have none, and those whose source is gone and that no run works on."""
    known = set(instance.get_dynamic_partitions(SOURCES.name or ""))
    keys = {partition_key(one.team_id, one.source) for one in sources}
    found: list[PartitionsRequest] = []
    if new := sorted(keys - known):
        found.append(SOURCES.build_add_request(new))
    if gone := [key for key in sorted(known - keys) if not _in_progress(instance, key)]:
        found.append(SOURCES.build_delete_request(gone))
    return found


def made_elsewhere(
    instance: DagsterInstance, sources: Sequence[SourceFreshness], cursor: str | None
) -> tuple[list[AssetMaterialization], str]:
    """Materialisations of indexes that no run of Dagster made, and the next cursor: what has been looked at, by
    partition. A source that a run works on is left for the next tick."""
    seen = _read(cursor)
    versions = {partition_key(one.team_id, one.source): one for one in sources if one.version is not None}
    looked = {key: version for key, version in seen.items() if key in versions}
    changed = [key for key, one in versions.items() if looked.get(key) != one.version]
    found = []
    for key in changed[:AT_ONCE]:
        if _in_progress(instance, key):
            continue
        one = versions[key]
        name = index_version_name(one.source, one.version or 0)
        if _last_shown(instance, key) != name:
            found.append(_materialised(key, one, name))
        looked[key] = one.version or 0
    return found, json.dumps(looked, sort_keys=True)


def _materialised(key: str, one: SourceFreshness, name: str) -> AssetMaterialization:
    metadata: dict[str, MetadataValue[Any]] = {
        "commit": MetadataValue.text(one.commit or ""),
        "index_version": MetadataValue.text(name),
        "made_by": MetadataValue.text("a command, outside of Dagster"),
    }
    if one.visible_at is not None:
        metadata["searchable_since"] = MetadataValue.timestamp(one.visible_at)
    return AssetMaterialization(
        INDEX, description="Indexed by a command, outside of Dagster.", partition=key, metadata=metadata
    )


def _last_shown(instance: DagsterInstance, key: str) -> str | None:
    """The index version of the partition's last materialisation; None without one."""
    found = instance.fetch_materializations(AssetRecordsFilter(INDEX, asset_partitions=[key]), limit=1)
    for record in found.records:
        if (made := record.asset_materialization) is not None and (shown := made.metadata.get("index_version")):
            return str(shown.value)
    return None


def _in_progress(instance: DagsterInstance, key: str) -> bool:
    return bool(instance.get_runs_count(RunsFilter(statuses=IN_PROGRESS, tags={"dagster/partition": key})))


def _read(cursor: str | None) -> Mapping[str, int]:
    try:
        found = json.loads(cursor or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
