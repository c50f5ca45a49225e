"""Shortest routes (Dijkstra), with nodes that may be closed and a limit on the cost."""

import heapq
from itertools import count

INFINITE = float("inf")


class NoRoute(Exception):
    pass


def distances(graph, start, limit=INFINITE, closed=()):
    """The cost from `start` to every node that can be reached for at most `limit`."""
    return {node: cost for node, (cost, _) in _search(graph, start, limit, frozenset(closed)).items()}


def route(graph, start, end, closed=()):
    """The cheapest route as (cost, nodes). Raises `NoRoute`, and `KeyError` for an unknown node."""
    for node in (start, end):
        if node not in graph:
            raise KeyError(node)
    found = _search(graph, start, INFINITE, frozenset(closed), goal=end)
    if end not in found:
        raise NoRoute(f"there is no way from {start!r} to {end!r}")
    nodes = [end]
    while nodes[-1] != start:
        nodes.append(found[nodes[-1]][1])
    return found[end][0], nodes[::-1]


def _search(graph, start, limit, closed, goal=None):
    """Maps each settled node to its cost and the node before it."""
    settled = {}
    best = {start: 0}
    tie = count()
    queue = [(0, next(tie), start, None)]
    while queue:
        cost, _, node, before = heapq.heappop(queue)
        if node in settled:
            continue
        settled[node] = (cost, before)
        if node == goal:
            break
        for neighbour, weight in graph.neighbours(node):
            if neighbour in closed or neighbour in settled:
                continue
            total = cost + weight
            if total > limit:
                continue
            if total < best.get(neighbour, INFINITE):
                best[neighbour] = total
                heapq.heappush(queue, (total, next(tie), neighbour, node))
    return settled
