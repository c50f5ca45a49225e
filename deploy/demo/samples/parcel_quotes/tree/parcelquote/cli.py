"""The command that the customer desk uses."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from pathlib import Path

from parcelquote.card import load_card
from parcelquote.errors import QuoteError
from parcelquote.money import Money
from parcelquote.parcel import Parcel
from parcelquote.quote import QuoteRequest, QuoteService
from parcelquote.render import render


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(prog="parcelquote", description="What does this parcel cost?")
    arguments.add_argument("--card", type=Path, required=True, help="rate card, a JSON file")
    arguments.add_argument("--from", dest="origin", required=True, help="postcode of the sender")
    arguments.add_argument("--to", dest="destination", required=True, help="postcode of the receiver")
    arguments.add_argument("--weight", required=True, help="kilograms, like 2.4")
    arguments.add_argument("--size", required=True, help="centimetres, like 40x30x20")
    arguments.add_argument("--value", default=None, help="insure contents of this value in euro")
    arguments.add_argument("--saturday", action="store_true", help="deliver on Saturdays too")
    arguments.add_argument("--code", default=None, help="promotion code")
    arguments.add_argument("--ordered", type=datetime.fromisoformat, default=None, help="time of the order")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Prints a quote. Returns 0, or 1 with the reason on standard error."""
    options = parser().parse_args(argv)
    try:
        value = Money.parse(options.value).cents if options.value else 0
        parcel = Parcel.from_text(options.size, options.weight, value)
        request = QuoteRequest(
            parcel=parcel,
            origin=options.origin,
            destination=options.destination,
            ordered=options.ordered or datetime.now(),
            insured=options.value is not None,
            saturday=options.saturday,
            code=options.code,
        )
        print(render(QuoteService(load_card(options.card)).quote(request)))
    except (QuoteError, ValueError) as error:
        print(f"parcelquote: {error}", file=sys.stderr)
        return 1
    return 0
