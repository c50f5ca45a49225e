"""Parcels and their size."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Parcel:
    """`grams`, and `sides` in centimetres in any order."""

    grams: int
    sides: tuple

    @property
    def girth(self):
        """Length plus the circumference of the two shorter sides, in centimetres."""
        short, middle, longest = sorted(self.sides)
        return longest + 2 * (short + middle)

    @property
    def volume_grams(self):
        """What carriers bill for bulky parcels: 200 g for each started litre."""
        a, b, c = self.sides
        return -(-(a * b * c) // 1000) * 200


def label(name, lines, country=""):
    """An address in capitals for the country and without empty lines."""
    rows = [name.strip(), *(line.strip() for line in lines)]
    if country:
        rows.append(country.strip().upper())
    return "\n".join(row for row in rows if row)
