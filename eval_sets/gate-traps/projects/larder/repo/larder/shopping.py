"""Shopping lists."""

AISLES = ("fruit", "dairy", "dry")


def missing(needed, stock):
    """Grams by name of what a recipe needs beyond the stock."""
    lacking = {name: grams - stock.amount(name) for name, grams in needed.items()}
    return {name: grams for name, grams in lacking.items() if grams > 0}


def merged(lists):
    """Several lists as one."""
    total = {}
    for one in lists:
        for name, grams in one.items():
            total[name] = total.get(name, 0) + grams
    return total


def shown(grams):
    """An amount as text: `850 g`, `1.5 kg`."""
    return f"{grams} g" if grams < 1000 else f"{grams / 1000:g} kg"


def by_aisle(names, aisles):
    """Names in the order of the shop's aisles, then by name; those of no known aisle come last."""

    def place(name):
        aisle = aisles.get(name)
        return AISLES.index(aisle) if aisle in AISLES else len(AISLES), name

    return sorted(names, key=place)
