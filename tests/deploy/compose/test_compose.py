"""The compose file: valid by the specification, and what it promises of ports, users, secrets and health."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.settings import Settings

FOLDER = Path(__file__).parents[3] / "deploy/compose"
OURS = ("schema", "gateway", "relay", "code", "daemon", "webserver")
OTHERS = ("postgres", "kafka", "ollama", "prometheus", "grafana", "loki", "alloy")


def composed() -> dict[str, Any]:
    """With merge keys and default values of variables applied, as an engine does before it validates."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (FOLDER / "compose.yaml").read_text())
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = composed()["services"]
    return found


def checked(document: dict[str, Any]) -> None:
    """Raises `ValueError` for what the specification does not allow."""
    import compose_spec

    compose_spec.PyCompose.from_json(json.dumps(document)).validate()
    for name, service in document["services"].items():
        named = {volume.partition(":")[0] for volume in service.get("volumes", ()) if not volume.startswith(".")}
        if unknown := named - document["volumes"].keys():
            raise ValueError(f"{name} mounts volumes that are not declared: {sorted(unknown)}")
        if unknown := set(service.get("depends_on", ())) - document["services"].keys():
            raise ValueError(f"{name} waits for services that are not there: {sorted(unknown)}")


def test_it_is_valid_by_the_specification() -> None:
    checked(composed())
    assert set(services()) == {*OURS, *OTHERS}


@pytest.mark.parametrize(
    ("service", "field", "value"),
    [
        ("gateway", "helthcheck", {}),
        ("gateway", "healthcheck", {"test": ["CMD", "a"], "interval": "5q"}),
        ("gateway", "ports", ["127.0.0.1:eight:80"]),
        ("gateway", "depends_on", {"schema": {"condition": "service_finished"}}),
        ("gateway", "networks", ["nowhere"]),
        ("gateway", "secrets", ["none"]),
        ("kafka", "volumes", ["nothing:/data"]),
        ("webserver", "depends_on", ["cod"]),
    ],
)
def test_a_mistake_is_found(service: str, field: str, value: object) -> None:
    document = composed()
    checked(document)
    document["services"][service][field] = value
    with pytest.raises(ValueError):
        checked(document)


def test_only_loopback_is_published() -> None:
    ports = {name: one["ports"] for name, one in services().items() if one.get("ports")}
    assert ports.keys() == {"gateway", "webserver", "prometheus", "grafana", "loki", "alloy"}
    assert all(port.startswith("127.0.0.1:") for published in ports.values() for port in published)


def test_database_and_broker_are_reached_by_nobody_outside() -> None:
    assert composed()["networks"]["data"] == {"internal": True}
    for name in ("postgres", "kafka", "relay"):
        assert services()[name]["networks"] == ["data"]


@pytest.mark.parametrize("name", OURS)
def test_our_services_have_no_rights_and_cannot_write_their_image(name: str) -> None:
    service = services()[name]
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode"} & service.keys()
    loosened = [one for one in service["security_opt"] if "unconfined" in one]
    assert bool(loosened) is (name == "code")  # whose sandboxes make namespaces


def test_no_service_sees_the_engine_or_the_machine() -> None:
    for name, service in services().items():
        for volume in service.get("volumes", ()):
            source, _, options = volume.partition(":")
            assert "docker.sock" not in volume and not source.startswith("/"), name
            if source.startswith("."):
                assert options.endswith(":ro"), volume


def test_secrets_are_files_and_never_in_the_environment() -> None:
    for name, service in services().items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|TOKEN|DATABASE_URL|OWNER_URL", variable):
                assert variable.endswith(("_FILE", "__FILE")), (name, variable)
                assert str(value).startswith("/run/secrets/"), (name, variable)
                assert str(value).removeprefix("/run/secrets/") in service["secrets"], (name, variable)


def test_every_service_says_whether_it_is_well() -> None:
    without = {name for name, service in services().items() if "healthcheck" not in service}
    assert without == {"schema", "relay", "loki", "alloy"}  # it ends; it listens nowhere; no client in their images


def test_everything_waits_for_the_schema_and_for_what_it_uses() -> None:
    for name in ("gateway", "relay", "code"):
        assert services()[name]["depends_on"]["schema"] == {"condition": "service_completed_successfully"}
    for name in ("daemon", "webserver"):
        assert services()[name]["depends_on"] == {"code": {"condition": "service_healthy"}}


def test_images_are_named_by_versions() -> None:
    for name, service in services().items():
        tag = service["image"].rpartition(":")[2]
        assert tag != "latest" and re.search(r"\d", tag), name
        if name in OURS:
            target = service["build"]["target"]
            assert target in {"penstock", "gateway", "code"}


def test_the_variables_are_settings() -> None:
    fields = {f"PENSTOCK_{name.upper()}" for name in Settings.model_fields}
    for name in OURS:
        given = {v.removesuffix("_FILE") for v in services()[name].get("environment", {}) if v.startswith("PENSTOCK_")}
        assert given - fields <= {"PENSTOCK_METRICS_TOKEN"}, name


def test_dagsters_files_are_read_by_dagster(tmp_path: Path) -> None:
    from dagster._core.instance.config import dagster_instance_config

    (tmp_path / "dagster.yaml").write_text((FOLDER / "dagster/dagster.yaml").read_text())
    config, _ = dagster_instance_config(str(tmp_path))
    assert config["telemetry"] == {"enabled": False}
    workspace = yaml.safe_load((FOLDER / "dagster/workspace.yaml").read_text())
    server = workspace["load_from"][0]["grpc_server"]
    command = services()["code"]["command"]
    assert (server["host"], str(server["port"])) == ("code", command[command.index("--port") + 1])


def test_secrets_are_made_once_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"

    def make() -> dict[str, str]:
        subprocess.run([str(FOLDER / "secrets.sh"), str(folder)], check=True, capture_output=True, timeout=30)
        return {path.name: path.read_text() for path in folder.iterdir()}

    first = make()
    assert first.keys() == composed()["secrets"].keys()
    assert first["penstock_password"] in first["database_url"]
    assert len({first[name] for name in first if name.endswith("_password")}) == 4
    assert folder.stat().st_mode & 0o777 == 0o700
    assert make() == first
    (folder / "grafana_password").unlink()
    again = make()
    assert again.pop("grafana_password") != first.pop("grafana_password") and again == first


def test_every_file_that_is_mounted_exists() -> None:
    for service in services().values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("./"):
                assert (FOLDER / source).exists(), source
    for config in composed()["configs"].values():
        assert (FOLDER / config["file"]).is_file()
    assert os.access(FOLDER / "postgres/penstock.sh", os.X_OK)
    ignored = (FOLDER.parents[1] / ".gitignore").read_text().splitlines()
    assert "deploy/compose/secrets/" in ignored
