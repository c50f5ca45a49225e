"""What the chart promises of its objects beside pods: references, rights, singletons, budgets, scaling, sandboxes."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.settings import Settings
from sandbox.kubernetes.manifests import namespace_objects
from sandbox.kubernetes.options import PodOptions
from tests.deploy.chart.rendering import CASES, CHART, Document, case, one, pods, render
from tests.deploy.chart.run_pods import all_jobs

ROOT = Path(__file__).parents[3]
EVERYTHING = ("everything", "everything by KEDA")


def everywhere(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value, *(inner for one in value.values() for inner in everywhere(one))]
    return [inner for one in value for inner in everywhere(one)] if isinstance(value, list) else []


# references


@pytest.mark.parametrize("name", CASES)
def test_every_name_that_is_referred_to_exists(name: str) -> None:
    documents = case(name)
    known = {(d["kind"], d["metadata"].get("namespace", "penstock"), d["metadata"]["name"]) for d in documents}
    for pod in pods([*documents, *all_jobs(documents)]):
        wanted = []
        for place in everywhere(pod.spec):
            for field, kind in (("configMap", "ConfigMap"), ("configMapRef", "ConfigMap")):
                if field in place:
                    wanted.append((kind, place[field]["name"]))
            if "persistentVolumeClaim" in place:
                wanted.append(("PersistentVolumeClaim", place["persistentVolumeClaim"]["claimName"]))
        if "serviceAccountName" in pod.spec:
            wanted.append(("ServiceAccount", pod.spec["serviceAccountName"]))
        missing = {(kind, pod.namespace, ref) for kind, ref in wanted} - known
        assert not missing, pod.where
        if pod.hook:
            assert not wanted, f"{pod.where} runs before any other object exists"
    names = [(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]) for d in documents]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", CASES)
def test_selectors_choose_the_pods_that_they_are_for(name: str) -> None:
    documents = case(name)
    made = list(pods(documents))
    for document in documents:
        if document["kind"] == "Deployment":
            selector = document["spec"]["selector"]["matchLabels"]
            chosen = [pod for pod in made if selector.items() <= pod.labels.items()]
            assert [pod.where for pod in chosen] == [f"Deployment {document['metadata']['name']}"]
        if document["kind"] in ("Service", "PodDisruptionBudget"):
            spec = document["spec"]
            selector = spec["selector"] if document["kind"] == "Service" else spec["selector"]["matchLabels"]
            chosen = [pod for pod in made if selector.items() <= pod.labels.items()]
            assert [pod.where for pod in chosen] == [f"Deployment {document['metadata']['name']}"], document["kind"]
            for port in spec.get("ports", ()):
                assert port["targetPort"] in [p["name"] for c in chosen[0].containers for p in c.get("ports", ())]
        if document["kind"] in ("HorizontalPodAutoscaler", "ScaledObject"):
            target = one(documents, "Deployment", document["spec"]["scaleTargetRef"]["name"])
            assert "replicas" not in target["spec"], "two would decide on the number"


def test_the_workspace_and_the_proxy_name_services_that_exist() -> None:
    documents = case("everything")
    workspace = yaml.safe_load(one(documents, "ConfigMap", "penstock-dagster")["data"]["workspace.yaml"])
    server = workspace["load_from"][0]["grpc_server"]
    ports = one(documents, "Service", server["host"])["spec"]["ports"]
    assert [port["port"] for port in ports] == [server["port"]]
    for backend in proxy_config(documents)["backends"]:
        host, _, port = backend["url"].removeprefix("http://").partition(":")
        assert one(documents, "Service", host)["spec"]["ports"][0]["port"] == int(port)


def test_the_code_location_serves_on_the_port_that_is_probed() -> None:
    container = next(pod for pod in pods(case("default")) if pod.component == "code").containers[0]
    number = container["args"][container["args"].index("--port") + 1]
    assert int(number) == container["readinessProbe"]["grpc"]["port"] == container["ports"][0]["containerPort"]


# rights


@pytest.mark.parametrize("name", CASES)
def test_no_role_has_a_wildcard_or_reads_secrets(name: str) -> None:
    roles = [d for d in case(name) if d["kind"] in ("Role", "ClusterRole")]
    assert roles and all(role["kind"] == "Role" for role in roles)
    for rule in (rule for role in roles for rule in role["rules"]):
        words = {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        assert "*" not in words and "secrets" not in words
        assert not words & {"escalate", "bind", "impersonate"}


def granted(documents: list[Document], account: str) -> set[tuple[str, str]]:
    names = {
        (d["metadata"].get("namespace", "penstock"), d["roleRef"]["name"])
        for d in documents
        if d["kind"] == "RoleBinding" and any(s["name"] == account for s in d["subjects"])
    }
    return {
        (f"{namespace}/{resource}", verb)
        for namespace, name in names
        for role in documents
        if role["kind"] == "Role"
        and (role["metadata"].get("namespace", "penstock"), role["metadata"]["name"]) == (namespace, name)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_each_account_may_do_what_it_does() -> None:
    documents = case("default")
    jobs = {("penstock/jobs", verb) for verb in ("create", "get", "list", "delete")} | {
        ("penstock/jobs/status", "get"), ("penstock/pods", "get"), ("penstock/pods", "list"),
        ("penstock/pods", "delete"), ("penstock/pods/log", "get"), ("penstock/events", "list"),
    }  # fmt: skip
    sandboxes = {("penstock-sandboxes/pods", verb) for verb in ("create", "get", "list", "delete")} | {
        ("penstock-sandboxes/pods/exec", "create"), ("penstock-sandboxes/pods/exec", "get"),
        ("penstock-sandboxes/networkpolicies", "list"),
    }  # fmt: skip
    assert granted(documents, "penstock-dagster") == jobs
    assert granted(documents, "penstock-run") == sandboxes  # steps as Jobs only where `jobs` names some
    assert granted(case("everything"), "penstock-run") == sandboxes | jobs
    assert granted(documents, "penstock-code") == sandboxes  # for commands that people run there
    for account in ("penstock-gateway", "penstock-relay", "penstock-model", "penstock-model-proxy"):
        assert granted(documents, account) == set()


def test_the_proxy_may_scale_the_model_servers_alone() -> None:
    role = one(case("everything"), "Role", "penstock-model-proxy")
    assert role["rules"] == [
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "patch"],
         "resourceNames": ["penstock-model-coder-1", "penstock-model-coder-2", "penstock-model-small"]}
    ]  # fmt: skip


def test_each_component_is_given_the_secrets_that_it_uses() -> None:
    documents = case("production")
    given = {
        pod.component: {
            v["name"].removesuffix("_FILE")
            for c in pod.containers
            for v in c.get("env", ())
            if v["name"].endswith("_FILE")
        }
        for pod in pods([*documents, *all_jobs(documents)])
    }
    owners = {name for name, found in given.items() if "PENSTOCK_DATABASE_OWNER_URL" in found}
    assert owners == {"migrate", "run"}
    assert {name for name, found in given.items() if "PENSTOCK_GITHUB_TOKEN" in found} == {
        "run",
        "code",
        "webserver",
        "daemon",
    }
    assert {name for name, found in given.items() if "PENSTOCK_GITHUB_WEBHOOK_SECRET" in found} >= {"gateway"}
    assert "PENSTOCK_GITHUB_WEBHOOK_SECRET" not in given["run"]
    assert given["relay"] == {"PENSTOCK_DATABASE_URL", "PENSTOCK_KAFKA_PASSWORD"}


# availability


def test_the_daemon_is_one() -> None:
    for name in CASES:
        daemon = one(case(name), "Deployment", "penstock-daemon")["spec"]
        assert (daemon["replicas"], daemon["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.parametrize("name", EVERYTHING)
def test_all_but_singletons_have_a_budget_that_lets_nodes_be_drained(name: str) -> None:
    documents = case(name)
    budgets = {d["metadata"]["name"]: d["spec"] for d in documents if d["kind"] == "PodDisruptionBudget"}
    deployments = {d["metadata"]["name"] for d in documents if d["kind"] == "Deployment"}
    assert budgets.keys() == deployments - {"penstock-daemon", "penstock-room"}
    assert all(spec["maxUnavailable"] == 1 for spec in budgets.values())


def test_replicas_spread_over_zones_and_nodes() -> None:
    for pod in pods(case("everything")):
        if pod.component in ("gateway", "webserver", "code", "relay", "model-proxy"):
            constraints = pod.spec["topologySpreadConstraints"]
            assert [c["topologyKey"] for c in constraints] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
            assert all(c["labelSelector"]["matchLabels"].items() <= pod.labels.items() for c in constraints)


def test_an_upgrade_takes_no_gateway_away_before_its_successor_answers() -> None:
    deployment = one(case("production"), "Deployment", "penstock-gateway")["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    spec = deployment["template"]["spec"]
    pause = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    from gateway.server import GRACE_SECONDS

    assert spec["terminationGracePeriodSeconds"] > pause + GRACE_SECONDS


def test_the_gateway_scales_on_cpu_and_on_requests() -> None:
    metrics = one(case("production"), "HorizontalPodAutoscaler", "penstock-gateway")["spec"]["metrics"]
    assert [m["type"] for m in metrics] == ["Resource", "Pods"]
    assert metrics[0]["resource"]["name"] == "cpu"


def test_room_for_runs_grows_with_uncommitted_events_and_with_the_oldest_age() -> None:
    metrics = one(case("everything"), "HorizontalPodAutoscaler", "penstock-room")["spec"]["metrics"]
    assert [m["external"]["metric"]["name"] for m in metrics] == [
        "kafka_consumergroup_lag", "penstock_tasks", "penstock_tasks_oldest_seconds"
    ]  # fmt: skip
    assert metrics[0]["external"]["metric"]["selector"]["matchLabels"] == {
        "consumergroup": "penstock-tasks", "topic": "penstock.tasks"
    }  # fmt: skip
    from core.events import TASKS
    from sensors.tasks import GROUP

    assert (GROUP, TASKS) == ("penstock-tasks", "penstock.tasks")


def test_scalers_hold_when_nobody_answers() -> None:
    for scaler in (d for d in case("everything by KEDA") if d["kind"] == "ScaledObject"):
        assert scaler["spec"]["fallback"]["behavior"] == "currentReplicas"
        for trigger in scaler["spec"]["triggers"]:
            assert trigger["metadata"]["ignoreNullValues"] == "false"
            assert " or " not in trigger["metadata"]["query"]  # `or vector(0)` would make silence a zero


# sandboxes


def without_labels(document: Document) -> Document:
    metadata = {**document["metadata"]}
    labels = {k: v for k, v in metadata.pop("labels", {}).items() if k.startswith("pod-security.")}
    return {**document, "metadata": {**metadata, **({"labels": labels} if labels else {})}}


def test_the_sandboxes_namespace_is_what_the_backend_needs() -> None:
    documents = case("default")
    for wanted in namespace_objects("penstock-sandboxes", "penstock", "penstock-run"):
        if wanted["kind"] == "ServiceAccount":
            continue  # Kubernetes makes it before Helm could
        made = without_labels(one(documents, wanted["kind"], wanted["metadata"]["name"]))
        if wanted["kind"] == "ResourceQuota":
            assert made["spec"]["hard"].items() >= wanted["spec"]["hard"].items()
        elif wanted["kind"] == "RoleBinding":
            assert made["subjects"][0] == wanted["subjects"][0] and made["roleRef"] == wanted["roleRef"]
        else:
            assert made == wanted
    assert not [d for d in documents if d["kind"] == "ServiceAccount" and d["metadata"]["name"] == "default"]


# the proxy's file


def proxy_config(documents: list[Document]) -> dict[str, Any]:
    return tomllib.loads(one(documents, "ConfigMap", "penstock-model-proxy")["data"]["model-proxy.toml"])


def test_the_proxy_is_given_each_model_of_each_server() -> None:
    config = proxy_config(case("everything"))
    assert [(b["name"], b["model"], b["version"], b["served"]) for b in config["backends"]] == [
        ("coder-1", "coder", "1", "qwen2.5-coder:7b"),
        ("coder-2", "coder", "2", "qwen3-coder:7b"),
        ("small", "old", "1", "registry.example.org:5000/models/small:1"),
        ("small-2", "embedder", "1", "minilm"),
    ]
    assert config["models"] == [
        {"name": "coder", "versions": {"1": 95, "2": 5}}, {"name": "old", "draining": ["1"]}
    ]  # fmt: skip
    woken = proxy_config(case("everything by KEDA"))["backends"]
    assert [b["name"] for b in woken if "wake" in b] == ["coder-1"]
    assert woken[0]["wake"]["deployment"] == {"namespace": "penstock", "name": "penstock-model-coder-1"}


def test_the_proxy_reads_its_file(tmp_path: Path) -> None:
    config = pytest.importorskip("core.models.config")
    for name in EVERYTHING:
        file = tmp_path / "model-proxy.toml"
        file.write_text(one(case(name), "ConfigMap", "penstock-model-proxy")["data"]["model-proxy.toml"])
        assert config.read_config(file).backends


# settings


@pytest.mark.parametrize("name", CASES)
def test_the_settings_are_valid(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = one(case(name), "ConfigMap", "penstock-settings")["data"]
    ours = {key: value for key, value in data.items() if key.startswith("PENSTOCK_")}
    assert {key.removeprefix("PENSTOCK_").lower() for key in ours} <= Settings.model_fields.keys()
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    for key, value in ours.items():
        monkeypatch.setenv(key, value)
    found = Settings()
    assert found.sandbox == "kubernetes" and found.gateway_host == "0.0.0.0"  # noqa: S104
    if name == "everything":
        assert (found.task_seconds, found.question_days, found.log_level) == (900.0, 0.5, "debug")


def test_sandboxes_without_a_runtime_class_are_given_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not an empty variable, which would leave the setting at its default."""
    data = one(case("kind"), "ConfigMap", "penstock-settings")["data"]
    assert data["PENSTOCK_KUBERNETES_RUNTIME_CLASS"] == "none"
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    monkeypatch.setenv("PENSTOCK_KUBERNETES_RUNTIME_CLASS", "none")
    assert PodOptions.from_settings().runtime_class == ""
    monkeypatch.delenv("PENSTOCK_KUBERNETES_RUNTIME_CLASS")
    assert PodOptions.from_settings().runtime_class == "gvisor"


def test_large_numbers_are_not_written_with_exponents() -> None:
    documents = render(CASES["default"], sets=("settings.chat_tokens=1500000", "sandbox.sessionSeconds=604800"))
    data = one(documents, "ConfigMap", "penstock-settings")["data"]
    assert data["PENSTOCK_CHAT_TOKENS"] == "1500000"
    assert data["PENSTOCK_KUBERNETES_SESSION_SECONDS"] == "604800"


def test_the_chart_is_of_this_version() -> None:
    text = (CHART / "Chart.yaml").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.search(rf"^appVersion: {re.escape(project)}$", text, re.MULTILINE)
