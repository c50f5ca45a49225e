"""Small graph algorithms for route planning and build order."""

from .graph import Graph
from .order import CycleError, layers, topological_order
from .sets import DisjointSets, spanning_tree
from .shortest import NoRoute, distances, route

__all__ = [
    "CycleError", "DisjointSets", "Graph", "NoRoute", "distances", "layers", "route", "spanning_tree",
    "topological_order",
]
