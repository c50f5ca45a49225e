"""Words of a text with their places and stems, and which of them carry meaning in a question."""

import re
from dataclasses import dataclass
from functools import lru_cache

from core.word_parts import stem

WORD = re.compile(r"[^\W_]+(?:[.'’-][^\W_]+)*|[^\W_]+", re.UNICODE)
"""Also `3.5`, `don't`, `GPT-4` and `v1.2` as one word."""

LONGEST = 64

COMMON = frozenset(
    re.findall(
        r"\w+",
        "a about above after again all also am an and any are as at be because been before being below between both "
        "but "
        "by can could did do does doing down during each either else ever every few for from further get gets got had "
        "has have having he her here hers him his how however i if in into is it its itself just let may me might more "
        "most much must my near no nor not now of off on once only or other our out over own per please same shall she "
        "should since so some such tell than that the their them then there these they this those through to too under "
        "until up upon us very was we were what whatever when where whether which while who whom whose why will with "
        "within without would you your many cannot nothing nobody none never neither",
    )
) | frozenset(
    f"{word}n't"
    for word in [
        "ca",
        "do",
        "does",
        "did",
        "is",
        "are",
        "was",
        "were",
        "wo",
        "would",
        "could",
        "should",
        "has",
        "have",
        "had",
        "must",
        "need",
    ]
)
WEAK = frozenset(
    stem(word)
    for word in re.findall(
        r"\w+",
        "according actual actually amount answer around available based become call called came come common contain "
        "current currently describe described different difference do document documents does done evidence exactly "
        "exist explain find first found general give given go happen happened happens have important include "
        "information "
        "kind know known like list long main make made many mean means mention mentioned name named need new number "
        "one "
        "part people point possible provide question really reason relate report reported say says second see set show "
        "source sources state stated take taken thing things time times today two type use used uses using usually "
        "value "
        "want way well year years compare compared comparison versus vs changed change changes overall "
        "note notes summary summarise summarize overview main key much often role today date day month",
    )
)
"""Words that ask, rather than say what is asked about: they count little."""

SCALAR = frozenset(
    stem(word)
    for word in re.findall(
        r"\w+",
        "long longer longest large larger largest big bigger biggest small smaller smallest low lower lowest high "
        "higher "
        "highest fast faster fastest slow slower far farther further deep deeper heavy heavier old older new newer "
        "early "
        "earlier late later good better best bad worse worst cheap cheaper strong stronger quick quickly soon sooner "
        "tall "
        "taller wide wider hot hotter cold colder expensive frequently nearly almost exactly usually currently mostly "
        "typically generally total overall certain several various loud quiet hard easy",
    )
)
"""Words of degree: units and comparisons answer them more often than the words themselves do."""

_NEGATION = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|neither|nor|cannot|without|[a-z]+n[’']t|unable|fails? to|failed to|lacks?|"
    r"lacked|lacking|refuses? to|refused to|ceased to|stopped|no longer)\b",
    re.IGNORECASE,
)


_UNDER = re.compile(r"^\W*(?:if|when|unless)\b", re.IGNORECASE)
_CONDITION = re.compile(
    r"\bto\s+(?:\w+\s+){0,3}$|(?:\b(?:if|when|whether|unless|once)\b|^\W*(?:for example|e\.g\.))[^,;]*$", re.IGNORECASE
)
_NO_STATEMENT = frozenset({"without", "nor", "nothing", "nobody", "none"})
_BOUND = re.compile(r"\b(?:\w+er than|more|less|fewer|below|above|beyond|exceed\w*|until|yet)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    term: str
    start: int
    end: int


@lru_cache(maxsize=200_000)
def term_of(word: str) -> str:
    """A word as a term: lower case, without a possessive, stemmed; numbers without their commas."""
    lower = word.lower().replace("’", "'")
    if lower.endswith("'s"):
        lower = lower[:-2]
    return stem(_IRREGULAR.get(lower, lower))


_IRREGULAR = dict(
    pair.split("/")
    for pair in re.findall(
        r"\S+",
        "goods/ware used/use uses/use using/use began/begin begun/begin bought/buy brought/bring built/build chose/choose chosen/choose children/child "
        "cost/cost drew/draw drawn/draw drove/drive driven/drive fell/fall fallen/fall felt/feel fought/fight "
        "froze/freeze frozen/freeze gave/give grew/grow grown/grow held/hold kept/keep knew/know laid/lay led/lead "
        "left/leave lost/lose men/man met/meet mice/mouse paid/pay ran/run rose/rise risen/rise sold/sell sent/send "
        "shown/show spent/spend stood/stand taught/teach thought/think threw/throw told/tell took/take women/woman "
        "won/win wore/wear worn/wear wrote/write written/write indices/index analyses/analysis sank/sink sunk/sink "
        "swam/swim sang/sing sung/sing drank/drink drunk/drink rang/ring fled/flee bound/bind dug/dig hung/hang "
        "spun/spin stuck/stick struck/strike swept/sweep dealt/deal meant/mean bent/bend lent/lend spoke/speak "
        "spoken/speak broke/break broken/break woke/wake stole/steal stolen/steal tore/tear torn/tear swore/swear "
        "hid/hide hidden/hide bit/bite rode/ride ridden/ride slid/slide blew/blow blown/blow flew/fly flown/fly ate/eat "
        "eaten/eat went/go gone/go fed/feed bred/breed became/become loaves/loaf knives/knife halves/half lives/life "
        "leaves/leaf wolves/wolf shelves/shelf thieves/thief feet/foot teeth/tooth geese/goose crises/crisis "
        "theses/thesis criteria/criterion phenomena/phenomenon bacteria/bacterium ",
    )
)


def words(text: str) -> list[Word]:
    """Every word. A hyphenated one is also there in its parts, at the same place."""
    found = []
    for match in WORD.finditer(text):
        word = match.group()
        if len(word) > LONGEST:
            continue
        found.append(Word(word, term_of(word), match.start(), match.end()))
    return found


def terms(text: str) -> list[str]:
    """The terms of a text for an index: also the parts of hyphenated words."""
    found = []
    for word in WORD.findall(text):
        if len(word) > LONGEST:
            continue
        term = term_of(word)
        if "-" in word:
            found += [term_of(part) for part in word.split("-")]
        if term not in COMMON:
            found.append(term)
    return found


def content_terms(text: str) -> list[str]:
    """Distinct terms that carry meaning, in their order."""
    return list(dict.fromkeys(t for w in words(text) if (t := w.term) and w.text.lower() not in COMMON))


def is_negated(text: str) -> bool:
    """Whether a sentence denies something (an even number of denials is none)."""
    return len(_NEGATION.findall(text)) % 2 == 1


def is_conditional(text: str, place: int) -> bool:
    """Whether what stands at a place of a sentence is a part of a condition, an aim or an example."""
    return bool(_CONDITION.search(text[:place]))


def denied(text: str) -> list[tuple[int, str]]:
    """What follows each denial of a statement, as its place and term: what is denied. "Without" denies no statement,
    "nothing open" is no "not open", and a condition or a bound denies nothing."""
    found = []
    for match in () if _UNDER.match(text) else _NEGATION.finditer(text):
        if (
            match.group().lower() in _NO_STATEMENT
            or is_conditional(text, match.start())
            or _BOUND.search(text, match.end(), match.end() + 40)
        ):
            continue
        following = [w for w in words(text[match.end() : match.end() + 60]) if w.text.lower() not in COMMON]
        if following:
            found.append((match.end() + following[0].start, following[0].term))
    return found
