"""Numbers with their units, dates, and names in a sentence. Found by rules; units are compared in a base unit."""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from assets.research.text.words import COMMON, term_of

_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH = "|".join([*_MONTHS, *(m[:3] for m in _MONTHS), "sept"])
_DATE = re.compile(
    rf"\b(?:(?P<d1>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<m1>{_MONTH})\.?,?\s+(?P<y1>[12]\d{{3}})"
    rf"|(?P<m2>{_MONTH})\.?\s+(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<y2>[12]\d{{3}})"
    r"|(?P<y3>[12]\d{3})-(?P<m3>[01]\d)-(?P<d3>[0-3]\d)"
    rf"|(?P<m4>{_MONTH})\.?\s+(?P<y4>[12]\d{{3}})"
    rf"|(?P<d5>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<m5>{_MONTH})\b"
    rf"|(?P<m6>{_MONTH})\s+(?P<d6>\d{{1,2}})(?:st|nd|rd|th)?\b)",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?<![\d.,$€£#-])\b(1[4-9]\d{2}|20\d{2})\b(?![.,]\d|\s*(?:%|percent|km|m\b|kg|mm|ms|euro|dollar))")
_SPELLED = (
    {
        name: value
        for value, name in enumerate(
            [
                "zero",
                "one",
                "two",
                "three",
                "four",
                "five",
                "six",
                "seven",
                "eight",
                "nine",
                "ten",
                "eleven",
                "twelve",
                "thirteen",
                "fourteen",
                "fifteen",
                "sixteen",
                "seventeen",
                "eighteen",
                "nineteen",
            ]
        )
    }
    | {"single": 1}
    | dict(
        zip(
            ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"],
            range(20, 100, 10),
            strict=True,
        )
    )
)
_WORDED = "|".join(_SPELLED)
_SCALES = {
    "thousand": 1e3,
    "million": 1e6,
    "billion": 1e9,
    "trillion": 1e12,
    "k": 1e3,
    "m": 1e6,
    "bn": 1e9,
    "dozen": 12,
}
_NUMBER = re.compile(
    r"(?<![\w.-])(?P<sign>[-−–](?=\d))?(?P<cur>[$€£])?\s?(?P<num>\d{1,3}(?:[, \u00a0\u202f]\d{3})+(?:\.\d+)?|"
    r"\d+(?:[.]\d+)?)"
    r"(?!\.\d)\s?(?P<scale>thousand|million|billion|trillion|bn|k(?=\s|$)|dozen)?"
    r"[-\s]?(?P<unit>%|°\s?[CF]|[A-Za-zµ]+(?:/[A-Za-z]+|\s+per\s+[a-z]+)?)?"
    r"|\b(?P<times>once(?=\s+(?:an?|per|every|each|daily|weekly|monthly|yearly|in)\b|\W*$)|twice|thrice)\b"
    rf"|\b(?P<worded>(?:{_WORDED})(?:-(?:{_WORDED}))?)\b[-\s]?(?P<wscale>thousand|million|billion|dozen|"
    rf"hundred)?\s?(?P<wunit>[a-z]+)?",
    re.IGNORECASE,
)
_UNITS: dict[str, tuple[str, float]] = {}
for _base, _names in {
    "s": "ms=0.001 millisecond=0.001 s=1 sec=1 second=1 min=60 minute=60 h=3600 hr=3600 hour=3600 day=86400 week=604800 "
    "month=2629800 year=31557600",
    "m": "mm=0.001 millimetre=0.001 millimeter=0.001 cm=0.01 centimetre=0.01 centimeter=0.01 m=1 metre=1 meter=1 "
    "km=1000 kilometre=1000 kilometer=1000 mile=1609.34 foot=0.3048 feet=0.3048 ft=0.3048 inch=0.0254",
    "g": "mg=0.001 milligram=0.001 g=1 gram=1 kg=1000 kilogram=1000 t=1000000 tonne=1000000 ton=1000000 lb=453.6 pound=453.6",
    "B": "byte=1 kb=1000 kib=1024 mb=1e6 mib=1048576 gb=1e9 gib=1073741824 tb=1e12",
    "%": "%=1 percent=1",
    "W": "w=1 watt=1 kw=1000 kilowatt=1000 mw=1e6 megawatt=1e6 gw=1e9",
    "Wh": "wh=1 kwh=1000 mwh=1e6 gwh=1e9",
    "V": "v=1 volt=1 kv=1000",
    "€": "euro=1 eur=1 €=1",
    "$": "dollar=1 usd=1 $=1",
    "£": "gbp=1 £=1",
    "l": "ml=0.001 l=1 litre=1 liter=1",
    "°C": "°c=1 celsius=1 degree=1",
    "ha": "ha=1 hectare=1 acre=0.4047",
}.items():
    for _pair in _names.split():
        _name, _, _factor = _pair.partition("=")
        _UNITS[_name] = _UNITS[term_of(_name)] = (_base, float(_factor))


_BASES = frozenset(base for base, _ in _UNITS.values())


@dataclass(frozen=True, slots=True)
class Quantity:
    """`value` in the unit `unit` (a base unit, or the stem of the noun that is counted); `shown` is how it stands there."""

    value: float
    unit: str
    shown: str
    start: int
    end: int
    head: str = ""
    """The noun after the counted one: `sample` of "340 rock samples"."""

    def counts_as(self, other: "Quantity") -> bool:
        """Whether both are of one unit; a unit with and one without a divisor ("50 GB per user") can be."""
        mine, theirs = ({one.unit, one.head} - {""} for one in (self, other))
        if mine & theirs or not (mine or theirs):
            return True
        bare = self.unit.partition("/")[0], other.unit.partition("/")[0]
        return bare[0] == bare[1] != "" and (self.unit == bare[0] or other.unit == bare[1])


@dataclass(frozen=True, slots=True)
class Date:
    """A date as far as it is given: 0 for a missing part."""

    year: int
    month: int
    day: int
    start: int
    end: int

    def clashes(self, other: "Date") -> bool:
        pairs = ((self.year, other.year), (self.month, other.month), (self.day, other.day))
        return any(a and b and a != b for a, b in pairs)


@lru_cache(maxsize=8192)
def dates(text: str) -> tuple[Date, ...]:
    """Dates and years, in their order."""
    found: list[Date] = []
    taken: list[tuple[int, int]] = []
    for match in _DATE.finditer(text):
        part = {key: value for key, value in match.groupdict().items() if value}
        year = next((int(v) for k, v in part.items() if k[0] == "y"), 0)
        month = next((_month(v) for k, v in part.items() if k[0] == "m"), 0)
        day = next((int(v) for k, v in part.items() if k[0] == "d"), 0)
        if month == 5 and not year and not match.group()[:1].isdigit() and match.group()[:1].islower():
            continue  # "may 3" as a verb
        found.append(Date(year, month, day, match.start(), match.end()))
        taken.append((match.start(), match.end()))
    for match in _YEAR.finditer(text):
        if not any(a <= match.start() < b for a, b in taken):
            found.append(Date(int(match.group()), 0, 0, match.start(), match.end()))
    return tuple(sorted(found, key=lambda date: date.start))


def _month(text: str) -> int:
    if text.isdigit():
        return int(text)
    return next(n for n, name in enumerate(_MONTHS, 1) if name.startswith(text.lower()[:3]))


@lru_cache(maxsize=8192)
def quantities(text: str) -> tuple[Quantity, ...]:
    """Numbers that are not dates, with the unit or the noun that follows."""
    when = dates(text)
    found = []
    for match in _NUMBER.finditer(text):
        if any(date.start <= match.start() < date.end or date.start < match.end() <= date.end for date in when):
            at = match.start("num") if match.group("num") else match.start()
            if any(date.start <= at < date.end for date in when):
                continue
        quantity = _times(match) if match.group("times") else None
        if quantity is None:
            quantity = _worded(match) if match.group("worded") else _figure(match, text) if match.group("num") else None
        if quantity is not None:
            found.append(replace(quantity, head=_head(quantity, text)))
    return tuple(found)


def _times(match: "re.Match[str]") -> Quantity:
    value = ("once", "twice", "thrice").index(match.group("times").lower()) + 1
    return Quantity(float(value), term_of("times"), match.group(), match.start(), match.end())


def _head(quantity: Quantity, text: str) -> str:
    if not quantity.unit or quantity.unit in _BASES or "/" in quantity.unit:
        return ""
    return _next_noun(text, quantity.end)


def _figure(match: "re.Match[str]", text: str) -> Quantity | None:
    value = float(re.sub(r"[,\s]", "", match.group("num")))
    if match.group("sign"):
        value = -value
    end = match.end("num")
    if scale := match.group("scale"):
        value *= _SCALES[scale.lower()]
        end = match.end("scale")
    unit, factor = "", 1.0
    if currency := match.group("cur"):
        unit = currency
    elif named := match.group("unit"):
        unit, factor = _unit(named)
        end = match.end("unit") if unit else end
        if unit and unit in _ADJECTIVE:
            unit = _next_noun(text, match.end("unit")) or unit
    else:
        unit = ""
    return Quantity(value * factor, unit, text[match.start() : end].strip(), match.start(), end)


_ENDS = re.compile(r"\s*(?:[.;,)]|$)")


def _worded(match: "re.Match[str]") -> Quantity | None:
    parts = match.group("worded").lower().split("-")
    value = float(sum(_SPELLED[part] for part in parts))
    if scale := match.group("wscale"):
        value *= {**_SCALES, "hundred": 100}[scale.lower()]
    unit, factor = _unit(match.group("wunit") or "")
    if (value == 1 and not scale) or (not unit and not _ENDS.match(match.string, match.end("worded"))):
        return None  # "one" is mostly a pronoun
    return Quantity(value * factor, unit, match.group().strip(), match.start(), match.end())


_ADJECTIVE = frozenset(
    term_of(w) for w in ["new", "full", "active", "different", "separate", "annual", "total", "million", "more"]
)


def _next_noun(text: str, at: int) -> str:
    match = re.match(r"\s+([a-z]+)", text[at : at + 40])
    return term_of(match.group(1)) if match and match.group(1) not in COMMON else ""


def _unit(named: str) -> tuple[str, float]:
    lower = re.sub(r"\s+", " ", named.strip().lower()).replace("° ", "°")
    head, slash, rest = re.sub(r" per ", "/", lower).partition("/")
    head = head.split(" ")[0]
    if head in COMMON:
        return "", 1.0
    base, factor = _UNITS.get(head) or _UNITS.get(term_of(head)) or (term_of(head), 1.0)
    if slash:
        per, divisor = _UNITS.get(term_of(rest)) or _UNITS.get(rest) or (term_of(rest), 1.0)
        return f"{base}/{per}", factor / divisor
    return base, factor


def unit_of(word: str) -> str:
    """The base unit that a word names (`s` for days); empty for another word."""
    return _UNITS.get(term_of(word), ("", 0.0))[0]


_NAME = re.compile(r"\b(?:[A-Z][\w’'-]*|[A-Z]{2,}\d*)(?:\s+(?:(?:of|de|van|von|der|du|la|al)\s+)?[A-Z][\w’'-]*)*\b")
_TITLED = frozenset(
    [
        "Mr",
        "Mrs",
        "Ms",
        "Dr",
        "Prof",
        "The",
        "A",
        "An",
        "In",
        "On",
        "At",
        "By",
        "For",
        "From",
        "It",
        "This",
        "That",
        "These",
        "Its",
    ]
)


@lru_cache(maxsize=8192)
def names(text: str) -> tuple[str, ...]:
    """Capitalised names, without a sentence's first word if that is a common one; identifiers with digits too."""
    found = []
    for match in _NAME.finditer(text):
        parts = match.group().split()
        first = match.start() == 0 or text[: match.start()].rstrip()[-1:] in '.!?:;"“(|•*-#'
        while parts and (parts[0] in _TITLED or (first and parts[0].lower() in COMMON)):
            parts, first = parts[1:], False
        if first and len(parts) == 1 and not any(c.isdigit() or c.isupper() for c in parts[0][1:]):
            continue  # a sentence's first word is no evidence of a name
        name = " ".join(parts).removesuffix("'s").removesuffix("’s")
        if name and name.lower() not in COMMON and name.lower() not in _MONTHS and len(name) > 1:
            found.append(name)
    return tuple(dict.fromkeys(found))


_AFTER_NAME = re.compile(r"(?:(#)|(\w+)/|\b([A-Z]{2,})[\s-]?|[\w,(]\s([A-Z][a-z]\w*)\s)$")


def named_after(text: str, quantity: Quantity) -> str:
    """The name that a number is a part of, as in "#3253", "HTTP/2", "RFC 9110" and "on Python 3"; empty for a number
    that counts or measures something."""
    match = _AFTER_NAME.search(text[max(0, quantity.start - 24) : quantity.start])
    if match is None:
        return ""
    mark, path, acronym, word = match.groups()
    return mark or path or ("" if quantity.unit else acronym or word)
