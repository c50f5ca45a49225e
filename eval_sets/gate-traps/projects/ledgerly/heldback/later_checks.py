from datetime import date
from decimal import Decimal

from ledgerly.dates import add_months, days_late, due_date, fiscal_year
from ledgerly.fees import is_overdue, late_fee
from ledgerly.money import Money, MoneyError


def refused(text):
    try:
        Money.parse(text)
    except MoneyError:
        return True
    return False


def check_money():
    assert Money.parse("-1,234,567.8 usd") == Money(Decimal("-1234567.8"), "USD")
    assert refused("abc EUR") and refused("1,2,3 EUR") and refused("EUR") and refused("12a EUR")
    for cents in (0, 1, 99, 100, 101, 1001):
        for count in (1, 2, 3, 7):
            shares = [share.amount for share in Money(Decimal(cents) / 100, "EUR").split(count)]
            assert len(shares) == count and sum(shares) == Decimal(cents) / 100
            assert max(shares) - min(shares) <= Decimal("0.01") and shares == sorted(shares, reverse=True)


def check_dates():
    assert add_months(date(2023, 12, 31), 2) == date(2024, 2, 29) and add_months(date(2023, 1, 31), 1) == date(2023, 2, 28)
    assert add_months(date(2024, 3, 31), 1) == date(2024, 4, 30) and add_months(date(2024, 3, 5), -3) == date(2023, 12, 5)
    assert [fiscal_year(date(2024, month, 1)) for month in range(1, 13)] == [2023] * 3 + [2024] * 9
    assert fiscal_year(date(2024, 1, 1), 1) == 2024 and fiscal_year(date(2024, 6, 30), 7) == 2023
    assert days_late(date(2024, 1, 1), date(2024, 1, 1)) == 0 and days_late(date(2024, 1, 1), date(2024, 1, 2)) == 1


def check_fees():
    due = date(2024, 1, 10)
    assert not is_overdue(due, due) and is_overdue(due, date(2024, 1, 11))
    assert late_fee(9000, due, date(2024, 1, 13)) == 0 and late_fee(9000, due, date(2024, 1, 14)) == 200


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
