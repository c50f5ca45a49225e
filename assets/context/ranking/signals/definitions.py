"""Definitions of the identifiers that the text writes as code (`name`, CamelCase, snake_case, call(), dotted.name).

A definition with the exact name counts fully, or less if several have the name. A dotted name adds 1 if the
definition's scope or path agrees. The methods of a named class count half. If an identifier is not defined
anywhere, its uses count a quarter.
"""

from collections import defaultdict

from assets.context.chunking import terms
from assets.context.ranking.index import Index
from assets.context.ranking.query import Query
from assets.context.ranking.signals.scores import Scores, some

_MOST_DEFINITIONS = 40
_MOST_CLASSES = 5
_MEMBER = 0.5
_USE = 0.25


def score(query: Query, index: Index) -> Scores:
    manifest = index.manifest
    values: dict[int, float] = defaultdict(float)
    reasons: dict[int, list[str]] = {}
    defined = index.postings([f"=:{name}" for name in query.names])
    for name in query.names:
        hit = defined.get(f"=:{name}")
        if hit is None or len(hit[0]) > _MOST_DEFINITIONS:
            continue
        share = 1.0 / len(hit[0]) ** 0.5
        documents = hit[0].tolist()
        for document, chunk in zip(documents, index.chunks(documents), strict=True):
            values[document] += share
            reasons.setdefault(document, []).append(f"defines {name}")
            if chunk.kind == "class" and len(documents) <= _MOST_CLASSES:
                for member in _members(index, document, chunk.symbol):
                    values[member] += _MEMBER * share
                    reasons.setdefault(member, []).append(f"belongs to {name}")
    for dotted in query.dotted:
        *scope, last = dotted.split(".")
        hit = defined.get(f"=:{last}")
        if hit is None or len(hit[0]) > _MOST_DEFINITIONS:
            continue
        documents = hit[0].tolist()
        for document, chunk in zip(documents, index.chunks(documents), strict=True):
            path = manifest.paths[manifest.file_of[document]]
            around = {*chunk.scope.split("."), *path.rpartition(".")[0].replace("/", ".").split(".")}
            if around.intersection(scope):
                values[document] += 1.0
                reasons.setdefault(document, []).append(f"defines {dotted}")
    used = {term: name for name in query.names if (term := name.strip("_").lower())}
    undefined = {term: name for term, name in used.items() if f"=:{name}" not in defined and _is_compound(name)}
    for term, (documents, _) in sorted(index.postings(list(undefined)).items()):
        if len(documents) <= _MOST_DEFINITIONS:
            for document in documents.tolist():
                values[document] += _USE / len(documents) ** 0.5
                reasons.setdefault(document, []).append(f"uses {undefined[term]}")
    return some(values, lambda document: ", ".join(reasons.get(document, [])[:4]))


def _members(index: Index, document: int, symbol: str) -> list[int]:
    """The documents of the methods of a class."""
    documents = list(index.manifest.documents_of(int(index.manifest.file_of[document])))
    chunks = index.chunks(documents)
    return [n for n, chunk in zip(documents, chunks, strict=True) if chunk.symbol.startswith(f"{symbol}.")]


def _is_compound(name: str) -> bool:
    return len(terms.parts(name)) > 1
