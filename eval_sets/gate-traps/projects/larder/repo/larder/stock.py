"""Amounts by name, with the day on which they go off."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Item:
    name: str
    grams: int
    best_before: date


class Stock:
    def __init__(self, items=()):
        self.items = list(items)

    def amount(self, name):
        """Grams of everything with this name."""
        return sum(item.grams for item in self.items if item.name == name)

    def take(self, name, grams):
        """Takes an amount, from what goes off first. Raises LookupError, and takes nothing, if there is less."""
        if self.amount(name) < grams:
            raise LookupError(f"only {self.amount(name)} g of {name}")
        for item in sorted(self.items, key=lambda item: item.best_before):
            if item.name == name and grams > 0:
                used = min(item.grams, grams)
                grams -= used
                self.items.remove(item)
                if used < item.grams:
                    self.items.append(Item(name, item.grams - used, item.best_before))

    def spoiled(self, today):
        """Names of what is past its day, each once, in alphabetical order."""
        return sorted({item.name for item in self.items if item.best_before < today})
