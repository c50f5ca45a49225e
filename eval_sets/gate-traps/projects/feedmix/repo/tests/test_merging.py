import pytest

from feedmix.items import Item
from feedmix.merging import latest, merged, retitled, since, tagged


@pytest.fixture
def items():
    return [Item("u1", "Rain", 5, ("coast",)), Item("u2", "Sun", 9), Item("u3", "Fog", 7, ("coast", "hill"))]


def test_merged(items):
    newer = Item("u1", "Rain stops", 8)
    assert [item.title for item in merged([items, [newer]])] == ["Sun", "Rain stops", "Fog"]


def test_older_copy(items):
    assert len(merged([items, [Item("u2", "Old", 1)]])) == 3


def test_latest(items):
    assert [item.url for item in latest(items, 2)] == ["u2", "u3"]


def test_tagged(items):
    assert [item.url for item in tagged(items, ["HILL"])] == ["u3"]


def test_no_tags_wanted(items):
    assert len(tagged(items, [])) == 3


def test_since(items):
    assert [item.url for item in since(items, 7)] == ["u2", "u3"]


def test_retitled(items):
    assert retitled(items, "BBC")[0] == Item("u1", "BBC: Rain", 5, ("coast",))
