import pytest

from parcelquote.errors import UnknownDestination
from parcelquote.postcodes import longest_prefix, normalise
from parcelquote.zones import Zone, ZoneTable


@pytest.mark.parametrize("text", ["8020", " 8020 ", "a-8020", "A8020", "80 20"])
def test_postcodes_are_normalised(text):
    assert normalise(text) == "8020"


@pytest.mark.parametrize("text", ["", "802", "80200", "D-80331", "graz"])
def test_other_texts_are_not_postcodes(text):
    with pytest.raises(ValueError, match="not a postcode"):
        normalise(text)


def test_a_longer_prefix_wins(card):
    assert card.zones.zone_of("5600").name == "west"
    assert card.zones.zone_of("5580").name == "alpine"


def test_no_prefix_at_all():
    assert longest_prefix("8020", ["1", "2"]) is None


def test_an_unserved_postcode_is_named(card):
    with pytest.raises(UnknownDestination, match="0123"):
        card.zones.zone_of("0123")


def test_excluded_postcodes_are_not_served():
    table = ZoneTable({"8": Zone("east", 1)}, frozenset({"8999"}))
    with pytest.raises(UnknownDestination):
        table.zone_of("8999")


def test_same_zone(card):
    assert card.zones.same_zone("1010", "1230")
    assert not card.zones.same_zone("1010", "8020")
