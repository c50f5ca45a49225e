from decimal import Decimal

import pytest

from tabula import column_type, convert, group_by, join


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-2", ""], "integer"), (["1", "2.50"], "decimal"), (["2024-01-31"], "date"), (["yes", "No"], "truth"),
        (["1", "x"], "text"), ([], "text"), (["", " "], "text"),
    ],
)
def test_kinds(values, kind):
    assert column_type(values) == kind


def test_values():
    assert convert(" 2.50 ", "decimal") == Decimal("2.50")
    assert convert("", "integer") is None
    with pytest.raises(ValueError, match="not a number"):
        convert("1,5", "decimal")


def test_groups():
    rows = [{"city": "Rome", "n": 1}, {"city": "Oslo", "n": 2}, {"city": "Rome", "n": 3}]
    groups = group_by(rows, "city")
    assert list(groups) == ["Rome", "Oslo"]
    assert [row["n"] for row in groups["Rome"]] == [1, 3]


def test_join():
    people = [{"name": "Ada", "city": 1}, {"name": "Bob", "city": 2}]
    cities = [{"city": 1, "title": "Rome"}, {"city": 1, "title": "Roma"}]
    assert join(people, cities, "city", fill="?") == [
        {"name": "Ada", "city": 1, "title": "Rome"},
        {"name": "Ada", "city": 1, "title": "Roma"},
        {"name": "Bob", "city": 2, "title": "?"},
    ]
