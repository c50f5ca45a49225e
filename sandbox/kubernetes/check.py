"""Whether a cluster keeps the promises that a session makes, as far as that can be seen from a pod and the API."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox.protocol import Environment, Limits, Session
from sandbox.self_check import broken_guarantee

_SCRIPT = """
stat -c 'a copied file %a %s' given
stat -c 'a written file %s' written
[ "$(id -u)" != 0 ] || echo 'it runs as root'
for folder in /tmp /dev/shm; do
    head -c 40000000 /dev/zero >$folder/large && echo "$folder has no size limit"
    rm -f $folder/large
done 2>/dev/null
(echo x >/penstock-check) 2>/dev/null && echo 'the image can be written to'
[ ! -e /var/run/secrets/kubernetes.io/serviceaccount/token ] || echo 'a token of the cluster is mounted'
host=$(tr '\\0' '\\n' </proc/1/environ | sed -n 's/^KUBERNETES_SERVICE_HOST=//p')
port=$(tr '\\0' '\\n' </proc/1/environ | sed -n 's/^KUBERNETES_SERVICE_PORT=//p')
if [ -n "$host" ] && type bash timeout >/dev/null 2>&1; then
    timeout 5 bash -c ": </dev/tcp/$host/$port" 2>/dev/null && echo 'it can connect to the API server'
fi
echo made >new
"""
_POLICY = "apply deploy/kubernetes/sandboxes.yaml, on a cluster whose network enforces NetworkPolicy"


def missing_policy(policies: Sequence[Mapping[str, Any]], namespace: str) -> str | None:
    """None when a policy of the namespace denies all traffic of all pods, and no other allows any."""
    denied: set[str] = set()
    for policy in policies:
        specification = policy.get("spec") or {}
        if specification.get("ingress") or specification.get("egress"):
            name = (policy.get("metadata") or {}).get("name")
            return (
                f"the network policy {name} of namespace {namespace} allows traffic: remove it, or use a namespace for "
                "sandboxes alone"
            )
        if not any((specification.get("podSelector") or {}).values()):
            denied |= set(specification.get("policyTypes") or ())
    if denied >= {"Ingress", "Egress"}:
        return None
    return f"no network policy of namespace {namespace} denies all traffic: {_POLICY}"


def broken_promise(open_session: Callable[[Environment, Limits], Session]) -> str | None:
    """The first promise that a real session does not keep; None when it keeps all. Raises `SandboxUnavailable`."""
    return broken_guarantee(open_session, _SCRIPT, _what_is_left_behind)


def _what_is_left_behind(session: Session) -> str | None:
    left = session.run(["sh", "-c", "(sleep 1000 & sleep 1000) & echo started; exit 3"])
    if left.exit_code != 3 or left.stdout != b"started\n":
        return f"a command that leaves processes behind ended with {left.limit or left.exit_code}"
    return None
