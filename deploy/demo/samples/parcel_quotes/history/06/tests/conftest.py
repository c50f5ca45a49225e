from pathlib import Path

import pytest

from parcelquote.card import load_card

CARD = Path(__file__).parent.parent / "data" / "standard.json"


@pytest.fixture(scope="session")
def card():
    return load_card(CARD)
