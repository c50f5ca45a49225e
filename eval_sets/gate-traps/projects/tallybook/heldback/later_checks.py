import tallybook
from tallybook import money
from tallybook.cart import Cart, receipt
from tallybook.vouchers import Voucher, best, find


def check_receipts():
    cart = Cart()
    cart.add("atlas", 2990, group="book")
    cart.add("bottle", 25, 4, "deposit")
    assert receipt(cart) == "1 x atlas: 29.90\n4 x bottle: 1.00\nVAT 7%: 1.96\nSum: 30.90"
    assert receipt(Cart()) == "Sum: 0.00"


def check_cart():
    cart = Cart()
    for _ in range(3):
        cart.add("pear", 40, 2)
    cart.add("pear", 40, 1, "wine")
    assert [(line.quantity, line.group) for line in cart.lines] == [(6, "food"), (1, "wine")]
    assert cart.total() == 280
    assert cart.vat() == {7: 16, 19: 6}
    assert cart.dearest().price == 40
    assert Cart().dearest() is None and Cart([]).dearest() is None
    for quantity in (0, -2):
        try:
            cart.add("plum", 30, quantity)
        except ValueError:
            continue
        raise AssertionError(quantity)


def check_money():
    for cents in (0, 7, 99, 100, 1234, 100000, -5, -250):
        assert money.parse(money.show(cents)) == cents
    assert [money.share(c, 15) for c in (0, 3, 10, 333, -10)] == [0, 0, 2, 50, -2]
    assert money.parse("-3") == -300


def check_vouchers():
    fixed, half, rich = Voucher("abc", fixed=150), Voucher("Half", percent=50), Voucher("r", fixed=9000, minimum=20000)
    assert [fixed.saving(t) for t in (0, 100, 150, 4000)] == [0, 100, 150, 4000 and 150]
    assert [half.saving(t) for t in (0, 99, 2000)] == [0, 50, 1000]
    assert (rich.saving(19999), rich.saving(20000)) == (0, 9000)
    assert find([fixed, half], "half") is half and find([fixed], "zzz") is None and find([], "abc") is None
    assert best([rich], 100) is None and best([], 100) is None and best([fixed, half], 200) is fixed
    assert best([fixed, half], 20000) is half


def check_version():
    assert tallybook.__version__ == "1.4.0"


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
