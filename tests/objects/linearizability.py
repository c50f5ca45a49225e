"""A checker of linearisability: whether the calls that clients saw can be put into one order that respects real time
and that a sequential object explains.

J. M. Wing, C. Gong: Testing and Verifying Concurrent Objects, J. Parallel Distrib. Comput. 17 (1993); with a memory of
visited configurations as in G. Lowe: Testing for Linearizability, 2017.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Operation:
    """A call as its client saw it. `end` is infinite and `result` None for one whose outcome nobody knows: it may have
    happened at any time after `start`, or never."""

    what: tuple[Any, ...]
    result: Any
    start: float
    end: float = math.inf

    @property
    def known(self) -> bool:
        return self.end != math.inf


Model = Callable[[Hashable, tuple[Any, ...]], tuple[Hashable, Any]]
"""State and operation give the next state and the result."""


def is_linearizable(operations: Sequence[Operation], initial: Hashable, model: Model) -> bool:
    ordered = sorted(operations, key=lambda one: one.start)
    everything = sum(1 << n for n, one in enumerate(ordered) if one.known)
    seen: set[tuple[int, Hashable]] = set()
    stack: list[tuple[int, Hashable]] = [(0, initial)]
    while stack:
        done, state = stack.pop()
        if done & everything == everything:
            return True
        if (done, state) in seen:
            continue
        seen.add((done, state))
        left = [(n, one) for n, one in enumerate(ordered) if not done >> n & 1]
        first_end = min(one.end for _, one in left)
        for n, one in left:
            if one.start > first_end:  # another call had ended before this one began
                break
            after, result = model(state, one.what)
            if not one.known or result == one.result:
                stack.append((done | 1 << n, after))
    return False


def register(state: Hashable, what: tuple[Any, ...]) -> tuple[Hashable, Any]:
    """Operations: ("read",), ("write", value), ("cas", expected, value)."""
    if what[0] == "read":
        return state, state
    if what[0] == "write":
        return what[1], None
    return (what[2], True) if state == what[1] else (state, False)


def a_set(state: Hashable, what: tuple[Any, ...]) -> tuple[Hashable, Any]:
    """Operations: ("add", item), which says whether it was new, and ("all",)."""
    assert isinstance(state, frozenset)
    if what[0] == "all":
        return state, state
    return (state, False) if what[1] in state else (state | {what[1]}, True)
