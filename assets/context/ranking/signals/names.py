"""Words of the text that occur in a definition's name: `parse`, `date` -> `def parse_iso_date`."""

import numpy as np

from assets.context.ranking.index import Index
from assets.context.ranking.query import Query
from assets.context.ranking.signals.bm25 import holds, idf
from assets.context.ranking.signals.scores import Scores, to_unit


def score(query: Query, index: Index) -> Scores:
    manifest = index.manifest
    found = index.postings([f"={term}" for term in query.terms])
    values = np.zeros(manifest.documents)
    for marked in sorted(found):
        documents, _ = found[marked]
        values[documents] += query.terms[marked[1:]] * idf(manifest.documents, len(documents))

    def detail(document: int) -> str:
        held = {query.written.get(t[1:], t[1:]) for t, (documents, _) in found.items() if holds(documents, document)}
        return f"its name has {', '.join(sorted(held)[:6])}"

    return Scores(to_unit(values), detail)
