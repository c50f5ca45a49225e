"""One patch of a measurement in the terms of the rules: each call with the original and with the patched program."""

from dataclasses import dataclass
from functools import cached_property

from .measure import Measured, MeasuredCall, Measurement, Result


@dataclass(frozen=True)
class Pair:
    """One call with the original and with the patched program."""

    call: MeasuredCall
    number: int
    result: Result

    @property
    def changed(self) -> bool:
        return self.result.differs(self.call.original)

    @property
    def returned(self) -> bool:
        """Whether the original returned normally."""
        return self.call.original.status == "value"


class View:
    """One patch of a measurement, in the terms of the rules."""

    def __init__(self, measurement: Measurement, number: int) -> None:
        self.measurement = measurement
        self.patch: Measured = measurement.patches[number]

    @cached_property
    def pairs(self) -> list[Pair]:
        """The calls that give the same result each time and ran with both versions."""
        found = zip(self.measurement.calls, self.patch.results or (), strict=False)
        pairs = [Pair(call, number, r) for number, (call, r) in enumerate(found) if r is not None and call.steady]
        return [pair for pair in pairs if pair.result.status != "unknown"]

    @cached_property
    def by_number(self) -> dict[int, Pair]:
        return {pair.number: pair for pair in self.pairs}

    def pairs_with(self, origin: str) -> list[Pair]:
        return [pair for pair in self.pairs if pair.call.origin == origin]

    @cached_property
    def repaired(self) -> list[Pair]:
        """The calls of failing tests whose result the patch changes."""
        return [pair for pair in self.pairs if pair.call.origin == "target" and pair.changed]

    @cached_property
    def repaired_lines(self) -> dict[int, tuple[frozenset[int], frozenset[int]]]:
        """By function, the lines of the original that every repaired call of it executes, and those that any does."""
        found: dict[int, tuple[frozenset[int], frozenset[int]]] = {}
        for pair in self.repaired:
            lines = pair.call.original.lines
            every, some = found.get(pair.call.function, (lines, lines))
            found[pair.call.function] = every & lines, some | lines
        return found

    def like_repaired(self, pair: Pair) -> bool:
        """Whether the original executes on this call all lines that it executes on every repaired one, or only such
        lines as it executes on some: a shorter path is that of a simpler input."""
        every, some = self.repaired_lines.get(pair.call.function, (frozenset[int](), frozenset[int]()))
        return every <= pair.call.original.lines or pair.call.original.lines <= some

    def name(self, pair: Pair) -> str:
        return self.measurement.functions[pair.call.function]
