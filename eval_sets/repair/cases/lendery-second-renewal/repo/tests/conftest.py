from datetime import date

import pytest

from lendery.desk import Desk
from lendery.model import Copy, Patron
from lendery.policy import Kind


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def ada():
    return Patron("1001", "Ada")


@pytest.fixture
def bob():
    return Patron("1002", "Bob")


@pytest.fixture
def book():
    return Copy("b1", "The Kon-Tiki Expedition")


@pytest.fixture
def film():
    return Copy("f1", "Playtime", Kind.FILM)


@pytest.fixture
def today():
    return date(2024, 3, 1)
