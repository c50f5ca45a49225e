"""What the proxy says about its models and servers: the lists of both dialects, and the state for operators."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from core.models.pool import Pool
from core.ollama import full_name

_NEVER = "1970-01-01T00:00:00Z"


def openai_models(pools: Mapping[str, Pool]) -> dict[str, Any]:
    """The answer of `/v1/models`."""
    listed = [{"id": name, "object": "model", "created": 0, "owned_by": "penstock"} for name in _names(pools)]
    return {"object": "list", "data": listed}


def ollama_tags(pools: Mapping[str, Pool]) -> dict[str, Any]:
    """The answer of `/api/tags`. A model's digest is that of the version that has the largest share."""
    return {"models": [_tag(name, *_found(pools, name)) for name in _names(pools)]}


def ollama_ps(pools: Mapping[str, Pool]) -> dict[str, Any]:
    """The answer of `/api/ps`: the models that some server has in memory."""
    found = []
    for name, pool in pools.items():
        loaded = [one for one in pool.backends.values() if one.loaded and not one.down]
        if loaded:
            expires = "9999-12-31T23:59:59Z"
            found.append({**_tag(name, pool, None), "size_vram": 0, "expires_at": expires})
    return {"models": found}


def ollama_version(pools: Iterable[Pool]) -> dict[str, str]:
    """The answer of `/api/version`: the oldest of the servers' versions, which all of them fulfil."""
    versions = {one.server_version for pool in pools for one in pool.backends.values() if one.server_version}
    return {"version": min(versions, key=_numbers) if versions else "0.0.0"}


def state(pools: Mapping[str, Pool]) -> dict[str, Any]:
    """Every model and server, for operators."""
    now = time.monotonic()
    return {
        "models": [
            {
                "model": name,
                "waiting": pool.waiting,
                "versions": [
                    {
                        "version": version,
                        "share": share,
                        "draining": version in pool.model.draining,
                        "in_flight": pool.version_in_flight(version),
                        "drained": version in pool.model.draining and pool.version_in_flight(version) == 0,
                    }
                    for version, share in pool.shares.items()
                ],
                "backends": [
                    {
                        "name": one.name,
                        "version": one.backend.version,
                        "kind": one.backend.kind,
                        "state": one.state(now),
                        "reason": one.down or None,
                        "in_flight": one.in_flight,
                        "concurrency": one.backend.concurrency,
                        "loaded": one.loaded,
                        "failure_rate": round(one.standing.rate(now), 3),
                    }
                    for one in pool.backends.values()
                ],
            }
            for name, pool in pools.items()
        ]
    }


def _names(pools: Mapping[str, Pool]) -> list[str]:
    found = []
    for name, pool in pools.items():
        open_ = [version for version in pool.shares if version not in pool.model.draining]
        found += [name, *(f"{name}@{version}" for version in open_ if len(pool.shares) > 1)]
    return found


def _found(pools: Mapping[str, Pool], name: str) -> tuple[Pool, str | None]:
    if name in pools:
        return pools[name], None
    model, _, version = name.rpartition("@")
    return pools[model], version


def _tag(name: str, pool: Pool, version: str | None) -> dict[str, Any]:
    open_ = {one: share for one, share in pool.shares.items() if one not in pool.model.draining}
    version = version or max(open_, key=lambda one: (open_[one], one), default=None)
    digests = sorted({one.digest for one in pool.backends.values() if one.backend.version == version and one.digest})
    # Servers that disagree have no digest in common: whoever relies on it finds that out.
    digest = digests[0] if len(digests) == 1 else ""
    named = full_name(name)
    return {"name": named, "model": named, "modified_at": _NEVER, "size": 0, "digest": digest, "details": {}}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("-")[0].split("."))
