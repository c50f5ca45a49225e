import pytest

from waygraph import Graph, NoRoute, distances, route


@pytest.fixture
def town():
    graph = Graph()
    for start, end, weight in [
        ("home", "park", 4), ("home", "mill", 1), ("mill", "park", 2), ("park", "school", 5),
        ("mill", "bridge", 7), ("bridge", "school", 1),
    ]:
        graph.add(start, end, weight, both_ways=True)
    return graph


def test_cheapest_route(town):
    assert route(town, "home", "school") == (8, ["home", "mill", "park", "school"])


def test_route_to_itself(town):
    assert route(town, "mill", "mill") == (0, ["mill"])


def test_closed_node(town):
    assert route(town, "home", "school", closed=["park"]) == (9, ["home", "mill", "bridge", "school"])


def test_no_route(town):
    town.add_node("island")
    with pytest.raises(NoRoute, match="island"):
        route(town, "home", "island")


def test_unknown_node(town):
    with pytest.raises(KeyError):
        route(town, "home", "moon")


def test_distances_up_to_a_limit(town):
    assert distances(town, "home", limit=5) == {"home": 0, "mill": 1, "park": 3}


def test_distances(town):
    assert distances(town, "school") == {"school": 0, "bridge": 1, "park": 5, "mill": 7, "home": 8}


def test_lighter_edge_stays():
    graph = Graph([("a", "b", 5), ("a", "b", 3), ("a", "b", 9)])
    assert route(graph, "a", "b")[0] == 3


def test_negative_weight():
    with pytest.raises(ValueError, match="negative"):
        Graph([("a", "b", -1)])
