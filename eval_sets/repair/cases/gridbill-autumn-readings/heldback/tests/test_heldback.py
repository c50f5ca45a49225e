import random
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import pytest

from gridbill import Band, BadReadings, Reading, Step, Tariff, band_of, cost_of, make_bill, used


@pytest.mark.parametrize("seed", range(10))
def test_readings_in_any_order(seed):
    rng = random.Random(seed)
    day, value, readings = date(2022, rng.randint(1, 12), 5), rng.randrange(1_000_000), []
    total = []
    for number in range(12):
        readings.append(Reading(day, value % 1_000_000, "m"))
        total.append(value)
        day += timedelta(days=rng.randint(1, 90))
        value += rng.randint(0, 40_000)
    shuffled = rng.sample(readings, len(readings))
    for a in range(12):
        for b in range(a, 12):
            assert used(shuffled, readings[a].day, readings[b].day) == total[b] - total[a]


def test_two_new_meters():
    days = [date(2023, 12, 9), date(2024, 1, 10), date(2024, 2, 2)]
    readings = [
        Reading(days[0], 10, "a"), Reading(days[1], 20, "a"), Reading(days[1], 900, "b"), Reading(days[2], 905, "b"),
    ]
    assert used(readings, days[0], days[2]) == 15
    with pytest.raises(BadReadings):
        used(readings, days[0], date(2024, 1, 11))


def slow_cost(tariff, amount, days):
    prices = {}
    for kwh in range(1, amount + 1):
        step = next(one for one in tariff.steps if one.upto is None or kwh <= one.upto * days // 365)
        prices[step.price] = prices.get(step.price, 0) + 1
    return [(count, price) for price, count in prices.items()]


@pytest.mark.parametrize("seed", range(12))
def test_cost_kwh_by_kwh(seed):
    rng = random.Random(seed)
    limits = sorted(rng.sample(range(50, 900), 4))
    steps = [Step(limit, Decimal(number + 1) / 100) for number, limit in enumerate(limits)]
    tariff = Tariff((*steps, Step(None, Decimal("0.5"))))
    for _ in range(10):
        amount, days = rng.randrange(0, 1200), rng.choice([1, 30, 73, 365, 366])
        assert cost_of(tariff, amount, days) == slow_cost(tariff, amount, days)
    assert cost_of(tariff, limits[1]) == slow_cost(tariff, limits[1], 365)


def test_bands_minute_by_minute():
    friday = Band("weekend", time(20, 30), time(4), frozenset({4}))
    early = Band("early", time(4), time(9), frozenset({0, 5}))
    for minutes in range(0, 7 * 24 * 60, 10):
        moment = datetime(2024, 6, 3) + timedelta(minutes=minutes)
        hour = moment.hour + moment.minute / 60
        expected = "day"
        if (moment.weekday() == 4 and hour >= 20.5) or (moment.weekday() == 5 and hour < 4):
            expected = "weekend"
        elif moment.weekday() in (0, 5) and 4 <= hour < 9:
            expected = "early"
        assert band_of([friday, early], moment) == expected


def test_a_night_from_sunday_to_monday():
    night = Band("n", time(23), time(1), frozenset({6}))
    assert night.contains(datetime(2024, 6, 10, 0, 30))
    assert not night.contains(datetime(2024, 6, 9, 0, 30))


def test_rounding():
    start = date(2024, 1, 1)
    bill = make_bill(Tariff((Step(None, Decimal("0.005")),)), [Reading(start, 0), Reading(date(2024, 1, 2), 1)], start, date(2024, 1, 2))
    assert bill.gross == Decimal("0.01")
