"""Tests are removed from their module whole, and nothing else is."""

import ast

import pytest

from assets.evals.sets.split_tests import without_tests

MODULE = '''"""About pages."""
import pytest


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.slow
def test_a(n):
    assert n


class TestShape:
    """Shapes."""

    @staticmethod
    def test_b():
        def test_c():
            pass

    class TestInside:
        def test_b(self):
            pass


async def test_b(): pass
'''


@pytest.mark.parametrize(
    ("names", "gone", "kept"),
    [
        ({("test_a",)}, ["def test_a", "parametrize", "slow"], ["class TestShape", "async def test_b"]),
        (
            {("TestShape", "test_b")},
            ["staticmethod", "test_c"],
            ["class TestShape", "class TestInside", "async def test_b"],
        ),
        ({("test_b",)}, ["async"], ["staticmethod", "class TestInside"]),
        ({("TestShape", "TestInside", "test_b")}, ["TestInside"], ["staticmethod", "test_c"]),
        ({("TestShape", "test_b"), ("TestShape", "TestInside", "test_b")}, ["class", "Shapes."], ["test_a", "async"]),
        ({("test_z",)}, [], ["test_a", "TestShape"]),
    ],
)
def test_named_tests_are_removed_whole(names: set[tuple[str, ...]], gone: list[str], kept: list[str]) -> None:
    left = without_tests(MODULE, names)
    ast.parse(left)
    assert not [text for text in gone if text in left]
    assert all(text in left for text in kept)


def test_source_that_is_not_python_is_refused() -> None:
    with pytest.raises(SyntaxError):
        without_tests("def (", {("a",)})
