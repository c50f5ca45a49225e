"""The worked examples that the carrier prints on the back of its rate card, page 4."""

import pytest

from parcelquote.money import Money

EXAMPLES = [
    # kilograms, destination, price of the parcel alone
    (0.8, "1230", 420),
    (2.0, "8020", 480),
    (4.9, "5020", 690),
    (7.5, "3100", 840),
    (31.5, "1100", 1450),
]


@pytest.mark.parametrize(("kilograms", "destination", "cents"), EXAMPLES)
def test_printed_example(service, make_request, kilograms, destination, cents):
    quote = service.quote(make_request(grams=int(kilograms * 1000), destination=destination))
    assert quote.lines[0].amount == Money(cents)


def test_printed_insurance_example(service, make_request):
    quote = service.quote(make_request(insured=True, value_cents=50000))
    assert quote.amount_of("Insurance") == Money(280)
