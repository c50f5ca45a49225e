"""Decides about calls."""

from dataclasses import dataclass

from .bucket import Bucket
from .policy import parse_policy
from .usage import Usage


@dataclass(frozen=True)
class Decision:
    """`wait` is after how many seconds a refused call may be tried again; `left` how many are possible at once."""

    allowed: bool
    wait: float = 0.0
    left: int | None = None

    def headers(self):
        """For the answer."""
        found = {}
        if self.left is not None:
            found["X-RateLimit-Remaining"] = str(self.left)
        if not self.allowed:
            found["Retry-After"] = str(int(self.wait) + 1)
        return found


class Limiter:
    """`routes` are policies by path; a path stands for all below it, and the longest that fits counts. `default` is
    for all others, `clients` are policies of single clients, which go before those of routes."""

    def __init__(self, routes=None, default="unlimited", clients=None):
        self._routes = {path.rstrip("/"): parse_policy(text) for path, text in (routes or {}).items()}
        self._default = parse_policy(default)
        self._clients = {client: parse_policy(text) for client, text in (clients or {}).items()}
        self._buckets = {}
        self.usage = Usage()

    def call(self, client, path, now, cost=1):
        """Decides about one call at the time `now`, in seconds."""
        route, policy = self._policy(client, path)
        if policy is None:
            self.usage.note(client, route, True)
            return Decision(True)
        bucket = self._buckets.get((client, route))
        if bucket is None:
            bucket = self._buckets[client, route] = Bucket(policy.rate, policy.burst, now)
        wait = bucket.take(now, cost)
        self.usage.note(client, route, wait == 0)
        return Decision(wait == 0, wait, bucket.tokens)

    def forget_idle(self, now):
        """Drops what is full again. Returns how many buckets that were."""
        idle = [key for key, bucket in self._buckets.items() if bucket.full(now)]
        for key in idle:
            del self._buckets[key]
        return len(idle)

    def _policy(self, client, path):
        """The part of the path that has a policy, and the policy."""
        if client in self._clients:
            return "", self._clients[client]
        at = path.rstrip("/")
        while at:
            if at in self._routes:
                return at, self._routes[at]
            at = at.rpartition("/")[0]
        return "", self._default
