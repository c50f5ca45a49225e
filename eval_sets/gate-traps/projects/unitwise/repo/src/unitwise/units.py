"""Units by what they measure, each with its factor to the smallest one."""

UNITS = {
    "length": {"mm": 1, "cm": 10, "m": 1000, "km": 1000000},
    "mass": {"g": 1, "kg": 1000, "t": 1000000},
    "time": {"s": 1, "min": 60, "h": 3600, "d": 86400},
}
ALIASES = {"meter": "m", "gram": "g", "hour": "h", "hours": "h", "second": "s", "seconds": "s"}


def known(unit):
    """The kind and the factor of a unit, by name or alias. Raises KeyError."""
    name = ALIASES.get(unit, unit)
    for kind, found in UNITS.items():
        if name in found:
            return kind, found[name]
    raise KeyError(unit)


def fitting(kind, amount):
    """The largest unit of a kind of which there is at least one in an amount of the smallest unit."""
    units = sorted(UNITS[kind].items(), key=lambda item: item[1])
    name = units[0][0]
    for unit, factor in units:
        if abs(amount) >= factor:
            name = unit
    return name
