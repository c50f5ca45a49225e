"""Ends a `while` loop that a candidate has made endless after very many turns, long before a timer would.

The loops of edited functions count their turns. A program that needs more of them is tried again without this bound, as
after any small limit.
"""

import ast
import builtins
import sys
from types import CodeType

from .alarm import Hang

MOST = 10_000
"""Turns of all counted loops in one run of a test."""
_NAME = "__penstock_turn__"
_RINGS = 3
"""A test may catch the interruption as often, then the timer's turn comes."""


class Turns:
    """The count of one process. Calling it is one turn; while `bounded`, there are `MOST` for each run of a test."""

    __slots__ = ("_left", "bounded", "rang")

    def __init__(self) -> None:
        self.bounded = False
        self.start()
        setattr(builtins, _NAME, self)

    def start(self) -> None:
        """Begins to count for one run of a test."""
        self._left, self.rang = MOST if self.bounded else sys.maxsize, False

    def __call__(self) -> None:
        self._left -= 1
        if -_RINGS <= self._left < 0:
            self.rang = True
            raise Hang("out of time")


class _Counting(ast.NodeTransformer):
    def visit_While(self, node: ast.While) -> ast.While:
        self.generic_visit(node)
        turn = ast.Expr(ast.Call(ast.Name(_NAME, ast.Load()), [], []))
        for part in ast.walk(turn):
            ast.copy_location(part, node.body[0])
        node.body.insert(0, turn)
        return node


def counting(source: str, path: str, flags: int) -> CodeType:
    """Compiles a source whose `while` loops count their turns. Raises what `compile` raises."""
    tree = compile(source, path, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
    code: CodeType = compile(_Counting().visit(tree), path, "exec", flags, dont_inherit=True)
    return code
