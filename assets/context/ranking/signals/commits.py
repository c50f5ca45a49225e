"""Files changed by earlier commits whose messages resemble the text.

Messages are compared by BM25; a commit's score is divided among its files.
"""

import numpy as np

from assets.context.ranking.index import Index
from assets.context.ranking.query import Query
from assets.context.ranking.signals.bm25 import K1, idf, length_norm, term_scores
from assets.context.ranking.signals.scores import Scores, nothing, to_unit

_B = 0.5
_ALIKE = 20
"""The number of the most similar commits that count."""


def score(query: Query, index: Index) -> Scores:
    manifest, past = index.manifest, index.history
    if not len(past):
        return nothing()
    norm = length_norm(past.lengths, _B)
    alike = np.zeros(len(past))
    for term, weight in query.terms.items():
        if hits := past.postings.get(term):
            commits, counts = hits
            alike[commits] += term_scores(weight * idf(len(past), len(commits)), counts, norm[commits])
    # What a message equal to the text would score, so that a weak similarity stays weak.
    best = sum(weight * idf(len(past), len(past.postings[term][0])) for term, weight in query.terms.items()
               if term in past.postings) * (K1 + 1) / 2  # fmt: skip
    if best <= 0:
        return nothing()
    by_file = np.zeros(len(manifest.paths))
    reasons: dict[int, int] = {}
    for number in np.argsort(-alike, kind="stable")[:_ALIKE].tolist():
        commit = past.commits[number]
        share = min(1.0, alike[number] / best) ** 2 / len(commit.paths) ** 0.5
        for path in commit.paths:
            file = manifest.number.get(path)
            if file is not None and share > 0:
                by_file[file] += share
                reasons.setdefault(file, number)

    def detail(document: int) -> str:
        commit = past.commits[reasons[int(manifest.file_of[document])]]
        return f"changed by {commit.commit[:10]}, “{commit.message.partition(chr(10))[0][:80]}”"

    values = np.minimum(by_file, 1.0) if by_file.max(initial=0.0) <= 1.0 else to_unit(by_file)
    return Scores(values, detail, of_files=True)
