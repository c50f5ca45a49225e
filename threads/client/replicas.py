"""Requests to several gateways that serve the same threads: a thread prefers one of them, and any other will do."""

from collections.abc import Mapping
from typing import Any

from threads.affinity import preferred
from threads.client.transport import Offline, Transport


class ReplicatedTransport:
    """`replicas` by address. A request goes to the replica that its thread prefers; if that does not answer, to the
    next one, once."""

    def __init__(self, replicas: Mapping[str, Transport]) -> None:
        self._replicas = dict(replicas)

    def request(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None, wait: float = 0.0
    ) -> Any:
        """As `Transport`. All requests may be repeated: a push by its numbers, the others by what they are."""
        first, *others = preferred(_key(path, query, body), self._replicas)
        try:
            return self._replicas[first].request(method, path, query=query, body=body, wait=wait)
        except Offline:
            if not others:
                raise
        return self._replicas[others[0]].request(method, path, query=query, body=body, wait=wait)


def _key(path: str, query: Mapping[str, Any] | None, body: Any) -> str:
    """The thread of a request; the client's id for what is about all threads."""
    parts = path.split("/")
    if len(parts) > 2 and parts[1] == "threads":
        return parts[2]
    return str((query or {}).get("client") or (body or {}).get("client") or "")
