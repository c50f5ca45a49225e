from datetime import datetime
from pathlib import Path

import pytest

from parcelquote.card import load_card
from parcelquote.parcel import Parcel
from parcelquote.quote import QuoteRequest, QuoteService

CARD = Path(__file__).parent.parent / "data" / "standard.json"


@pytest.fixture(scope="session")
def card():
    return load_card(CARD)


@pytest.fixture
def service(card):
    return QuoteService(card)


@pytest.fixture
def make_request():
    """A request for a small parcel from Vienna to Graz, ordered on a Tuesday morning."""

    def make(grams=1200, size=(20, 20, 10), value_cents=0, **changes):
        defaults = {
            "parcel": Parcel(*size, grams, value_cents),
            "origin": "1010",
            "destination": "8020",
            "ordered": datetime(2024, 6, 4, 10, 0),
        }
        return QuoteRequest(**(defaults | changes))

    return make
