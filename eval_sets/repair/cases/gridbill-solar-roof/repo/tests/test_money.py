from datetime import date
from decimal import Decimal

import pytest

from gridbill import Reading, Step, Tariff, cost_of, make_bill

STEPS = (Step(1000, Decimal("0.20")), Step(2500, Decimal("0.30")), Step(None, Decimal("0.40")))


def test_steps():
    tariff = Tariff(STEPS)
    assert cost_of(tariff, 800) == [(800, Decimal("0.20"))]
    assert cost_of(tariff, 1200) == [(1000, Decimal("0.20")), (200, Decimal("0.30"))]


def test_all_steps():
    assert cost_of(Tariff(STEPS), 3000) == [(1000, Decimal("0.20")), (1500, Decimal("0.30")), (500, Decimal("0.40"))]


def test_part_of_a_year():
    assert cost_of(Tariff(STEPS), 300, days=73) == [(200, Decimal("0.20")), (100, Decimal("0.30"))]


@pytest.mark.parametrize("limits", [(), (1000,), (None, None), (200, 100, None), (100, 100, None)])
def test_wrong_tariffs(limits):
    with pytest.raises(ValueError, match="step"):
        Tariff(tuple(Step(limit, Decimal(1)) for limit in limits))


def test_bill():
    start, end = date(2024, 1, 1), date(2024, 12, 31)
    bill = make_bill(
        Tariff(STEPS, Decimal("0.35")), [Reading(start, 0), Reading(end, 1100)], start, end, paid=Decimal(500)
    )
    assert [line.amount for line in bill.lines] == [Decimal("200.00"), Decimal("30.00"), Decimal("127.75")]
    assert (bill.net, bill.tax, bill.gross) == (Decimal("357.75"), Decimal("67.97"), Decimal("425.72"))
    assert bill.due == Decimal("-74.28")
