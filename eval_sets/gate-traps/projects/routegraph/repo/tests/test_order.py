import pytest

from routegraph.graph import Graph
from routegraph.order import Cycle, components, topological


def test_topological():
    assert topological({"a": ["b"], "b": ["c"], "c": []}) == ["c", "b", "a"]


def test_a_name_that_is_only_needed():
    order = topological({"app": ["lib"], "lib": ["core"]})
    assert order.index("lib") < order.index("app")


def test_cycle():
    with pytest.raises(Cycle):
        topological({"a": ["b"], "b": ["a"]})


def test_components():
    assert components(Graph([("a", "b"), ("c", "b"), ("x", "y")])) == [["a", "b", "c"], ["x", "y"]]


def test_a_single_node_is_a_component():
    graph = Graph([("a", "b")])
    graph.add_node("z")
    assert components(graph) == [["a", "b"], ["z"]]
