"""Quantities with units."""

from unitwise.parsing import parse
from unitwise.quantity import Quantity, UnitError

__all__ = ["Quantity", "UnitError", "parse"]
