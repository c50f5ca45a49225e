import csv
import io
import random
from decimal import Decimal

import pytest

from tabula import BadTable, cells, column_type, convert, cut, group_by, join, read, render, write


@pytest.mark.parametrize("seed", range(10))
def test_round_trip_and_the_standard_module(seed):
    rng = random.Random(seed)
    rows = [["".join(rng.choice('ab,"\n ;') for _ in range(rng.randint(0, 4))) for _ in range(rng.randint(1, 3))] for _ in range(6)]
    for end in ("\n", "\r\n"):
        text = write(rows, end=end)
        assert read(text) == rows
        assert read(text.removesuffix(end)) == rows
        assert list(csv.reader(io.StringIO(text, newline=""))) == rows


def test_quoted_fields_at_ends():
    assert read('"a","b"\n"c","d"\n') == [["a", "b"], ["c", "d"]]
    assert read('""') == [[""]]
    assert read('x,""\n') == [["x", ""]]
    assert read('"a\n\n\nb"\n\n"c"') == [["a\n\n\nb"], ["c"]]
    for text in ('"a"b,c', '"a"\n"b"x'):
        with pytest.raises(BadTable):
            read(text)


@pytest.mark.parametrize("text", ["1,5", "abc", "--1", "1e", ".", "NaN", "Infinity", "1.2.3"])
def test_no_decimals(text):
    assert column_type(["2.5", text]) == "text"
    assert column_type([text, "2.5", "yes"]) == "text"
    with pytest.raises(ValueError):
        convert(text, "decimal")


def test_more_kinds():
    assert column_type(["yes", "maybe"]) == "text"
    assert column_type(["2024-01-31", "2024-02-30"]) == "text"
    assert column_type(["1e3", "4"]) == "decimal"
    assert convert("1e3", "decimal") == Decimal(1000)


def test_groups_are_apart():
    rows = [{"k": key, "n": n} for n, key in enumerate("abcabca")]
    groups = group_by(rows, "k")
    assert {key: [row["n"] for row in found] for key, found in groups.items()} == {"a": [0, 3, 6], "b": [1, 4], "c": [2, 5]}
    groups["a"].clear()
    assert len(groups["b"]) == 2
    assert group_by([{"n": 1}], "k") == {None: [{"n": 1}]}
    assert group_by([], "k") == {}


def test_join_with_gaps():
    left = [{"id": 1, "x": "l"}, {"id": 3, "x": "m"}, {"x": "n"}]
    right = [{"id": 1, "x": "r", "a": 1}, {"id": 2, "b": 2}]
    assert join(left, right, "id") == [
        {"id": 1, "x": "l", "a": 1, "b": None}, {"id": 3, "x": "m", "a": None, "b": None},
        {"id": None, "x": "n", "a": None, "b": None},
    ]


def test_cut_fits_and_wastes_nothing():
    rng = random.Random(7)
    for _ in range(300):
        text = "".join(rng.choice("a日ｆé") + rng.choice(["", "", "\u0301"]) for _ in range(rng.randint(0, 9)))
        most = rng.randint(2, 12)
        shown = cut(text, most)
        assert cells(shown) <= most
        if shown != text:
            kept = shown.removesuffix("…")
            assert text.startswith(kept)
            assert cells(text) > most
            more = text[len(kept)]
            assert cells(kept + more) > most - 1


def test_columns_line_up():
    lines = render(["x", "name"], [[1, "ｗｉｄｅ"], [22, "e\u0301"], [3, "日本語日本語日本語日本語"]], most=9).split("\n")
    assert lines == [" x  name", "--  --------"[:4] + "-" * 9, " 1  ｗｉｄｅ", "22  e\u0301", " 3  日本語日…"]
