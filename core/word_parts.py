"""Splits identifiers into words and stems English words, for texts that are ranked, matched or hashed.

Stored postings and the vectors of the hashing model depend on it: a change here must raise `VERSION` in
`assets/context/chunking/terms.py` and `_VERSION` in `core/embedding/hashing.py`.
"""

import re
from functools import lru_cache

PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\dA-Za-z_]+")
"""Matches each word of an identifier, split at underscores, digits and capitals."""


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """Cuts English plural, -ing and -ed endings, so that `parses`, `parsing` and `parsed` are one term."""
    if len(word) < 4 or not word.isascii():
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            if word[-1] == word[-2] and word[-1] not in "aeioulsz":
                word = word[:-1]
            break
    return word[:-1] if word.endswith("e") and len(word) > 3 else word
