import doctest
import sys

sys.path.insert(0, "src")
import unitwise.quantity
from unitwise import Quantity, UnitError, parse
from unitwise.parsing import total
from unitwise.units import UNITS, fitting, known


def raises(kind, function, *arguments):
    try:
        function(*arguments)
    except kind:
        return True
    return False


def check_units():
    assert known("hour") == ("time", 3600) and known("t") == ("mass", 1000000) and raises(KeyError, known, "x")
    assert fitting("time", 0) == "s" and fitting("time", 59) == "s" and fitting("time", -3600) == "h" and fitting("mass", 10**9) == "t"
    assert UNITS["time"] == {"s": 1, "min": 60, "h": 3600, "d": 86400} and len(UNITS) == 3


def check_quantities():
    for kind, units in UNITS.items():
        for a in units:
            for b in (unit for unit in units if units[unit] <= units[a]):
                there = Quantity(3, a).to(b)
                assert there == Quantity(3, a) and there.unit == b and hash(there) == hash(Quantity(3, a)), (kind, a, b)
    assert raises(UnitError, Quantity(1, "m").to, "s") and raises(UnitError, Quantity, 1, "") and raises(UnitError, Quantity(1, "m").__lt__, Quantity(1, "g"))
    assert Quantity(1, "m") != Quantity(1, "g") and Quantity(1, "m") != 1 and not Quantity(1, "s") == "1 s"
    assert str(Quantity(0.1, "m") + Quantity(0.2, "m")) == "0.3 m" and repr(Quantity(5.0, "g")) == "Quantity(5, 'g')"
    assert Quantity(1, "d") >= Quantity(24, "h") and Quantity(1, "mm") < Quantity(1, "km")
    assert Quantity(1, "km") / Quantity(3, "m") == 333.3333333333 and Quantity(5, "cm") / 4 == Quantity(12.5, "mm")
    assert str(Quantity(1500, "m").fitted()) == "1.5 km" and str(Quantity(0.5, "g").fitted()) == "0.5 g"
    assert str(Quantity(90, "s").fitted()) == "1.5 min" and str(Quantity(-2000, "kg").fitted()) == "-2 t"
    assert Quantity(7, "seconds").unit == "s" and isinstance(Quantity(4.0, "s").number, int)


def check_parsing():
    assert parse("1,5kg").number == 1.5 and parse(" 2 m 5 cm 1 mm ") == Quantity(2051, "mm") and parse("2 m 5 cm").unit == "m"
    assert parse("-1 h 30 min") == Quantity(-30, "min") and parse("1.25 t").amount == 1250000 and parse("7 gram").unit == "g"
    for text in ("", "m", "3", "3 m and", "1..5 m", "3 m,"):
        assert raises(ValueError, parse, text), text
    assert raises(UnitError, parse, "1 m 1 s") and raises(UnitError, parse, "4 q")
    assert total([]) is None and total(iter(["1 h", "15 min", "45 min"])) == Quantity(2, "h") and total(["3 m"]).unit == "m"
    assert parse("0 m").number == 0 and total(["0 m"]) is not None and total(["0 g", "1 g"]) == Quantity(1, "g")


def check_examples():
    assert doctest.testmod(unitwise.quantity).failed == 0
    assert doctest.testfile("README.md", module_relative=False).failed == 0


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
