import pytest

from waybill.parcels import Parcel
from waybill.rates import NotAccepted, cheapest, insured, price

BOX = (30, 20, 10)


def test_steps():
    assert [price(Parcel(grams, BOX), "home") for grams in (1500, 3000, 6000)] == [549, 749, 1049]


def test_end_of_a_step():
    assert price(Parcel(5000, BOX), "home") == 749


def test_bulky():
    assert price(Parcel(300, (50, 40, 30)), "home") == 1949


def test_abroad():
    assert price(Parcel(1500, BOX), "far") == 2949


def test_too_long():
    with pytest.raises(NotAccepted):
        price(Parcel(900, (200, 40, 20)), "home")


def test_too_heavy():
    with pytest.raises(NotAccepted):
        price(Parcel(31501, BOX), "home")


def test_cheapest():
    assert cheapest({"rail": (900, 3), "road": (700, 5), "post": (700, 4)}) == "post"


def test_insured():
    assert insured(549, 60000) == 649
