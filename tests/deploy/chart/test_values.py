"""Values that are wrong are refused with a sentence that says which, and the schema is strict and needs no network."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.settings import Settings
from tests.deploy.chart.rendering import CASES, CHART, PRODUCTION, REQUIRED, RenderFailed, render, rendered_text

SERVER = "modelServers[0].name=coder,modelServers[0].models[0].model=m,modelServers[0].models[0].served=m:1,"
SERVER += f"modelServers[0].models[0].digest=sha256:{'d' * 64},modelServers[0].models[0].memoryMiB=9000,"
SERVER += "modelProxy.enabled=true"
VERSIONED = "modelServers[0].models[0].version=v1"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        # types, ranges, unknown names: by the schema
        ("gateway.port=http", "gateway.port: Invalid type. Expected: integer, given: string"),
        ("gateway.port=80", "gateway.port: Must be greater than or equal to 1024"),
        ("runs.slots=0", "runs.slots: Must be greater than or equal to 1"),
        ("runs.slots=300", "runs.slots: Must be less than or equal to 256"),
        ("gatway.port=1", "Additional property gatway is not allowed"),
        ("daemon.replicas=2", "daemon: Additional property replicas is not allowed"),
        ("gateway.resources.limits=null", "gateway.resources: limits is required"),
        ("gateway.resources.limits.memory=null", "gateway.resources.limits: memory is required"),
        ("gateway.resources.limits.memory=lots", "gateway.resources.limits.memory: Does not match pattern"),
        ("secrets.database_url=postgresql://", "secrets.database_url: Invalid type. Expected: object"),
        ("secrets.database_url=null", "secrets: database_url is required"),
        ("images.penstock.digest=sha256:12", "images.penstock.digest: Does not match pattern"),
        ("eventLog=redis", "eventLog: eventLog must be one of the following"),
        ("networkPolicy.peers.database.ports[0]=0", "networkPolicy.peers.database.ports.0: Must be greater"),
        ("jobs.nightly.resources.limits.cpu=1", 'jobs: Property name of "nightly" does not match'),
        # what a schema cannot say: by the templates
        ("images.penstock.digest=", "images.penstock has neither a tag nor a digest: set images.penstock.digest"),
        ("images.penstock.digest=,images.penstock.tag=latest", "images.penstock.tag is latest"),
        ("images.penstock.digest=,images.penstock.tag=v1,requireDigests=true", "images.penstock.digest is missing"),
        ("kafka.bootstrap=", "kafka.bootstrap is missing: eventLog is kafka"),
        ("gateway.ingress.enabled=true,gateway.ingress.host=", "gateway.ingress.host is missing"),
        ("gateway.ingress.enabled=true", "gateway.ingress.tlsSecret is missing: webhooks and tokens"),
        ("sandbox.namespace=penstock", "sandbox.namespace is the release's own namespace"),
        ("settings.slots=4", "settings.slots cannot be given: it follows from other values"),
        ("settings.database_url=x", "settings.database_url is a secret that `secrets` refers to"),
        ("room.enabled=true,room.scaler=keda", "room.prometheus is missing"),
        ("jobs.resolve_task.steps.plan.nodeSelector.a=b", "jobs.resolve_task.steps cannot be given"),
        # model servers
        (SERVER, "modelServers.0.models.0: version is required"),
        (f"{SERVER},{VERSIONED},modelProxy.enabled=false", "modelServers are given, but modelProxy.enabled is false"),
        (f"{SERVER},{VERSIONED},modelServers[0].models[0].memoryMiB=24000",
         "modelServers coder: its models need 25024 MiB with 1024 MiB of headroom, and its 1 card(s) have 24576 MiB"),
        (f"{SERVER},{VERSIONED},modelServers[0].replicas=2", "storage.accessMode ReadWriteOnce lets only one node"),
        (f"{SERVER},{VERSIONED},modelServers[0].scaling.scaler=hpa,modelServers[0].scaling.minReplicas=0",
         "scaling.minReplicas 0 needs scaler keda"),
        (f"{SERVER},{VERSIONED},modelServers[0].models[0].digest=", "modelServers.0.models.0.digest: Does not match"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_its_name(given: str, said: str) -> None:
    with pytest.raises(RenderFailed) as refused:
        render((REQUIRED,), sets=(given,))
    assert said in str(refused.value)


def test_a_correct_model_server_is_taken() -> None:
    assert any(
        d["metadata"]["name"] == "penstock-model-coder" for d in render((REQUIRED,), sets=(f"{SERVER},{VERSIONED}",))
    )


def test_production_says_what_is_still_to_be_given() -> None:
    with pytest.raises(RenderFailed, match=r"images\.\w+\.digest|neither a tag nor a digest"):
        render((PRODUCTION,))


def places(schema: Any, at: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        yield at, schema
        for name, inner in schema.items():
            yield from places(inner, f"{at}/{name}")
    elif isinstance(schema, list):
        for number, inner in enumerate(schema):
            yield from places(inner, f"{at}/{number}")


def test_the_schema_is_strict_and_refers_to_nothing_remote() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    for at, place in places(schema):
        if isinstance(place.get("$ref"), str):
            assert place["$ref"].startswith("#/definitions/"), at
            assert place["$ref"].split("/")[2] in schema["definitions"], at
        if place.get("type") == "object" and at != "#/properties/global":
            assert "additionalProperties" in place, at
            assert place["additionalProperties"] is not True, at
    assert "global" in schema["properties"]  # Helm adds it


def test_every_default_is_in_the_schema_and_no_default_is_missing() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(schema["properties"]) - {"global"} == set(values) == set(schema["required"])


@pytest.mark.parametrize("file", sorted(CHART.glob("values*.yaml")), ids=lambda path: path.name)
def test_settings_and_secrets_of_value_files_exist(file: Path) -> None:
    values = yaml.safe_load(file.read_text())
    named = {*values.get("settings", {}), *values.get("secrets", {})}
    assert named <= Settings.model_fields.keys()


def test_rendering_twice_gives_the_same() -> None:
    """Nothing is made at random, so an upgrade changes no secret."""
    assert rendered_text(CASES["everything"]) == rendered_text(CASES["everything"])
    assert not [d for d in render(CASES["everything"]) if d["kind"] == "Secret"]
