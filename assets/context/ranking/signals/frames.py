"""Frames of stack traces and places in test reports (`File "x.py", line 12, in f`, `x.py:12: ValueError`).

The last frame of a trace is where the failure occurred; earlier frames count less. A frame whose line has moved is
still found by the name of its function.
"""

from assets.context.ranking.index import Index
from assets.context.ranking.query import Query
from assets.context.ranking.signals.paths import match_files
from assets.context.ranking.signals.scores import Scores, some

_FADE = 0.75
_FILE_ONLY = 0.4


def score(query: Query, index: Index) -> Scores:
    manifest = index.manifest
    values: dict[int, float] = {}
    reasons: dict[int, str] = {}
    strength = 1.0
    for frame in reversed(query.frames):
        files = match_files(frame.path, manifest, most=3)
        if not files:
            continue
        for file in files:
            documents = list(manifest.documents_of(file))
            exact = set()
            for document, chunk in zip(documents, index.chunks(documents), strict=True):
                here = chunk.start_line <= frame.line <= chunk.end_line
                named = bool(frame.function) and chunk.name == frame.function
                if named or (here and (not frame.function or frame.function.startswith("<") or not chunk.name)):
                    exact.add(document)
            for document in documents:
                value = strength * (1.0 if document in exact else _FILE_ONLY) / len(files)
                if value > values.get(document, 0.0):
                    values[document] = value
                    reasons[document] = f"stack frame {frame.path}:{frame.line}"
        strength *= _FADE
    return some(values, lambda document: reasons.get(document, ""))
