"""Rate cards: read from JSON, checked, and turned into tables.

Weights are printed in kilograms and amounts in euro; inside, they are grams and
cents. Every problem is reported with its place in the document.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from parcelquote.bands import Limits, Thresholds
from parcelquote.discounts import Discounts, Promotion
from parcelquote.errors import CardError
from parcelquote.insurance import Insurance
from parcelquote.money import Money
from parcelquote.rates import RateTable
from parcelquote.schedule import Schedule
from parcelquote.surcharges import SurchargeRules
from parcelquote.workdays import Workdays
from parcelquote.zones import Zone, ZoneTable


@dataclass(frozen=True)
class RateCard:
    name: str
    zones: ZoneTable
    rates: RateTable
    surcharges: SurchargeRules
    insurance: Insurance
    discounts: Discounts
    schedule: Schedule


def load_card(path: Path) -> RateCard:
    """Reads a card from a file. Raises `CardError`."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise CardError(f"line {error.lineno}", error.msg) from error
    return card_from(document)


def card_from(document: Mapping[str, Any]) -> RateCard:
    """Builds a card from the parsed document. Raises `CardError`."""
    zones = _zones(_required(document, "zones"))
    rates = _rates(document, zones)
    return RateCard(
        name=str(document.get("name", "unnamed")),
        zones=zones,
        rates=rates,
        surcharges=_surcharges(document.get("surcharges", {})),
        insurance=_insurance(_required(document, "insurance")),
        discounts=_discounts(document.get("discounts", {})),
        schedule=_schedule(document.get("schedule", {})),
    )


def _zones(entries: Mapping[str, Any]) -> ZoneTable:
    by_prefix: dict[str, Zone] = {}
    for name, entry in entries.items():
        zone = Zone(name, int(entry.get("transit_days", 1)), bool(entry.get("remote", False)))
        for prefix in _required(entry, "prefixes", f"zones.{name}"):
            if prefix in by_prefix:
                raise CardError(f"zones.{name}", f"prefix {prefix} already belongs to {by_prefix[prefix].name}")
            by_prefix[prefix] = zone
    return ZoneTable(by_prefix)


def _rates(document: Mapping[str, Any], zones: ZoneTable) -> RateTable:
    prices = _required(document, "prices")
    known = {zone.name for zone in zones.by_prefix.values()}
    by_zone = {}
    for name, rows in prices.items():
        if name not in known:
            raise CardError(f"prices.{name}", "there is no such zone")
        by_zone[name] = Limits(
            (_grams(kilograms, f"prices.{name}"), _money(price, f"prices.{name}.{kilograms}"))
            for kilograms, price in rows.items()
        )
    size = document.get("size", {})
    return RateTable(by_zone, int(size.get("max_girth", 300)), int(size.get("max_side", 175)))


def _surcharges(entries: Mapping[str, Any]) -> SurchargeRules:
    return SurchargeRules(
        fuel_percent=Decimal(str(entries.get("fuel_percent", 0))),
        remote=_money(entries.get("remote", "0"), "surcharges.remote"),
        bulky=_money(entries.get("bulky", "0"), "surcharges.bulky"),
        bulky_side=int(entries.get("bulky_side", 120)),
        saturday=_money(entries.get("saturday", "0"), "surcharges.saturday"),
    )


def _insurance(entries: Mapping[str, Any]) -> Insurance:
    rows = _required(entries, "fees", "insurance")
    fees = Limits(
        (_money(value, "insurance.fees").cents, _money(fee, f"insurance.fees.{value}")) for value, fee in rows.items()
    )
    return Insurance(fees, _money(entries.get("included", "0"), "insurance.included"))


def _discounts(entries: Mapping[str, Any]) -> Discounts:
    volume = entries.get("volume")
    promotions = {
        code.upper(): Promotion(
            code.upper(),
            Decimal(str(entry["percent"])),
            date.fromisoformat(entry["from"]),
            date.fromisoformat(entry["to"]),
        )
        for code, entry in entries.get("promotions", {}).items()
    }
    thresholds = None
    if volume:
        thresholds = Thresholds((int(count), Decimal(str(percent))) for count, percent in volume.items())
    return Discounts(thresholds, promotions)


def _schedule(entries: Mapping[str, Any]) -> Schedule:
    holidays = frozenset(date.fromisoformat(day) for day in entries.get("holidays", []))
    return Schedule(Workdays(holidays), time.fromisoformat(entries.get("cutoff", "15:30")))


def _required(entries: Mapping[str, Any], key: str, where: str = "") -> Any:
    if key not in entries:
        raise CardError(f"{where}.{key}".lstrip("."), "missing")
    return entries[key]


def _money(text: Any, where: str) -> Money:
    try:
        return Money.parse(str(text))
    except ValueError as error:
        raise CardError(where, str(error)) from error


def _grams(kilograms: str, where: str) -> int:
    try:
        return int(Decimal(kilograms) * 1000)
    except InvalidOperation as error:
        raise CardError(where, f"not a weight: {kilograms!r}") from error
