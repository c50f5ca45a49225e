from tabula import cells, cut, render


def test_cells():
    assert cells("abc") == 3
    assert cells("日本") == 4
    assert cells("e\u0301") == 1


def test_cutting():
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdef", 4) == "abc…"


def test_cutting_wide_letters():
    assert cut("日本語の本", 6) == "日本…"


def test_a_table():
    shown = render(["name", "n"], [["Ada", 5], ["東京", 12]])
    assert shown.split("\n") == ["name   n", "----  --", "Ada    5", "東京  12"]
