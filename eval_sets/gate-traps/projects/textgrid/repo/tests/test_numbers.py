import pytest

from textgrid.columns import columns
from textgrid.numbers import duration, human_size


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (999, "999 B"), (1536, "1.5 kB"), (5 * 1024**2, "5.0 MB")])
def test_human_size(size, text):
    assert human_size(size) == text


@pytest.mark.parametrize(("size", "text"), [(1024, "1.0 kB"), (1024**2, "1.0 MB")])
def test_human_size_of_exactly_one(size, text):
    assert human_size(size) == text


def test_duration():
    assert duration(59) == "0:00:59"


def test_columns():
    assert columns(["one", "two", "three"], 12) == ["one    three", "two"]


def test_columns_of_nothing():
    assert columns([]) == []
