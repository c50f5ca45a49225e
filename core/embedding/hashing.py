"""Feature hashing (Weinberger et al., 2009): words and their letter trigrams to signed buckets. No weights.

A second model that always works: it needs only numpy. Its vectors have the default model's width, but are not
comparable with them.
"""

import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from core.embedding.protocol import Vectors, unit_rows
from core.word_parts import PARTS

_VERSION = b"hashing-1: words weight 2, letter trigrams weight 1, sqrt of counts, crc32, sign from bit 31"
_WORD = re.compile(r"[^\W_]+")


class HashingEmbedder:
    """Splits identifiers into their words, so that `parse_date` and `ParseDate` have the same features."""

    def __init__(self, dimensions: int = 256) -> None:
        if dimensions < 8:
            raise ValueError("dimensions must be at least 8")
        self._dimensions = dimensions
        digest = hashlib.sha256(_VERSION).hexdigest()[:16]
        self._identity = f"hashing-{dimensions}@sha256:{digest}"

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def dimensions(self) -> int:
        return self._dimensions

    @property
    def max_tokens(self) -> int:
        return 2048

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        out = np.zeros((len(texts), self._dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            words = _WORD.findall(text[: self.max_tokens * 16])[: self.max_tokens]
            buckets: list[int] = []
            weights: list[float] = []
            for word, count in Counter(words).items():
                found, signs = _features(word)
                buckets += found
                weights += [sign * count**0.5 for sign in signs]
            if buckets:
                np.add.at(out[row], np.array(buckets, dtype=np.int64) % self._dimensions, weights)
        return unit_rows(out)

    def embed_query(self, text: str) -> Vectors:
        vector: Vectors = self.embed_documents([text])[0]
        return vector


@lru_cache(maxsize=65536)
def _features(word: str) -> tuple[list[int], list[float]]:
    buckets: list[int] = []
    signs: list[float] = []
    for part in PARTS.findall(word) or [word]:
        lower = part.lower()
        padded = f"^{lower[:32]}$"
        pieces = [(f"w:{lower}", 2.0), *((f"t:{padded[i : i + 3]}", 1.0) for i in range(len(padded) - 2))]
        for piece, weight in pieces:
            value = zlib.crc32(piece.encode("utf-8", "surrogatepass"))
            buckets.append(value & 0x7FFFFFFF)
            signs.append(weight if value >> 31 else -weight)
    return buckets, signs
