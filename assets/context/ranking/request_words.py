"""Words that are common in requests for a change, whatever their subject, with their reduced weights.

An index shows which words are rare in the code, not which are common in requests: "fix", "add" and "update" are
rare in most files and say nothing about the place. The weight is `log(n / d) / log(n / 3)` for a term in d of n
requests of the development set. The list has the terms that occur in requests of at least four of the set's six
packages, without words of those packages' own subjects. `python -m tests.bench.retrieval --words` prints it.
"""

from collections.abc import Mapping

REQUEST_WORDS: Mapping[str, float] = {
    "fix": 0.25,
    "add": 0.4,
    "typ": 0.45,
    "test": 0.45,
    "updat": 0.5,
    "use": 0.5,
    "ad": 0.5,  # added
    "valu": 0.55,
    "remov": 0.55,
    "error": 0.6,
    "default": 0.6,
    "set": 0.6,
    "docstr": 0.6,
    "check": 0.65,
    "exception": 0.65,
    "chang": 0.65,
    "mor": 0.65,
    "support": 0.65,
    "issu": 0.7,
    "mak": 0.7,
    "nam": 0.7,
    "python": 0.7,
    "call": 0.7,
    "cas": 0.7,
    "class": 0.7,
    "all": 0.7,
    "parameter": 0.7,
    "handl": 0.75,
    "new": 0.75,
    "only": 0.75,
    "using": 0.75,
    "comment": 0.75,
    "commit": 0.75,
    "documentation": 0.75,
    "instead": 0.75,
    "rais": 0.75,
    "annotation": 0.8,
    "argument": 0.8,
    "cod": 0.8,
    "get": 0.8,
    "messag": 0.8,
    "method": 0.8,
    "pass": 0.8,
    "version": 0.8,
    "also": 0.8,
    "behavior": 0.8,
    "return": 0.8,
    "deprecat": 0.85,
    "refactor": 0.85,
    "variabl": 0.85,
    "one": 0.9,
    "styl": 0.9,
}
