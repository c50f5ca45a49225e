"""What a customer takes to the till."""

from dataclasses import dataclass

from tallybook import money

RATES = {"food": 7, "wine": 19, "book": 7, "deposit": 0}


@dataclass(frozen=True)
class Line:
    name: str
    price: int
    quantity: int = 1
    group: str = "food"

    @property
    def total(self):
        return self.price * self.quantity


class Cart:
    def __init__(self, lines=()):
        self.lines = list(lines)

    def add(self, name, price, quantity=1, group="food"):
        """Adds a line, or raises the quantity of an equal one."""
        if quantity < 1:
            raise ValueError("the quantity must be at least 1")
        for index, line in enumerate(self.lines):
            if (line.name, line.price, line.group) == (name, price, group):
                self.lines[index] = Line(name, price, line.quantity + quantity, group)
                return
        self.lines.append(Line(name, price, quantity, group))

    def total(self):
        return sum(line.total for line in self.lines)

    def vat(self):
        """The tax contained in the total, by rate, without rates of 0."""
        sums = {}
        for line in self.lines:
            rate = RATES[line.group]
            if rate:
                sums[rate] = sums.get(rate, 0) + line.total
        return {rate: (amount * rate * 2 + 100 + rate) // (2 * (100 + rate)) for rate, amount in sums.items()}

    def dearest(self):
        """The line with the highest price, None for an empty cart."""
        return max(self.lines, key=lambda line: line.price, default=None)


def receipt(cart):
    """The receipt's text: a row a line, the tax of each rate, then the sum."""
    rows = [f"{line.quantity} x {line.name}: {money.show(line.total)}" for line in cart.lines]
    rows += [f"VAT {rate}%: {money.show(amount)}" for rate, amount in sorted(cart.vat().items())]
    return "\n".join([*rows, f"Sum: {money.show(cart.total())}"])
