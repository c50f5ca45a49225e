from datetime import date
from decimal import Decimal

import pytest

from gridbill import BadReadings, Reading, Step, Tariff, make_bill

START, END = date(2024, 1, 1), date(2024, 3, 1)


def test_feeding_in():
    tariff = Tariff((Step(None, Decimal("0.25")),), base=Decimal("0.10"), export=Decimal("0.0825"))
    readings, exported = [Reading(START, 0), Reading(END, 100)], [Reading(END, 4, "e"), Reading(START, 999_999, "e")]
    bill = make_bill(tariff, readings, START, END, tax_rate=Decimal("0.10"), exported=exported)
    assert [line.amount for line in bill.lines] == [Decimal("25.00"), Decimal("6.00"), Decimal("-0.41")]
    assert bill.tax == Decimal("3.10")
    assert bill.gross == Decimal("33.69")


def test_nothing_fed_in():
    tariff = Tariff((Step(None, Decimal("0.25")),), export=Decimal("0.08"))
    readings = [Reading(START, 0), Reading(END, 100)]
    assert len(make_bill(tariff, readings, START, END).lines) == 1
    same = [Reading(START, 7), Reading(END, 7)]
    assert len(make_bill(tariff, readings, START, END, exported=same).lines) == 1
    with pytest.raises(BadReadings):
        make_bill(tariff, readings, START, END, exported=[Reading(START, 1)])
