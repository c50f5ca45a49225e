"""Searches corpora for a sub-question: their rankings are fused, and passages that repeat another are left out."""

from collections.abc import Sequence

from assets.research.corpora.protocol import Corpus, CorpusUnavailable
from assets.research.records import Passage, Searched, SubQuestion
from assets.research.text.words import words

PASSAGES = 40
_FUSED = 60


def search(corpora: Sequence[Corpus], sub: SubQuestion, limit: int = PASSAGES) -> Searched:
    """What the corpora have for a sub-question. One that cannot be searched is a problem that the report tells."""
    scores: dict[str, float] = {}
    found: dict[str, Passage] = {}
    problems, names, documents = [], [], 0
    for corpus in corpora:
        try:
            ranked = corpus.search(sub.text, limit)
            documents += corpus.documents
        except CorpusUnavailable as error:
            problems.append(f"{corpus.name} could not be searched: {str(error)[:300]}")
            continue
        names.append(corpus.name)
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
    return Searched(
        sub=sub, passages=passages, corpora=tuple(names), documents=documents, problems=tuple(problems), rarity=rarity
    )
