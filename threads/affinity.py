"""Which gateway replica a thread prefers: rendezvous hashing. A preference only: every replica answers everything.

Source: D. Thaler, C. Ravishankar, "Using Name-Based Mappings to Increase Hit Rates" (1998). A replica that is added
takes over only the keys that prefer it; with a hash modulo n, three of four keys would move.
"""

import hashlib
from collections.abc import Iterable


def preferred(key: str, replicas: Iterable[str]) -> list[str]:
    """The replicas by preference for `key`: the first answers from its cache, the next ones if it does not."""
    return sorted(replicas, key=lambda one: hashlib.sha256(f"{one}\0{key}".encode()).digest(), reverse=True)
