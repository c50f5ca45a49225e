"""Orders in which things can be built: what is needed comes first."""

from collections import deque


class CycleError(Exception):
    """`nodes` need each other and can never be built."""

    def __init__(self, nodes):
        super().__init__("a cycle among " + ", ".join(map(str, nodes)))
        self.nodes = nodes


def _incoming(graph):
    counts = {node: 0 for node in graph.nodes}
    for _, end, _ in graph.edges():
        counts[end] += 1
    return counts


def topological_order(graph):
    """Nodes so that every edge points forward; among equals in the order they were added."""
    counts = _incoming(graph)
    ready = deque(node for node in graph.nodes if counts[node] == 0)
    order = []
    while ready:
        node = ready.popleft()
        order.append(node)
        for end, _ in graph.neighbours(node):
            counts[end] -= 1
            if counts[end] == 0:
                ready.append(end)
    if len(order) < len(graph):
        raise CycleError([node for node in graph.nodes if counts[node] > 0])
    return order


def layers(graph):
    """Groups of nodes that can be built at the same time."""
    level = {}
    for node in topological_order(graph.reversed())[::-1]:
        level.setdefault(node, 0)
        for end, _ in graph.neighbours(node):
            level[end] = max(level.get(end, 0), level[node] + 1)
    groups = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for node in graph.nodes:
        groups[level[node]].append(node)
    return groups
