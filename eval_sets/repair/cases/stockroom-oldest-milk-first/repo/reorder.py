"""What to order, and how much of it."""

import math


class Rule:
    """Order up to `target` when stock falls to `minimum`, in whole packs."""

    def __init__(self, article, minimum, target, pack=1):
        if target <= minimum:
            raise ValueError("%s: the target must be above the minimum" % article)
        self.article = article
        self.minimum = minimum
        self.target = target
        self.pack = pack

    def packs_for(self, quantity):
        if quantity > self.minimum:
            return 0
        return math.ceil((self.target - quantity) / self.pack)


def proposal(stock, rules, today):
    """(article, packs, urgency) for all that must be ordered, the most urgent first.

    Urgency is the share of the minimum that is missing: 1.0 means that nothing is left.
    """
    found = []
    for rule in rules:
        quantity = stock.quantity(rule.article, today)
        packs = rule.packs_for(quantity)
        if packs:
            urgency = 1.0 if rule.minimum == 0 else 1 - quantity / rule.minimum
            found.append((rule.article, packs, round(urgency, 2)))
    return sorted(found, key=lambda line: (-line[2], line[0]))
