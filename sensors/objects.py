"""Reports types of durable objects to Dagster when what is to be seen of them has changed, and tells objects what the
platform has done. Starts no run."""

import json
from datetime import datetime

from dagster import (
    AssetMaterialization,
    DefaultSensorStatus,
    ResourceParam,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from assets.objects.assets import OBJECT_TYPES, object_types
from assets.objects.happenings import announce
from assets.objects.reports import type_reports
from assets.platform import Platform


@sensor(
    name="object_type_sensor",
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.RUNNING,
    description="Shows the types of durable objects: versions, calls, errors and p95.",
)
def object_type_sensor(
    context: SensorEvaluationContext, platform: ResourceParam[Platform]
) -> SensorResult | SkipReason:
    reports = type_reports(platform.database)
    if not reports:
        return SkipReason("No objects are used.")
    known: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
    changed = [one for one in reports if known.get(one.partition) != one.digest]
    names = [one.partition for one in changed if one.partition not in known]
    if names and OBJECT_TYPES.name:
        context.instance.add_dynamic_partitions(OBJECT_TYPES.name, names)
    for one in changed:
        context.instance.report_runless_asset_event(
            AssetMaterialization(object_types.key, partition=one.partition, metadata=one.facts)
        )
    return SensorResult(cursor=json.dumps({one.partition: one.digest for one in reports}))


@sensor(
    name="object_event_sensor",
    minimum_interval_seconds=5,
    default_status=DefaultSensorStatus.RUNNING,
    description="Tells durable objects that subscribe of publications and of decisions about migrations.",
)
def object_event_sensor(
    context: SensorEvaluationContext, platform: ResourceParam[Platform]
) -> SensorResult | SkipReason:
    since = datetime.fromisoformat(context.cursor) if context.cursor else None
    reached = announce(platform.database, platform.log, since)
    return SensorResult(cursor=reached.isoformat()) if reached else SkipReason("No object subscribes.")
