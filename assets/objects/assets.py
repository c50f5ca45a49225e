"""The asset `object_types`, one partition for each type. A sensor reports what it observes; no run is needed."""

from dagster import AssetSpec, DynamicPartitionsDefinition

OBJECT_TYPES = DynamicPartitionsDefinition(name="object_types")

object_types = AssetSpec(
    "object_types",
    group_name="objects",
    kinds={"postgres"},
    partitions_def=OBJECT_TYPES,
    description="Types of durable objects: versions, steps answered and failed in the last hour, p95, objects by state",
)
