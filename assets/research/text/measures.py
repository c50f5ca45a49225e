"""Which units answer for which words: a figure in watts speaks of power, whether or not the sentence says so."""

from assets.research.text.words import term_of

_MONEY = {"€", "$", "£", "franc", "cent", "kron", "yen", "pound"}
MEASURED = {
    term_of(word): units
    for names_, units in {
        "power consumption output": {"W", "Wh"}, "energy": {"Wh", "J"}, "voltage": {"V"}, "speed velocity pace": {"m/s"},
        "weight mass load payload": {"g"}, "length height depth width distance range wingspan altitude size": {"m"},
        "area": {"ha", "m"}, "duration time period latency timeout interval age delay": {"s"},
        "price cost fee charge costs salary wage income budget expense": _MONEY, "temperature": {"°C", "degree"},
        "volume capacity": {"l", "B", "t", "g"}, "memory storage space": {"B"}, "throughput rate frequency": {"/s"},
        "share percentage proportion rate": {"%"},
    }.items()
    for word in names_.split()
}  # fmt: skip
"""By word for a measurable property: the units in which it is given, so that a figure in one of them speaks of it."""

DIMENSION = {
    "long": {"s", "m"}, "far": {"m"}, "fast": {"m/s", "s", "/s"}, "tall": {"m"}, "heavy": {"g"}, "high": {"m"}, "deep": {"m"},
    "wide": {"m"}, "old": {"s"}, "often": {"s", "/s"}, "expensive": _MONEY, "hot": {"°C"}, "cold": {"°C"},
    "large": {"B", "m", "ha", "l"}, "big": {"B", "m", "ha", "l"}, "quickly": {"s"}, "soon": {"s"},
}  # fmt: skip
MEASURED |= {term_of(word): units for word, units in DIMENSION.items()}
