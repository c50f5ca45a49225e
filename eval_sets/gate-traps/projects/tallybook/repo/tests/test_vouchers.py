from tallybook.vouchers import Voucher, best, find

SPRING, FIVER = Voucher("spring", percent=10, minimum=2000), Voucher("FIVER", fixed=500)


def test_percent():
    assert SPRING.saving(3000) == 300


def test_below_the_minimum():
    assert SPRING.saving(1999) == 0


def test_fixed():
    assert FIVER.saving(3000) == 500


def test_never_more_than_the_total():
    assert FIVER.saving(300) == 300


def test_find_ignores_case():
    assert find([SPRING, FIVER], " fiver ") is FIVER


def test_best():
    assert best([SPRING, FIVER], 3000) is FIVER
    assert best([SPRING, FIVER], 9000) is SPRING
