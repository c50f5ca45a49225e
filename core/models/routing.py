"""Which replica answers a request: a pure function of what is known about the replicas and of the request.

First a version is chosen by the versions' shares, then one of its replicas. A task keeps its version and its replica
by rendezvous hashing (Thaler, Ravishankar 1998; weighted as in Mosko, Solis: score -weight / ln(hash)), so that its
prompts find the cache of their beginnings, and so that a replica's end moves only the tasks that it had. Without a task
the least busy replica answers; failures of the recent past count as load.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Replica:
    """One backend as the decision sees it."""

    name: str
    version: str
    weight: float = 1.0
    concurrency: int = 1
    in_flight: int = 0
    usable: bool = True
    """Neither down nor ejected."""
    trial: bool = False
    """Ejected, but its next request is its trial: it takes one at a time."""
    loaded: bool | None = None
    """Whether the model is in the server's memory; None if the server does not say."""
    failure_rate: float = 0.0

    @property
    def free(self) -> bool:
        return self.usable and self.in_flight < (1 if self.trial else self.concurrency)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request wants."""

    task: str | None = None
    version: str | None = None
    """The version that the caller named; None leaves it to the shares."""
    one_version: bool = False
    """Never split between versions: embeddings, since vectors of two models cannot be compared."""
    excluded: frozenset[str] = frozenset()
    """Replicas that answered this request with an error."""
    avoided: frozenset[str] = frozenset()
    """Replicas that could not be reached for this request: used only if there is no other."""
    draw: float = 0.0
    """Random, at least 0 and below 1."""


@dataclass(frozen=True, slots=True)
class Send:
    replica: str


@dataclass(frozen=True, slots=True)
class Busy:
    """All that could answer have as many requests as they may have."""


@dataclass(frozen=True, slots=True)
class Away:
    """Nothing that could answer is up."""


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Each replica that is up has answered this request with an error."""


@dataclass(frozen=True, slots=True)
class NoVersion:
    """No version takes requests, or the named one does not."""


Decision = Send | Busy | Away | Exhausted | NoVersion


def choose(replicas: Sequence[Replica], shares: Mapping[str, float], draining: Iterable[str], wish: Wish) -> Decision:
    """Where a request goes. `shares` are the versions' shares of traffic."""
    versions = versions_in_order(shares, frozenset(draining), wish)
    known = [version for version in versions if any(one.version == version for one in replicas)]
    if not known:
        return NoVersion()
    tried = False
    for version in known:
        up = [one for one in replicas if one.version == version and one.usable]
        tried = tried or any(one.name in wish.excluded for one in up)
        up = [one for one in up if one.name not in wish.excluded]
        fresh = [one for one in up if one.name not in wish.avoided] or up
        if free := [one for one in fresh if one.free]:
            return Send(_best(free, wish).name)
        if fresh:
            return Busy()  # another version does not get what this one is only too busy for
    return Exhausted() if tried else Away()


def versions_in_order(shares: Mapping[str, float], draining: frozenset[str], wish: Wish) -> list[str]:
    """The versions that may answer, the chosen one first; the others are for when that has no replica that is up."""
    if wish.version is not None:
        return [wish.version] if wish.version in shares and wish.version not in draining else []
    open_ = {version: share for version, share in shares.items() if share > 0 and version not in draining}
    by_share = sorted(open_, key=lambda version: (-open_[version], version))
    if wish.one_version or len(by_share) < 2:
        return by_share[:1]
    draw = wish.draw if wish.task is None else _hash("version", wish.task)
    at = draw * sum(open_.values())
    chosen = by_share[-1]
    for version in by_share:
        at -= open_[version]
        if at < 0:
            chosen = version
            break
    return [chosen, *(version for version in by_share if version != chosen)]


def _best(free: Sequence[Replica], wish: Wish) -> Replica:
    first_try = not wish.excluded and not wish.avoided  # a trial is cheap then: if it fails, another replica answers
    if wish.task is not None:
        task = wish.task
        return min(free, key=lambda one: (one.trial and not first_try, one.loaded is False, -affinity(task, one)))
    return min(
        free,
        key=lambda one: (
            one.trial != first_try,
            one.loaded is False,
            load(one),
            _hash(one.name, str(wish.draw)) if len(free) > 1 else 0.0,
        ),
    )


def load(replica: Replica) -> float:
    """How busy a replica would be with one more request, relative to its weight. A failure rate of a half quadruples
    it."""
    return (replica.in_flight + 1) / replica.weight / (1.0 - min(0.9, replica.failure_rate)) ** 2


def affinity(task: str, replica: Replica) -> float:
    """The rendezvous score of a replica for a task; the highest wins."""
    return -replica.weight / math.log(_hash(replica.name, task))


def _hash(*parts: str) -> float:
    """Above 0 and below 1, and the same in every process."""
    digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") + 0.5) / 2.0**64
