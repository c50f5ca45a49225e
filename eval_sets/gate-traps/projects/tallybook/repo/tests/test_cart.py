import pytest

from tallybook.cart import Cart, receipt


@pytest.fixture
def cart():
    cart = Cart()
    cart.add("bread", 320)
    cart.add("riesling", 900, 2, "wine")
    return cart


def test_total(cart):
    assert cart.total() == 2120


def test_equal_lines_are_joined(cart):
    cart.add("bread", 320, 2)
    assert [line.quantity for line in cart.lines] == [3, 2]


def test_another_price_is_another_line(cart):
    cart.add("bread", 290)
    assert len(cart.lines) == 3


def test_no_quantity_below_one(cart):
    with pytest.raises(ValueError):
        cart.add("bread", 320, 0)


def test_vat_of_each_rate(cart):
    assert cart.vat() == {7: 21, 19: 287}


def test_receipt(cart):
    assert receipt(cart) == "1 x bread: 3.20\n2 x riesling: 18.00\nVAT 7%: 0.21\nVAT 19%: 2.87\nSum: 21.20"


def test_dearest(cart):
    assert cart.dearest().name == "riesling"


def test_dearest_of_an_empty_cart():
    assert Cart().dearest() is None
