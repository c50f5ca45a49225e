"""Paths, file names and modules that the text names, and words of the text that are words of a path."""

from collections.abc import Sequence

import numpy as np

from assets.context import terms
from assets.context.index import Index
from assets.context.query import Query
from assets.context.signals.bm25 import idf
from assets.context.signals.scores import Scores, to_unit

_WORDS = 0.35
"""What the best match of words alone is worth beside a path that is written out."""


def score(query: Query, index: Index) -> Scores:
    manifest = index.manifest
    by_path = np.zeros(len(manifest.paths))
    reasons: dict[int, str] = {}
    for mention in (*query.paths, *(name.replace(".", "/") for name in query.dotted)):
        files = match_files(mention, manifest.paths)
        for file in files:
            by_path[file] = max(by_path[file], 1.0 / len(files) ** 0.5)
            reasons.setdefault(file, f"the text names {mention}")
    by_words = np.zeros(len(manifest.paths))
    held: dict[str, list[int]] = {}
    for file, path in enumerate(manifest.paths):
        for term in path_terms(path):
            if term in query.terms:
                held.setdefault(term, []).append(file)
    for term in sorted(held):
        by_words[held[term]] += query.terms[term] * idf(len(manifest.paths), len(held[term]))
        for file in held[term]:
            reasons.setdefault(file, f"its path has {query.written.get(term, term)}")
    values = np.maximum(by_path, _WORDS * to_unit(by_words))
    return Scores(
        values[manifest.file_of] if len(values) else values,
        lambda document: reasons.get(int(manifest.file_of[document]), ""),
    )


def path_terms(path: str) -> set[str]:
    """The terms of the file's name and of the folder that it lies in."""
    parts = path.rpartition(".")[0].split("/")[-2:] if "." in path.rpartition("/")[2] else path.split("/")[-2:]
    return {term for part in parts for word in terms.words(part) for term in terms.expand(word)}


def match_files(mention: str, paths: Sequence[str], most: int = 20) -> list[int]:
    """The files that a mentioned path means: those that share the most of its last parts. A mention may be
    absolute, relative, without its suffix (a module) or a folder; none when more than `most` fit."""
    wanted = [part for part in mention.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if not wanted:
        return []
    best, found = 0, []
    for file, path in enumerate(paths):
        depth = _shared(wanted, path.split("/"))
        if depth > best:
            best, found = depth, [file]
        elif depth == best and depth:
            found.append(file)
    # A dotted name or a bare word must match whole, or every `x.y` would name a file `y`.
    whole = best == len(wanted) or (best >= 2) or "." in wanted[-1]
    return found if found and whole and len(found) <= most else []


def _shared(wanted: list[str], parts: list[str]) -> int:
    last = parts[-1]
    if wanted[-1] not in (last, last.rpartition(".")[0]):
        return 0
    depth = 1
    while depth < min(len(wanted), len(parts)) and wanted[-1 - depth] == parts[-1 - depth]:
        depth += 1
    return depth
