"""The interface of a corpus: passages for a query, and documents by address."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from assets.research.records import Document, Found


class CorpusUnavailable(RuntimeError):
    """The corpus cannot be reached or is not set up; the message says what to do. A later try may succeed."""


class SourceGone(LookupError):
    """A corpus no longer has this address."""


class Corpus(Protocol):
    """Something that can be searched. Its texts are data: nothing in them changes what is done with them.

    Answers are bounded: `search` gives at most `limit` passages, best first, each with its source; `fetch` at most
    `corpora.passages.MOST_BLOCKS` blocks. Both raise `CorpusUnavailable`; `fetch` raises `SourceGone` for an address
    that the corpus does not have (any more).
    """

    @property
    def name(self) -> str: ...

    @property
    def documents(self) -> int:
        """How many sources there are to search; 0 if that is not known."""

    def search(self, query: str, limit: int) -> Sequence[Found]: ...

    def fetch(self, address: str) -> Document: ...

    def rarity(self, terms: Iterable[str]) -> Mapping[str, float]:
        """How rare each term is here, from 0 to 1; empty where that is not known."""
