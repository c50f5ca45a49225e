"""Numbers with units."""

from functools import total_ordering

from unitwise.units import ALIASES, fitting, known


class UnitError(ValueError):
    """An unknown unit, or units that do not measure the same."""


def tidy(number):
    """A whole number as int, others rounded to ten decimals."""
    rounded = round(number, 10)
    return int(rounded) if rounded == int(rounded) else rounded


@total_ordering
class Quantity:
    """A number of units. Equal amounts are equal in any unit.

    >>> Quantity(100, "cm") == Quantity(1, "m")
    True
    >>> Quantity(3, "m") / 2
    Quantity(1.5, 'm')
    >>> Quantity(3, "m") / Quantity(50, "cm")
    6
    """

    def __init__(self, number, unit):
        try:
            self.kind, self.factor = known(unit)
        except KeyError as error:
            raise UnitError(f"unknown unit {unit!r}") from error
        self.number = tidy(number)
        self.unit = ALIASES.get(unit, unit)

    @property
    def amount(self):
        """The number in the smallest unit of its kind."""
        return tidy(self.number * self.factor)

    def to(self, unit):
        other = Quantity(0, unit)
        self._check(other)
        return Quantity(self.amount / other.factor, unit)

    def fitted(self):
        """In the largest unit of which there is at least one."""
        return self.to(fitting(self.kind, self.amount))

    def _check(self, other):
        if self.kind != other.kind:
            raise UnitError(f"{self.unit} and {other.unit} do not measure the same")

    def __add__(self, other):
        self._check(other)
        return Quantity((self.amount + other.amount) / self.factor, self.unit)

    def __truediv__(self, other):
        if isinstance(other, Quantity):
            self._check(other)
            return tidy(self.amount / other.amount)
        return Quantity(self.number / other, self.unit)

    def __eq__(self, other):
        if not isinstance(other, Quantity):
            return NotImplemented
        return (self.kind, self.amount) == (other.kind, other.amount)

    def __lt__(self, other):
        self._check(other)
        return self.amount < other.amount

    def __hash__(self):
        return hash((self.kind, self.amount))

    def __repr__(self):
        return f"Quantity({self.number}, {self.unit!r})"

    def __str__(self):
        return f"{self.number} {self.unit}"
