from routegraph.graph import Graph, NoRoute, reachable, shortest
from routegraph.order import Cycle, components, topological


def check_graph():
    graph = Graph([("a", "b"), ("c", "a"), ("b", "d"), ("c", "d")])
    graph.remove("a")
    assert graph.nodes() == ["b", "c", "d"] and graph.neighbours("c") == ["d"]
    line = Graph([(n, n + 1) for n in range(6)])
    for limit in range(5):
        assert reachable(line, 0, limit) == set(range(limit + 1))
    assert reachable(line, 3) == {3, 4, 5, 6}
    assert shortest(Graph([("a", 1, 1), ("a", "x", 1), (1, "z", 1), ("x", "z", 2)]), "a", "z") == (2, ["a", 1, "z"])
    assert shortest(line, 2, 2) == (0, [2])
    try:
        shortest(line, 3, 1)
        raise AssertionError
    except NoRoute:
        pass


def check_order():
    assert topological({"app": ["lib"], "lib": ["core", "net"]}) == ["core", "net", "lib", "app"]
    assert topological({}) == [] and topological({"a": []}) == ["a"]
    for bad in ({"a": ["a"]}, {"a": ["b"], "b": ["c"], "c": ["b"]}):
        try:
            topological(bad)
            raise AssertionError
        except Cycle:
            pass
    graph = Graph([("b", "a")])
    graph.add_node("q")
    graph.add("z", "a")
    assert components(graph) == [["a", "b", "z"], ["q"]] and components(Graph()) == []


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
