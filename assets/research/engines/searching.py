"""Searches corpora for a sub-question: their rankings are fused, and passages that repeat another are left out."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Protocol

from assets.research.corpora.index import idf
from assets.research.corpora.protocol import Corpus, CorpusUnavailable
from assets.research.records import Found, Passage, Searched, SubQuestion
from assets.research.text.words import words

PASSAGES = 40
_FUSED = 60


class Memory(Protocol):
    """What earlier questions have read, by the names of the corpora that it was read from."""

    def recall(self, query: str, corpora: Collection[str], limit: int) -> Sequence[Found]: ...


def search(
    corpora: Sequence[Corpus], sub: SubQuestion, limit: int = PASSAGES, memory: Memory | None = None
) -> Searched:
    """What the corpora have for a sub-question. One that cannot be searched is a problem that the report tells; of it,
    and of remote ones, what the memory has is used too. Of others it would only be what they had at an earlier time."""
    scores: dict[str, float] = {}
    found: dict[str, Passage] = {}
    problems, names, remembered, documents = [], [], [], 0
    rankings: list[Sequence[Found]] = []
    for corpus in corpora:
        try:
            ranked = corpus.search(sub.text, limit)
            documents += corpus.documents
        except CorpusUnavailable as error:
            problems.append(f"{corpus.name} could not be searched: {str(error)[:300]}")
            remembered.append(corpus.name)
            continue
        names.append(corpus.name)
        if getattr(corpus, "remote", False):
            remembered.append(corpus.name)
        rankings.append(ranked)
    if memory is not None and remembered:
        rankings.append(memory.recall(sub.text, remembered, limit))
    for ranked in rankings:
        for rank, one in enumerate(ranked):
            found.setdefault(one.passage.hash, one.passage)
            scores[one.passage.hash] = scores.get(one.passage.hash, 0.0) + 1 / (_FUSED + rank + 1)
    best = sorted(scores, key=lambda h: (-scores[h], h))[:limit]
    passages = tuple(found[h] for h in best)
    rarity: dict[str, float] = {}
    wanted = {
        w.term for text in (sub.text, *(f"{p.title} {p.heading} {p.text}" for p in passages)) for w in words(text)
    }
    for corpus in corpora:
        if corpus.name in names:
            for term, value in corpus.rarity(wanted).items():
                rarity[term] = min(value, rarity.get(term, 1.0))
    if not rarity and passages:
        rarity = _rarity_in(passages, wanted)
    return Searched(
        sub=sub, passages=passages, corpora=tuple(names), documents=documents, problems=tuple(problems), rarity=rarity
    )


def _rarity_in(passages: Sequence[Passage], wanted: Collection[str]) -> dict[str, float]:
    """How rare terms are among what was found, where no corpus knows it for itself: a term of the question that none of
    the passages has weighs most."""
    counts = Counter(term for p in passages for term in {w.term for w in words(f"{p.title} {p.heading} {p.text}")})
    most = idf(0, len(passages))
    return {term: round(idf(counts[term], len(passages)) / most, 4) for term in wanted}
