"""A parcel: its size, its weight, and the weight that the carrier charges for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from parcelquote.rounding import round_up_to

VOLUMETRIC_DIVISOR = 5000
"""Cubic centimetres to a kilogram, as road carriers reckon it."""

_SIZE = re.compile(r"^(\d+)x(\d+)x(\d+)$")


@dataclass(frozen=True)
class Parcel:
    """Sides in whole centimetres, weight in grams, value of the contents in cents."""

    length: int
    width: int
    height: int
    grams: int
    value_cents: int = 0

    def __post_init__(self) -> None:
        if min(self.length, self.width, self.height) <= 0:
            raise ValueError("every side must be longer than 0 cm")
        if self.grams <= 0:
            raise ValueError("the weight must be more than 0 g")

    @classmethod
    def from_text(cls, size: str, kilograms: str, value_cents: int = 0) -> Parcel:
        """Reads a size as `40x30x20` and a weight as `2.4`."""
        match = _SIZE.match(size.strip().lower())
        if match is None:
            raise ValueError(f"not a size, write it like 40x30x20: {size!r}")
        length, width, height = (int(side) for side in match.groups())
        return cls(length, width, height, int(Decimal(kilograms) * 1000), value_cents)

    @property
    def longest_side(self) -> int:
        return max(self.length, self.width, self.height)

    @property
    def girth(self) -> int:
        """The longest side plus once around the two others."""
        rest = self.length + self.width + self.height - self.longest_side
        return self.longest_side + 2 * rest

    @property
    def volumetric_grams(self) -> int:
        volume = self.length * self.width * self.height
        return round_up_to(volume * 1000 // VOLUMETRIC_DIVISOR, 100)

    @property
    def chargeable_grams(self) -> int:
        """The larger of what it weighs and what its volume stands for."""
        return max(self.grams, self.volumetric_grams)
