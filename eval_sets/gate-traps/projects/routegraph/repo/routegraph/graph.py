"""A directed graph with weights."""

import heapq
from collections import deque
from itertools import count


class NoRoute(LookupError):
    """There is no way from one node to another."""


class Graph:
    def __init__(self, edges=()):
        self._edges = {}
        for edge in edges:
            self.add(*edge)

    def add(self, start, end, weight=1):
        self._edges.setdefault(start, {})[end] = weight
        self._edges.setdefault(end, {})

    def add_node(self, node):
        self._edges.setdefault(node, {})

    def remove(self, node):
        """Removes a node with every edge from it and to it."""
        del self._edges[node]
        for ends in self._edges.values():
            ends.pop(node, None)

    def nodes(self):
        return list(self._edges)

    def neighbours(self, node):
        """
        >>> Graph([("a", "b"), ("a", "c")]).neighbours("a")
        ['b', 'c']
        """
        return list(self._edges[node])

    def weight(self, start, end):
        return self._edges[start][end]


def shortest(graph, start, end):
    """The cost of the cheapest way and its nodes.

    >>> shortest(Graph([("a", "b", 4), ("a", "c", 1), ("c", "b", 1)]), "a", "b")
    (2, ['a', 'c', 'b'])
    """
    number = count()
    queue = [(0, next(number), start, [start])]
    done = set()
    while queue:
        cost, _, node, path = heapq.heappop(queue)
        if node == end:
            return cost, path
        if node in done:
            continue
        done.add(node)
        for other in graph.neighbours(node):
            heapq.heappush(queue, (cost + graph.weight(node, other), next(number), other, [*path, other]))
    raise NoRoute(f"{start!r} to {end!r}")


def reachable(graph, start, limit=None):
    """The nodes that at most `limit` steps lead to, the start among them."""
    found = {start}
    queue = deque([(start, 0)])
    while queue:
        node, depth = queue.popleft()
        if limit is not None and depth >= limit:
            continue
        for other in graph.neighbours(node):
            if other not in found:
                found.add(other)
                queue.append((other, depth + 1))
    return found
