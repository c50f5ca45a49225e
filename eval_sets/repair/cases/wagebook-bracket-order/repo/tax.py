"""Wage tax in brackets, and social insurance up to a ceiling. Amounts are for a month."""

from decimal import Decimal

from pay import money

BRACKETS = (
    (Decimal(1000), Decimal(0)),
    (Decimal(2000), Decimal(20)),
    (Decimal(4000), Decimal(30)),
    (None, Decimal(45)),
)
"""(upper end, percent); the last one has no end."""

INSURANCE_PERCENT = Decimal("18.12")
CEILING = Decimal(5000)


def wage_tax(taxable):
    """Each part of the wage is taxed with its own bracket's rate."""
    tax = Decimal(0)
    lower = Decimal(0)
    for upper, percent in BRACKETS:
        if upper is None or taxable <= upper:
            tax += (taxable - lower) * percent / 100
            break
        lower = upper
        tax += (upper - lower) * percent / 100
    return money(tax)


def insurance(gross):
    return money(min(gross, CEILING) * INSURANCE_PERCENT / 100)


def net(gross):
    """(net, insurance, tax); insurance is deducted before tax is computed."""
    deducted = insurance(gross)
    tax = wage_tax(gross - deducted)
    return gross - deducted - tax, deducted, tax


def parse_allowance(text):
    """Reads `120`, `120.50` or `5%`, as the form has it. Returns a function of the gross wage."""
    text = text.strip()
    if text.endswith("%"):
        percent = Decimal(text[:-1])
        return lambda gross: money(gross * percent / 100)
    amount = money(Decimal(text))
    return lambda gross: min(amount, gross)
