import itertools
import random

import pytest

from waygraph import CycleError, DisjointSets, Graph, NoRoute, distances, layers, route, spanning_tree, topological_order


def slow_distances(graph, start):
    best = {start: 0}
    for _ in range(len(graph)):
        for a, b, weight in graph.edges():
            if a in best and best[a] + weight < best.get(b, float("inf")):
                best[b] = best[a] + weight
    return best


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs(seed):
    rng = random.Random(seed)
    graph = Graph()
    for node in range(9):
        graph.add_node(node)
    for a, b in itertools.permutations(range(9), 2):
        if rng.random() < 0.3:
            graph.add(a, b, rng.randint(1, 20))
    expected = slow_distances(graph, 0)
    assert distances(graph, 0) == expected
    for node, cost in expected.items():
        total, nodes = route(graph, 0, node)
        assert total == cost
        assert sum(dict(graph.neighbours(a))[b] for a, b in zip(nodes, nodes[1:])) == cost


def test_limit_is_inclusive_and_cumulative():
    chain = Graph([(n, n + 1, 2) for n in range(6)])
    assert distances(chain, 0, limit=4) == {0: 0, 1: 2, 2: 4}
    assert distances(chain, 0, limit=5) == {0: 0, 1: 2, 2: 4}


def test_closed_all_around():
    with pytest.raises(NoRoute):
        route(Graph([("a", "b"), ("b", "c")]), "a", "c", closed=["b"])


def test_big_sets():
    sets = DisjointSets(range(64))
    for step in (1, 2, 4, 8, 16, 32):
        for item in range(0, 64, 2 * step):
            assert sets.union(item, item + step)
            assert sets.size(item) == 2 * step
    assert {sets.size(item) for item in range(64)} == {64}


def test_sets_from_an_iterator():
    sets = DisjointSets(iter([1, 2, 3]))
    assert [sets.size(n) for n in (1, 2, 3)] == [1, 1, 1]
    sets.union(1, 3)
    assert [sets.size(n) for n in (1, 2, 3)] == [2, 1, 2]
    assert DisjointSets().union is not None


def test_sizes_from_both_sides():
    sets = DisjointSets("abcdef")
    sets.union("a", "b")
    sets.union("c", "a")
    sets.union("d", "c")
    sets.union("e", "f")
    sets.union("f", "d")
    assert [sets.size(item) for item in "abcdef"] == [6] * 6


def test_order_of_random_dags():
    rng = random.Random(5)
    for _ in range(10):
        edges = [(a, b) for a, b in itertools.combinations(range(8), 2) if rng.random() < 0.4]
        graph = Graph(edges)
        order = topological_order(graph)
        assert all(order.index(a) < order.index(b) for a, b in edges)
        level = {node: number for number, group in enumerate(layers(graph)) for node in group}
        assert all(level[a] < level[b] for a, b in edges)
        for node, number in level.items():
            before = [level[a] for a, b in edges if b == node]
            assert number == max(before, default=-1) + 1


def test_cycle_of_two():
    with pytest.raises(CycleError, match="among a, b$") as caught:
        topological_order(Graph([("x", "a"), ("a", "b"), ("b", "a"), ("x", "y")]))
    assert caught.value.nodes == ["a", "b"]


def test_tree_weight():
    graph = Graph([("a", "b", 4), ("b", "c", 4), ("c", "a", 4), ("x", "y", 1)])
    assert spanning_tree(graph)[1] == 9
