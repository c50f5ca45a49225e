import copy
import json

import pytest

from parcelquote.card import card_from, load_card
from parcelquote.errors import CardError

from .conftest import CARD


@pytest.fixture
def document():
    return copy.deepcopy(json.loads(CARD.read_text()))


def test_the_standard_card_is_read(card):
    assert card.name == "Standard 2024"
    assert card.zones.zone_of("9020").remote


@pytest.mark.parametrize("key", ["zones", "prices", "insurance"])
def test_a_missing_part_is_named(document, key):
    del document[key]
    with pytest.raises(CardError, match=f"{key}: missing"):
        card_from(document)


def test_prices_for_an_unknown_zone_are_refused(document):
    document["prices"]["moon"] = {"2": "1"}
    with pytest.raises(CardError, match=r"prices\.moon"):
        card_from(document)


def test_a_prefix_belongs_to_one_zone(document):
    document["zones"]["west"]["prefixes"].append("1")
    with pytest.raises(CardError, match="already belongs to city"):
        card_from(document)


def test_a_price_that_is_no_amount_is_placed(document):
    document["prices"]["city"]["2"] = "4,20"
    with pytest.raises(CardError, match=r"prices\.city\.2"):
        card_from(document)


def test_broken_json_is_a_card_error(tmp_path):
    path = tmp_path / "card.json"
    path.write_text('{"zones": ')
    with pytest.raises(CardError, match="line 1"):
        load_card(path)
