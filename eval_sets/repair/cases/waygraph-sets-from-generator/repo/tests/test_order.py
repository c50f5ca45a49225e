import pytest

from waygraph import CycleError, DisjointSets, Graph, layers, spanning_tree, topological_order


@pytest.fixture
def build():
    return Graph([("core", "net"), ("core", "ui"), ("net", "app"), ("ui", "app"), ("docs", "site")])


def test_order(build):
    assert topological_order(build) == ["core", "docs", "net", "ui", "site", "app"]


def test_cycle():
    with pytest.raises(CycleError) as caught:
        topological_order(Graph([("a", "b"), ("b", "c"), ("c", "b")]))
    assert caught.value.nodes == ["b", "c"]


def test_layers(build):
    assert layers(build) == [["core", "docs"], ["net", "ui", "site"], ["app"]]


def test_layers_of_nothing():
    assert layers(Graph()) == []


def test_sets():
    sets = DisjointSets("abcd")
    assert sets.union("a", "b")
    assert sets.union("c", "d")
    assert not sets.union("b", "a")
    assert sets.find("a") == sets.find("b") != sets.find("c")


def test_sets_of_any_iterable():
    sets = DisjointSets(letter.upper() for letter in "abc")
    sets.union("A", "B")
    assert sets.size("B") == 2


def test_set_sizes():
    sets = DisjointSets("abcd")
    sets.union("a", "b")
    sets.union("b", "c")
    assert [sets.size(item) for item in "abcd"] == [3, 3, 3, 1]


def test_spanning_tree():
    graph = Graph([("a", "b", 3), ("b", "c", 1), ("a", "c", 2), ("c", "d", 7)])
    assert spanning_tree(graph) == ([("b", "c", 1), ("a", "c", 2), ("c", "d", 7)], 10)
