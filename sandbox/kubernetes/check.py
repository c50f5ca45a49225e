"""Whether a cluster keeps the promises that a session makes, as far as that can be seen from a pod and the API."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox.protocol import Environment, Limit, Limits, Session

_LIMITS = Limits(
    wall_seconds=120.0, cpu_seconds=60.0, memory_bytes=64 << 20, processes=16, file_bytes=64 << 20, disk_bytes=16 << 20
)
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
_EXPECTED = ["a copied file 750 5", "a written file 7"]
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


def broken_guarantee(open_session: Callable[[Environment, Limits], Session]) -> str | None:
    """The first promise that a real session does not keep; None when it keeps all. Raises `SandboxUnavailable`."""
    with tempfile.TemporaryDirectory(prefix="penstock-check-") as folder:
        given = Path(folder, "given")
        given.write_text("given")
        given.chmod(0o750)
        with open_session(Environment(Path(folder)), _LIMITS) as session:
            session.write("written", b"written")
            result = session.run(["sh", "-c", _SCRIPT])
            lines = result.stdout[:300].decode(errors="replace").splitlines()
            if missing := [line for line in _EXPECTED if line not in lines]:
                tail = "; ".join(result.stderr[-300:].decode(errors="replace").splitlines())
                return f"a command does not see {missing[0]} ({result.limit or result.exit_code}: {tail})"
            if lines != _EXPECTED:
                return f"a command found: {'; '.join(line for line in lines if line not in _EXPECTED)}"
            if session.read("new") != b"made\n":
                return "a file that a command wrote cannot be read"
            left = session.run(["sh", "-c", "(sleep 1000 & sleep 1000) & echo started; exit 3"])
            if left.exit_code != 3 or left.stdout != b"started\n":
                return f"a command that leaves processes behind ended with {left.limit or left.exit_code}"
            large = session.run(
                ["sh", "-c", "head -c 3000000 /dev/zero >large"], limits=replace(_LIMITS, file_bytes=1 << 20)
            )
            if large.limit is not Limit.FILE_SIZE:
                return f"writing a file above the limit ended the command with {large.limit or large.exit_code}"
    return None
