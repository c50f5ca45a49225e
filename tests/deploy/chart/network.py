"""What NetworkPolicies allow, computed as the API describes it: https://kubernetes.io/docs/concepts/services-networking/network-policies/."""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.deploy.chart.rendering import Document


@dataclass(frozen=True)
class Endpoint:
    """A pod, or with an address and no namespace a host outside the cluster."""

    name: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    address: str = "10.244.0.1"


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    if selector is None:
        return False
    for name, value in selector.get("matchLabels", {}).items():
        if labels.get(name) != value:
            return False
    for one in selector.get("matchExpressions", ()):
        held = {
            "In": labels.get(one["key"]) in one.get("values", ()),
            "NotIn": labels.get(one["key"]) not in one.get("values", ()),
            "Exists": one["key"] in labels,
            "DoesNotExist": one["key"] not in labels,
        }
        if not held[one["operator"]]:
            return False
    return True


def _peer(peer: Mapping[str, Any], other: Endpoint, policy_namespace: str) -> bool:
    if "ipBlock" in peer:
        address = ipaddress.ip_address(other.address)
        block = peer["ipBlock"]
        return (
            not other.namespace  # plugins see pods by their labels; addresses of pods are not to be relied on
            and address in ipaddress.ip_network(block["cidr"])
            and not any(address in ipaddress.ip_network(cut) for cut in block.get("except", ()))
        )
    if not other.namespace:
        return False
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": other.namespace}):
            return False
    elif other.namespace != policy_namespace:
        return False
    return "podSelector" not in peer or selects(peer["podSelector"], other.labels)


def _rule(rule: Mapping[str, Any], side: str, other: Endpoint, port: int, protocol: str, namespace: str) -> bool:
    ports = rule.get("ports")
    if ports and not any(p.get("port") == port and p.get("protocol", "TCP") == protocol for p in ports):
        return False
    peers = rule.get(side)
    return not peers or any(_peer(peer, other, namespace) for peer in peers)


def _side_allows(
    policies: Iterable[Document], pod: Endpoint, other: Endpoint, port: int, protocol: str, direction: str
) -> bool:
    if not pod.namespace:
        return True  # a host outside obeys no policy
    selected = [
        policy
        for policy in policies
        if policy["metadata"].get("namespace", "penstock") == pod.namespace
        and selects(policy["spec"]["podSelector"], pod.labels)
        and direction.capitalize() in policy["spec"]["policyTypes"]
    ]
    if not selected:
        return True
    side = "to" if direction == "egress" else "from"
    return any(
        _rule(rule, side, other, port, protocol, policy["metadata"].get("namespace", "penstock"))
        for policy in selected
        for rule in policy["spec"].get(direction) or ()
    )


def allows(documents: Iterable[Document], source: Endpoint, target: Endpoint, port: int, protocol: str = "TCP") -> bool:
    """Whether a connection from `source` to `target` passes both sides' policies."""
    policies = [document for document in documents if document["kind"] == "NetworkPolicy"]
    return _side_allows(policies, source, target, port, protocol, "egress") and _side_allows(
        policies, target, source, port, protocol, "ingress"
    )
