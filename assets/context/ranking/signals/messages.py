"""Error messages and other quoted texts that the code contains, completely or with gaps for inserted values.

Candidates are found by the postings of the message's words, and scored by the longest run of the message's words
in their text.
"""

import re

from assets.context.chunking import terms
from assets.context.ranking.index import Index
from assets.context.ranking.query import Query
from assets.context.ranking.signals.scores import Scores, some

_CANDIDATES = 25
_MOST_MESSAGES = 8
_SHORTEST_RUN = 2
_WORD = re.compile(r"[^\W\d_]+")


def score(query: Query, index: Index) -> Scores:
    values: dict[int, float] = {}
    reasons: dict[int, str] = {}
    for message in query.messages[:_MOST_MESSAGES]:
        wanted = _WORD.findall(message.lower())[:40]
        if len(wanted) < _SHORTEST_RUN:
            continue
        documents = _candidates(wanted, index)
        for document, chunk in zip(documents, index.chunks(documents), strict=True):
            run = _longest_run(wanted, _WORD.findall(chunk.text.lower()))
            value = run / len(wanted)
            if run >= min(len(wanted), 3) and value > values.get(document, 0.0):
                values[document] = value
                reasons[document] = f"contains {run} consecutive words of “{message[:60]}”"
    return some(values, lambda document: reasons.get(document, ""))


def _candidates(wanted: list[str], index: Index) -> list[int]:
    by_term = index.postings(list({term for word in wanted for term in terms.expand(word)[:1]}))
    votes: dict[int, float] = {}
    for documents, _ in by_term.values():
        share = 1.0 / len(documents) ** 0.5
        for document in documents.tolist() if len(documents) <= 2000 else ():
            votes[document] = votes.get(document, 0.0) + share
    return sorted(sorted(votes, key=lambda document: (-votes[document], document))[:_CANDIDATES])


def _longest_run(wanted: list[str], held: list[str]) -> int:
    """The length of the longest run of words of `wanted` in `held`."""
    known = set(wanted)
    previous = [0] * (len(wanted) + 1)
    best = 0
    for word in held:
        if word not in known:
            if any(previous):
                previous = [0] * (len(wanted) + 1)
            continue
        current = [0] * (len(wanted) + 1)
        for place, other in enumerate(wanted):
            if other == word:
                current[place + 1] = previous[place] + 1
                best = max(best, current[place + 1])
        previous = current
    return best
