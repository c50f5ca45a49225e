"""Prices in cents."""

STEPS = ((2000, 549), (5000, 749), (10000, 1049), (31500, 1949))
ABROAD = {"home": 0, "near": 800, "far": 2400}
LONGEST_GIRTH = 300


class NotAccepted(ValueError):
    """A parcel that no carrier takes."""


def price(parcel, zone, contract=False):
    """The price of a parcel: its step by weight or volume, and what the zone adds. A contract lowers it by 100."""
    if parcel.girth > LONGEST_GIRTH:
        raise NotAccepted(f"girth {parcel.girth} cm")
    billed = max(parcel.grams, parcel.volume_grams)
    for limit, cents in STEPS:
        if billed <= limit:
            return cents + ABROAD[zone] - (100 if contract else 0)
    raise NotAccepted(f"{billed} g")


def cheapest(offers):
    """The name of the cheapest offer; of equally cheap ones the fastest. `offers` maps names to (cents, days)."""
    return min(offers, key=lambda name: offers[name], default=None)


def insured(cents, value):
    """The price with insurance: the first 50000 of the value are included, then 1% of what is above."""
    return cents + max(0, value - 50000) // 100
