"""A named span of lines, as the chunker of any language returns it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Segment:
    """Lines `first` to `last`, 1-based and inclusive. Segments of a file are in order and don't overlap."""

    kind: str
    first: int
    last: int
    symbol: str = ""
    signature: str = ""
    docstring: str = ""
