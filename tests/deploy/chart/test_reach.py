"""Who may reach whom: the declared matrix against what the rendered policies allow, in both directions."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.deploy.chart.network import Endpoint, allows, selects
from tests.deploy.chart.rendering import Document, case, one, pods
from tests.deploy.chart.run_pods import run_job

PORTS = {
    "gateway": 8420, "webserver": 3000, "code": 4000, "model-proxy": 8430, "model": 11434, "dns": 53, "database": 5432,
    "kafka": 9093, "api server": 6443, "forge": 443, "metadata": 80, "neighbour": 8080, "sandbox": 8000,
    "daemon": 80, "relay": 80, "run": 80, "migrate": 80, "room": 80, "ingress": 80,
    "collector": 4318, "prometheus": 9090, "intranet": 443,
}  # fmt: skip
"""The port by which each can be reached; for those that listen nowhere, any."""
OUTSIDE = {
    "dns": Endpoint("dns", "kube-system", {"k8s-app": "kube-dns"}),
    "database": Endpoint("database", "database", {"app": "postgresql"}),
    "kafka": Endpoint("kafka", "kafka", {"app": "kafka"}),
    "api server": Endpoint("api server", address="172.16.0.1"),
    "forge": Endpoint("forge", address="140.82.112.3"),
    "metadata": Endpoint("metadata", address="169.254.169.254"),
    "intranet": Endpoint("intranet", address="10.1.2.3"),
    "neighbour": Endpoint("neighbour", "penstock", {"app": "other"}),
    "ingress": Endpoint("ingress", "ingress-nginx", {"app": "nginx"}),
    "prometheus": Endpoint("prometheus", "monitoring", {"app": "prometheus"}),
    "collector": Endpoint("collector", "monitoring", {"app": "collector"}),
    "sandbox": Endpoint("sandbox", "penstock-sandboxes", {"app.kubernetes.io/name": "penstock-sandbox"}),
}
MATRIX: dict[str, set[str]] = {
    "gateway": {"dns", "database", "forge", "collector"},
    "webserver": {"dns", "database", "api server", "code"},
    "daemon": {"dns", "database", "api server", "code", "collector"},
    "code": {"dns", "database", "kafka", "api server", "forge", "model-proxy", "collector"},
    "relay": {"dns", "database", "kafka", "collector"},
    "run": {"dns", "database", "kafka", "api server", "forge", "model-proxy", "collector"},
    "migrate": {"dns", "database"},
    "room": set(),
    "model-proxy": {"dns", "database", "api server", "model", "collector"},
    "model": {"dns", "forge"},
    "sandbox": set(),
    "ingress": {"gateway"},
    "prometheus": {"gateway", "model-proxy"},
    "neighbour": set(),
}
"""From each to whom. Everything else is refused; hosts outside and strangers are only asked about our pods."""


def endpoints(documents: list[Document]) -> dict[str, Endpoint]:
    found = dict(OUTSIDE)
    for pod in pods([*documents, run_job(documents)]):
        found[pod.component] = Endpoint(pod.component, pod.namespace, pod.labels)
    return found


def mistakes(documents: list[Document]) -> set[tuple[str, str, bool]]:
    """Pairs for which the policies say something else than the matrix, with what they say."""
    known = endpoints(documents)
    ours = {name for name, endpoint in known.items() if endpoint.labels.get("app.kubernetes.io/name") == "penstock"}
    ours.add("sandbox")
    found = set()
    for source, allowed in MATRIX.items():
        for target in known:
            if source == target or (source not in ours and target not in ours):
                continue
            said = allows(documents, known[source], known[target], PORTS[target])
            if said is not (target in allowed):
                found.add((source, target, said))
    return found


def test_the_matrix_names_every_component() -> None:
    documents = case("everything")
    assert {pod.component for pod in pods([*documents, run_job(documents)])} <= MATRIX.keys()


def test_the_policies_allow_what_the_matrix_says_and_nothing_else() -> None:
    assert mistakes(case("everything")) == set()


def test_only_dns_is_asked_by_udp() -> None:
    documents = case("everything")
    known = endpoints(documents)
    assert allows(documents, known["gateway"], known["dns"], 53, "UDP")
    assert not allows(documents, known["gateway"], known["database"], 5432, "UDP")


def test_every_pod_of_the_release_is_denied_by_default() -> None:
    documents = case("everything")
    deny = one(documents, "NetworkPolicy", "penstock-deny")["spec"]
    assert set(deny["policyTypes"]) == {"Ingress", "Egress"} and not deny.get("ingress") and not deny.get("egress")
    for pod in pods([*documents, run_job(documents)]):
        assert selects(deny["podSelector"], pod.labels), pod.where


def test_peers_narrow_what_a_pod_may_reach() -> None:
    documents = case("airgapped")
    known = endpoints(documents)
    assert not allows(documents, known["run"], known["forge"], 22)
    assert allows(documents, known["run"], Endpoint("gitlab", address="10.20.3.4"), 22)


def removed(name: str) -> Callable[[list[Document]], None]:
    return lambda documents: documents.remove(one(documents, "NetworkPolicy", name))


def edited(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[list[Document]], None]:
    def apply(documents: list[Document]) -> None:
        change(one(documents, "NetworkPolicy", name)["spec"])

    return apply


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (removed("penstock-deny"), ("room", "dns", True)),
        (removed("deny-all"), ("sandbox", "forge", True)),
        (removed("penstock-relay"), ("relay", "kafka", False)),
        (edited("penstock-gateway", lambda spec: spec["egress"].append({})), ("gateway", "metadata", True)),
        (edited("penstock-gateway", lambda spec: spec.update(policyTypes=["Ingress"])), ("gateway", "database", False)),
        (edited("penstock-code", lambda spec: spec["ingress"].append({})), ("neighbour", "code", True)),
        (edited("penstock-model", lambda spec: spec["ingress"][0].pop("from")), ("prometheus", "model", True)),
        (edited("penstock-model", lambda spec: spec["ingress"].clear()), ("model-proxy", "model", False)),
        (edited("penstock-model", lambda spec: spec["ingress"][0]["ports"][0].update(port=1)),
         ("model-proxy", "model", False)),
        (edited("penstock-run", lambda spec: spec["podSelector"]["matchLabels"].update(other="x")),
         ("run", "database", False)),
        (edited("penstock-webserver", lambda spec: spec.update(ingress=[{"from": [{"podSelector": {}}]}])),
         ("neighbour", "webserver", True)),
    ],
)  # fmt: skip
def test_a_changed_policy_is_found(change: Callable[[list[Document]], None], seen: tuple[str, str, bool]) -> None:
    documents = case("everything")
    assert seen not in mistakes(documents)
    change(documents)
    assert seen in mistakes(documents)


def test_without_named_peers_any_address_at_the_port_is_reached_and_none_at_others() -> None:
    documents = case("production")
    known = endpoints(documents)
    assert allows(documents, known["relay"], known["intranet"], 9093)
    assert not allows(documents, known["relay"], known["intranet"], 443)
    assert not allows(documents, known["run"], known["metadata"], 80)


def test_an_evaluated_policy_follows_the_documented_examples() -> None:
    """`namespaceSelector` and `podSelector` in one peer mean both; as two peers they mean either."""
    policy = {"kind": "NetworkPolicy", "metadata": {"name": "p", "namespace": "default"},
              "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [
                  {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "a"}},
                   "podSelector": {"matchLabels": {"role": "client"}}}]}]}}  # fmt: skip
    pod = Endpoint("db", "default", {"role": "db"})
    client = {"role": "client"}
    assert allows([policy], Endpoint("c", "a", client), pod, 1)
    assert not allows([policy], Endpoint("c", "b", client), pod, 1)
    assert not allows([policy], Endpoint("c", "a", {}), pod, 1)
    rule = policy["spec"]["ingress"][0]["from"]  # type: ignore[index]
    rule.append({"podSelector": rule[0].pop("podSelector")})
    assert allows([policy], Endpoint("c", "a", {}), pod, 1)
    assert allows([policy], Endpoint("c", "default", client), pod, 1)
    assert not allows([policy], Endpoint("c", "b", client), pod, 1)
