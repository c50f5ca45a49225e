"""Value added tax by category. Rates are in percent."""

from decimal import Decimal

from .amounts import cents

RATES = {"standard": Decimal(20), "reduced": Decimal(10), "books": Decimal(5), "exempt": Decimal(0)}


def rate_of(category):
    try:
        return RATES[category]
    except KeyError:
        raise ValueError(f"unknown tax category {category!r}, known: {', '.join(sorted(RATES))}") from None


def tax_on(net, category):
    """The tax on a net amount, in whole cents."""
    return cents(net * rate_of(category) / 100)


def net_of_gross(gross, category):
    """What remains of a gross amount without its tax, in whole cents."""
    return cents(gross / (1 + rate_of(category) / 100))
