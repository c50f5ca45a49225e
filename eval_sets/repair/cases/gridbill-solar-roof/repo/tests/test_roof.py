from datetime import date
from decimal import Decimal

from gridbill import Reading, Step, Tariff, make_bill


def test_what_the_roof_gave():
    start, end = date(2024, 1, 1), date(2024, 12, 31)
    tariff = Tariff((Step(None, Decimal("0.30")),), export=Decimal("0.08"))
    readings = [Reading(start, 100), Reading(end, 2100)]
    exported = [Reading(start, 50, "e"), Reading(end, 1050, "e")]
    bill = make_bill(tariff, readings, start, end, exported=exported)
    assert bill.lines[-1].text == "1000 kWh fed in at 0.08"
    assert bill.lines[-1].amount == Decimal("-80.00")
    # Tax is on what was used alone.
    assert (bill.tax, bill.gross) == (Decimal("114.00"), Decimal("634.00"))
