"""Gross pay: hours, overtime, supplements."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from hours import by_week, is_weekend

WEEKLY_HOURS = 40
OVERTIME_FACTOR = Decimal("1.5")
DOUBLE_AFTER = 50
"""Hours of a week beyond this one are paid twice."""
DOUBLE_FACTOR = Decimal(2)
NIGHT_SUPPLEMENT = Decimal("0.25")
WEEKEND_SUPPLEMENT = Decimal("0.30")


@dataclass(frozen=True)
class Contract:
    name: str
    hourly: Decimal
    weekly_hours: int = WEEKLY_HOURS


@dataclass(frozen=True)
class Payslip:
    name: str
    base: Decimal
    overtime: Decimal
    supplements: Decimal

    @property
    def gross(self):
        return self.base + self.overtime + self.supplements


def money(value):
    return Decimal(value).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def weekly_pay(hours, contract):
    """(base, overtime) for the hours of one week, not rounded."""
    hours = Decimal(str(hours))
    normal = min(hours, Decimal(contract.weekly_hours))
    base = normal * contract.hourly
    if hours <= contract.weekly_hours:
        return base, Decimal(0)
    if hours <= DOUBLE_AFTER:
        return base, (hours - normal) * contract.hourly * OVERTIME_FACTOR
    extra = (DOUBLE_AFTER - normal) * contract.hourly * OVERTIME_FACTOR
    return base, extra + (hours - normal) * contract.hourly * DOUBLE_FACTOR


def supplements(shifts, contract):
    total = Decimal(0)
    for shift in shifts:
        if is_weekend(shift.start.date()):
            total += Decimal(str(shift.hours)) * contract.hourly * WEEKEND_SUPPLEMENT
        else:
            total += Decimal(str(shift.night_hours)) * contract.hourly * NIGHT_SUPPLEMENT
    return total


def payslip(shifts, contract):
    """The payslip for a list of shifts. Each amount is rounded once, at the end."""
    base = overtime = Decimal(0)
    for hours in by_week(shifts).values():
        week_base, week_overtime = weekly_pay(hours, contract)
        base += week_base
        overtime += week_overtime
    return Payslip(contract.name, money(base), money(overtime), money(supplements(shifts, contract)))
