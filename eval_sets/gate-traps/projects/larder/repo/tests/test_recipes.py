import pytest

from larder.recipes import RecipeError, parse, scaled


def test_parse():
    assert parse("# Pancakes\n200 g flour\n\n2 tbsp sugar\n") == {"flour": 200, "sugar": 30}


def test_sum_of_equal_names():
    assert parse("1.5kg flour\n50 g flour") == {"flour": 1550}


def test_unknown_unit():
    with pytest.raises(RecipeError, match="line 2"):
        parse("1 g salt\n3 cups milk")


def test_scaled():
    assert scaled({"flour": 200, "salt": 5}, 4, 2) == {"flour": 100, "salt": 3}
