"""Paths, file names and modules that the text names, and words of the text that occur in a path."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from assets.context.chunking import terms
from assets.context.ranking.index import Index, Ints, Manifest
from assets.context.ranking.query import Query
from assets.context.ranking.signals.bm25 import idf
from assets.context.ranking.signals.scores import Scores, to_unit

_WORDS = 0.35
"""The value of the best match by words alone, relative to a path that is written out."""


def score(query: Query, index: Index) -> Scores:
    manifest = index.manifest
    by_path = np.zeros(len(manifest.paths))
    reasons: dict[int, str] = {}
    for mention in (*query.paths, *(name.replace(".", "/") for name in query.dotted)):
        files = match_files(mention, manifest)
        for file in files:
            by_path[file] = max(by_path[file], 1.0 / len(files) ** 0.5)
            reasons.setdefault(file, f"the text names {mention}")
    by_words = np.zeros(len(manifest.paths))
    held = manifest.once("path terms", lambda: _files_by_term(manifest.paths))
    words: dict[int, str] = {}
    for term in sorted(query.terms):
        if (files_with := held.get(term)) is not None:
            by_words[files_with] += query.terms[term] * idf(len(manifest.paths), len(files_with))
    values = np.maximum(by_path, _WORDS * to_unit(by_words))

    def detail(document: int) -> str:
        file = int(manifest.file_of[document])
        if file not in words:
            said = sorted(path_terms(manifest.paths[file]) & query.terms.keys(), key=lambda t: (-query.terms[t], t))
            words[file] = ", ".join(query.written.get(term, term) for term in said[:4])
        return reasons.get(file) or f"its path has {words[file]}"

    return Scores(values, detail, of_files=True)


def _files_by_term(paths: Sequence[str]) -> dict[str, Ints]:
    held: dict[str, list[int]] = {}
    for file, path in enumerate(paths):
        for term in path_terms(path):
            held.setdefault(term, []).append(file)
    return {term: np.array(files, dtype=np.int64) for term, files in held.items()}


@lru_cache(maxsize=1 << 17)
def path_terms(path: str) -> frozenset[str]:
    """The terms of a file's name and of its folder's name."""
    parts = path.rpartition(".")[0].split("/")[-2:] if "." in path.rpartition("/")[2] else path.split("/")[-2:]
    return frozenset(term for part in parts for word in terms.words(part) for term in terms.expand(word))


def match_files(mention: str, manifest: Manifest, most: int = 20) -> list[int]:
    """The files that a mentioned path refers to: those that share most of its last parts. A mention may be absolute,
    relative, without its suffix (a module) or a folder. Empty if more than `most` files match."""
    wanted = [part for part in mention.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if not wanted:
        return []
    best, found = 0, []
    for file in manifest.once("file names", lambda: _files_by_name(manifest.paths)).get(wanted[-1], ()):
        depth = _shared(wanted, manifest.paths[file].split("/"))
        if depth > best:
            best, found = depth, [file]
        elif depth == best and depth:
            found.append(file)
    # A dotted name or a bare word must match completely, or every `x.y` would refer to a file `y`.
    whole = best == len(wanted) or (best >= 2) or "." in wanted[-1]
    return found if found and whole and len(found) <= most else []


def _files_by_name(paths: Sequence[str]) -> dict[str, list[int]]:
    """Files by the last part of their path, with and without its suffix."""
    held: dict[str, list[int]] = {}
    for file, path in enumerate(paths):
        name = path.rpartition("/")[2]
        for known in {name, name.rpartition(".")[0]}:
            if known:
                held.setdefault(known, []).append(file)
    return held


def _shared(wanted: list[str], parts: list[str]) -> int:
    last = parts[-1]
    if wanted[-1] not in (last, last.rpartition(".")[0]):
        return 0
    depth = 1
    while depth < min(len(wanted), len(parts)) and wanted[-1 - depth] == parts[-1 - depth]:
        depth += 1
    return depth
