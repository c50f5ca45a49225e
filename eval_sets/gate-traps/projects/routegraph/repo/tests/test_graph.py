import pytest

from routegraph.graph import Graph, NoRoute, reachable, shortest


@pytest.fixture
def town():
    return Graph([("home", "park", 2), ("park", "shop", 2), ("home", "shop", 5), ("shop", "school", 1), ("park", "home", 2)])


def test_shortest(town):
    assert shortest(town, "home", "school") == (5, ["home", "park", "shop", "school"])


def test_no_route(town):
    with pytest.raises(NoRoute):
        shortest(town, "school", "home")


def test_shortest_with_mixed_nodes():
    graph = Graph([("a", 1, 1), ("a", "x", 1), (1, "end", 1), ("x", "end", 1)])
    assert shortest(graph, "a", "end")[0] == 2


def test_remove(town):
    town.remove("park")
    assert town.nodes() == ["home", "shop", "school"]
    assert town.neighbours("home") == ["shop"]


@pytest.mark.parametrize(("limit", "found"), [(1, {"home", "park", "shop"}), (2, {"home", "park", "shop", "school"})])
def test_reachable_in_some_steps(town, limit, found):
    assert reachable(town, "home", limit) == found


def test_reachable(town):
    assert reachable(town, "school") == {"school"}
