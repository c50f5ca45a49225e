"""A directed graph with weights."""


class Graph:
    """Nodes are any hashable values. Adding an edge adds its nodes."""

    def __init__(self, edges=()):
        self._next = {}
        for edge in edges:
            self.add(*edge)

    def add_node(self, node):
        self._next.setdefault(node, {})

    def add(self, start, end, weight=1, both_ways=False):
        """Adds an edge. Of two edges between the same nodes the lighter one stays."""
        if weight < 0:
            raise ValueError(f"negative weight {weight} from {start!r} to {end!r}")
        self.add_node(start)
        self.add_node(end)
        known = self._next[start].get(end)
        if known is None or weight < known:
            self._next[start][end] = weight
        if both_ways:
            self.add(end, start, weight)

    def __contains__(self, node):
        return node in self._next

    def __len__(self):
        return len(self._next)

    @property
    def nodes(self):
        return list(self._next)

    def edges(self):
        """(start, end, weight) in the order in which the starts were added."""
        for start, ends in self._next.items():
            for end, weight in ends.items():
                yield start, end, weight

    def neighbours(self, node):
        """(end, weight) of every edge that starts here."""
        return self._next[node].items()

    def reversed(self):
        """The same nodes with every edge turned around."""
        turned = Graph()
        for node in self._next:
            turned.add_node(node)
        for start, end, weight in self.edges():
            turned.add(end, start, weight)
        return turned
