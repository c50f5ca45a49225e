"""What the failing tests' messages and texts, and the issue, say: places, kinds of errors, names and values."""

import re
from collections.abc import Iterable, Mapping, Sequence

from assets.executions.trial.baseline import Baseline

from .operators.base import Hints

_PLACE = re.compile(r"(?:file://)?((?:/workspace/)?(?:[\w.@+-]+/)*[\w.@+-]+\.(?:go|[cm]?[jt]sx?)):(\d{1,7})")
_MISSING = re.compile(r"Cannot (?:read|set) propert(?:y|ies) (?:'[^']{0,80}' )?of (?:undefined|null)|nil pointer|"
                      r"(?:undefined|null) is not|is not iterable|is (?:undefined|null)\b", re.IGNORECASE)  # fmt: skip
_MEMBER = re.compile(r"\((?:reading|setting) '([\w$]{1,80})'\)|property '([\w$]{1,80})' of (?:undefined|null)")
_INDEX = re.compile(r"index out of range|slice bounds out of range|Invalid array length")
_ZERO = re.compile(r"divide by zero")
_CALL = re.compile(r"is not a function|is not a constructor")
_NAME = re.compile(r"is not defined|undefined: \w+")
_NUMBER = re.compile(r"(?<![\w.])\d{1,12}(?:\.\d{1,6})?(?![\w.]*\w)")
_STRING = re.compile(r"'((?:[^'\\\n]|\\.){1,200})'|\"((?:[^\"\\\n]|\\.){1,200})\"|`([^`\n]{1,200})`")
_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]{2,60}")
_COMMON = frozenset(re.findall(r"\w+", """
    the and for not with that this but was are from have should expected actual got want when then test func function
    const let var return assert equal describe expect require import error errorf fatal fatalf fatalln true false null
    undefined new async await class type string int bool package range struct nil deepequal strictequal tobe toequal
    deepstrictequal length name input output value result
"""))  # fmt: skip
MOST_FRAMES, MOST_NUMBERS, MOST_STRINGS, MOST_NAMES = 40, 30, 120, 400


def messages(baseline: Baseline, tests: Sequence[str]) -> list[tuple[str, str]]:
    """The messages of the first tests' failures, each with its test."""
    return [(test, failure.message) for test in tests[:20] for failure in baseline.failures.get(test, ())[:2]]


def frames(said: Iterable[tuple[str, str]], known: Mapping[str, str]) -> dict[tuple[str, int], float]:
    """The places in the program that messages name, those named first (the innermost) with 1, later ones with less."""
    found: dict[tuple[str, int], float] = {}
    for test, message in said:
        folder = test.split("::")[0].rpartition("/")[0]
        depth = 0
        for match in list(_PLACE.finditer(message))[:MOST_FRAMES]:
            path = match[1].removeprefix("/workspace/")
            if path not in known and "/" not in path and folder:
                path = f"{folder}/{path}"
            if path in known:
                key = (path, int(match[2]))
                found[key] = max(found.get(key, 0.0), 1.0 / (1 + 0.5 * depth))
                depth += 1
    return found


def read_hints(issue: str, test_texts: Sequence[str], said: Iterable[tuple[str, str]]) -> Hints:
    """What operators are told."""
    spoken = "\n".join(message for _, message in said)
    everything = "\n".join([issue, *test_texts, spoken])
    members = frozenset(one or other for one, other in _MEMBER.findall(spoken))
    kinds = (("null", _MISSING), ("index", _INDEX), ("zero", _ZERO), ("call", _CALL), ("name", _NAME))
    error = next((kind for kind, pattern in kinds if pattern.search(spoken)), "")
    strings = dict.fromkeys(next(filter(None, found)) for found in _STRING.findall("\n".join([issue, *test_texts])))
    strings |= dict.fromkeys(next(filter(None, found)) for found in _STRING.findall(spoken))
    numbers = dict.fromkeys(_NUMBER.findall("\n".join([issue, *test_texts])))
    return Hints(
        frozenset(names_in(everything)),
        tuple(numbers)[:MOST_NUMBERS],
        tuple(strings)[:MOST_STRINGS],
        error,
        members,
    )


def names_in(text: str) -> list[str]:
    """Names of code in a text, in their order."""
    found = dict.fromkeys(name for name in _IDENTIFIER.findall(text) if name.lower() not in _COMMON)
    return list(found)[:MOST_NAMES]
