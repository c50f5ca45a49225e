"""Disjoint sets, and the cheapest tree that connects everything (Kruskal)."""


class DisjointSets:
    """Union by size with path compression."""

    def __init__(self, items=()):
        self._parent = {item: item for item in items}
        self._size = {item: 1 for item in items}

    def find(self, item):
        root = item
        while self._parent[root] != root:
            root = self._parent[root]
        while self._parent[item] != root:
            self._parent[item], item = root, self._parent[item]
        return root

    def union(self, one, other):
        """Joins two sets. Returns False when they were one set already."""
        one, other = self.find(one), self.find(other)
        if one == other:
            return False
        if self._size[one] < self._size[other]:
            one, other = other, one
        self._parent[other] = one
        self._size[one] += self._size[other]
        return True

    def size(self, item):
        return self._size[self.find(item)]


def spanning_tree(graph):
    """The edges of the cheapest spanning forest and its total weight. Direction is ignored."""
    sets = DisjointSets(graph.nodes)
    chosen = []
    for start, end, weight in sorted(graph.edges(), key=lambda edge: edge[2]):
        if sets.union(start, end):
            chosen.append((start, end, weight))
    return chosen, sum(weight for _, _, weight in chosen)
