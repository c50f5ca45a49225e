from datetime import date, datetime
from decimal import Decimal

import pytest

from parcelquote.errors import TooLarge, UnknownCode, UnknownDestination
from parcelquote.money import Money


def test_a_small_parcel_costs_the_first_band_and_fuel(service, make_request):
    quote = service.quote(make_request(grams=1200))
    assert [line.label for line in quote.lines] == ["Parcel, zone east", "Fuel 7.5%"]
    assert quote.total == Money(480 + 36)


def test_a_heavier_parcel_costs_the_next_band(service, make_request):
    assert service.quote(make_request(grams=2400)).amount_of("Parcel, zone east") == Money(610)


def test_remote_places_cost_more(service, make_request):
    quote = service.quote(make_request(destination="9020"))
    assert quote.amount_of("Remote area") == Money(350)


def test_bulky_parcels_cost_more(service, make_request):
    quote = service.quote(make_request(size=(121, 20, 10), grams=6000))
    assert quote.amount_of("Bulky") == Money(600)


def test_a_parcel_may_be_as_long_as_the_bulky_side(service, make_request):
    quote = service.quote(make_request(size=(120, 20, 10), grams=6000))
    assert quote.amount_of("Bulky") is None


def test_saturday_delivery_has_its_line(service, make_request):
    assert service.quote(make_request(saturday=True)).amount_of("Saturday delivery") == Money(490)


def test_contents_of_small_value_are_covered_by_the_price(service, make_request):
    assert service.quote(make_request(insured=True, value_cents=5000)).amount_of("Insurance") == Money(0)


def test_insurance_by_value(service, make_request):
    assert service.quote(make_request(insured=True, value_cents=32000)).amount_of("Insurance") == Money(280)


def test_value_above_the_highest_cover_is_refused(service, make_request):
    with pytest.raises(TooLarge, match=r"5000\.00 euro"):
        service.quote(make_request(insured=True, value_cents=500001))


def test_a_parcel_above_the_last_band_is_refused(service, make_request):
    with pytest.raises(TooLarge, match=r"31\.5 kg"):
        service.quote(make_request(grams=31600))


def test_a_parcel_that_is_too_long_is_refused(service, make_request):
    with pytest.raises(TooLarge, match="longest side"):
        service.quote(make_request(size=(176, 10, 10)))


def test_a_parcel_with_too_much_girth_is_refused(service, make_request):
    with pytest.raises(TooLarge, match="girth"):
        service.quote(make_request(size=(150, 60, 40)))


def test_the_discount_is_taken_off_the_base_price(service, make_request):
    quote = service.quote(make_request(parcels_this_month=100))
    assert quote.amount_of("Discount") == -Money(480).percent(Decimal(6))


def test_a_wrong_code_is_an_error_not_a_silent_full_price(service, make_request):
    with pytest.raises(UnknownCode):
        service.quote(make_request(code="NOPE"))


def test_an_unserved_destination_is_refused(service, make_request):
    with pytest.raises(UnknownDestination):
        service.quote(make_request(destination="0815"))


def test_the_price_holds_for_two_weeks(service, make_request):
    quote = service.quote(make_request(ordered=datetime(2024, 6, 4, 10, 0)))
    assert quote.holds_on(date(2024, 6, 18))
    assert not quote.holds_on(date(2024, 6, 19))


def test_the_cheapest_of_several(service, make_request):
    plain, express = make_request(), make_request(saturday=True)
    assert service.quote(plain) == service.cheapest([express, plain])
