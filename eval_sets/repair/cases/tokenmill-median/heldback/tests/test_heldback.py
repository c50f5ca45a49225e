import random

import pytest

from tokenmill import EvalError, evaluate, parse, render


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("100 - 50 - 25 - 10", 15), ("64 / 4 / 2", 8), ("20 % 7 % 4", 2), ("2 * 9 // 4", 4),
        ("-3 + 5", 2), ("2 ^ -1", 0.5), ("-(2 + 1) ^ 2", -9), ("--3", 3), ("2 ^ 2 ^ 3", 256), ("1 - 2 + 3", 2),
        ("1 + 2 < 2 * 2", True), ('1 & 2 & 3', "123"), ("8 // 3 * 3", 6),
        ('1 <> "1"', True), ('"1" < 1', False), ("2 >= 2", True),
    ],
)
def test_values(formula, value):
    assert evaluate(formula) == value


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("median(1, 2)", 1.5), ("median(9)", 9), ("median(4, 8, 6, 2, 0, 10)", 5), ("median(7, 7, 1)", 7),
        ('mid("abc", 1, 1)', "a"), ('mid("abc", 3, 5)', "c"), ('mid("abc", 1, 3)', "abc"), ('mid("abc", 2, 0)', ""),
        ('right("abc", 0)', ""), ('right("abc", 9)', "abc"), ('left("abc", 0)', ""),
        ("round(0.5)", 1), ("round(-0.5)", -1), ("round(1.25, 1)", 1.3), ("round(149, -2)", 100),
    ],
)
def test_functions(formula, value):
    assert evaluate(formula) == value


def test_mid_before_the_start():
    with pytest.raises(EvalError, match="starts at 1"):
        evaluate('mid("abc", 0, 2)')


def build(rng, depth):
    if depth == 0 or rng.random() < 0.2:
        return str(rng.randint(1, 9))
    left, right = build(rng, depth - 1), build(rng, depth - 1)
    return f"({left} {rng.choice('+-*')} {right})"


@pytest.mark.parametrize("seed", range(20))
def test_same_as_python(seed):
    text = build(random.Random(seed), 4)
    assert evaluate(text) == eval(text)
    assert evaluate(render(parse(text))) == eval(text)


@pytest.mark.parametrize("text", ["1 - (2 + 3)", "1 - 2 + 3", "8 / (4 / 2)", "-(1 + 2)", "1 = (2 = 3)", "a & (1 & 2)"])
def test_render(text):
    assert render(parse(text)) == text
