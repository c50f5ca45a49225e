"""Orders and groups of nodes."""


class Cycle(ValueError):
    """Some nodes need each other."""


def topological(needs):
    """Every name in `needs` and every name that one of them needs, each after all that it needs.

    >>> topological({"app": ["lib"], "lib": []})
    ['lib', 'app']
    """
    order, state = [], {}

    def visit(name):
        if state.get(name) == "done":
            return
        if state.get(name) == "open":
            raise Cycle(name)
        state[name] = "open"
        for other in needs.get(name, ()):
            visit(other)
        state[name] = "done"
        order.append(name)

    for name in needs:
        visit(name)
    return order


def components(graph):
    """Groups of nodes that edges connect in any direction, each sorted, the group of the first node first."""
    links = {node: set() for node in graph.nodes()}
    for node in graph.nodes():
        for other in graph.neighbours(node):
            links[node].add(other)
            links[other].add(node)
    groups, seen = [], set()
    for node in links:
        if node in seen:
            continue
        group, stack = set(), [node]
        while stack:
            top = stack.pop()
            if top not in group:
                group.add(top)
                stack.extend(links[top])
        seen |= group
        groups.append(sorted(group))
    return groups
