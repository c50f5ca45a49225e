"""Orders of several articles: all of it, or nothing."""

from stock import NotEnough


class Order:
    def __init__(self, number, lines):
        self.number = number
        self.lines = dict(lines)


def fulfil(stock, order, today):
    """Picks a whole order. When one article is short the stock is left as it was."""
    before = stock.snapshot()
    picks = []
    try:
        for article, quantity in order.lines.items():
            picks.extend(stock.pick(article, quantity, today))
    except NotEnough:
        stock.restore(before)
        raise
    return picks


def fulfil_all(stock, orders, today):
    """Serves orders in turn. Returns picks by order number, and the numbers that had to wait."""
    done, waiting = {}, []
    for order in orders:
        try:
            done[order.number] = fulfil(stock, order, today)
        except NotEnough:
            waiting.append(order.number)
    return done, waiting
