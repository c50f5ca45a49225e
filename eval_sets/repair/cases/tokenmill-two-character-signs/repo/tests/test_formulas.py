import pytest

from tokenmill import EvalError, LexError, ParseError, evaluate, parse, render, tokenize


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("2 ^ 3 ^ 2", 512),
        ("-2 ^ 2", -4),
        ("7 // 2", 3),
        ("7 % 4", 3),
        ("=.5 * 4", 2),
        ('"a" & 1 + 1', "a2"),
        ("1 + 1 = 2", True),
        ('1 = "1"', False),
    ],
)
def test_values(formula, value):
    assert evaluate(formula) == value


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("sum(1, 2, 3)", 6),
        ("average(1, 2)", 1.5),
        ("median(5, 1, 3)", 3),
        ("median(4, 1, 3, 2)", 2.5),
        ("round(2.5)", 3),
        ("round(-2.345, 2)", -2.35),
        ('mid("formula", 2, 3)', "orm"),
        ('left("formula", 3) & right("formula", 2)', "forla"),
        ('if(1 > 2, "yes", upper("no"))', "NO"),
    ],
)
def test_functions(formula, value):
    assert evaluate(formula) == value


def test_names_ignore_case():
    assert evaluate("Price * 2", {"price": 4}) == 8


@pytest.mark.parametrize(
    ("formula", "problem"),
    [("1 / 0", "division by zero"), ("foo + 1", "unknown name foo"), ('"a" * 2', "not a number"), ("nope(1)", "nope")],
)
def test_no_value(formula, problem):
    with pytest.raises(EvalError, match=problem):
        evaluate(formula)


@pytest.mark.parametrize(("formula", "position"), [("1 +", 3), ("(1", 2), ("1 2", 2), ("sum(1,", 6)])
def test_malformed(formula, position):
    with pytest.raises(ParseError) as caught:
        parse(formula)
    assert caught.value.position == position


@pytest.mark.parametrize(("formula", "position"), [("1 ? 2", 2), ('"open', 0)])
def test_unreadable(formula, position):
    with pytest.raises(LexError) as caught:
        tokenize(formula)
    assert caught.value.position == position


@pytest.mark.parametrize("text", ["1 + 2 * 3", "(1 + 2) * 3", "1 - (2 - 3)", "2 ^ 3 ^ 2", "(2 ^ 3) ^ 2", "sum(1, -x)"])
def test_render_keeps_the_meaning(text):
    assert render(parse(text)) == text
