"""The role of a file: tests, documents and data rank below the sources that a repair would change.

A document or example whose path is in the first line is not lowered, and a test only half as much, since its path
may only say where something fails. Further down in a text, paths are often a list of other changes.
"""

import re
from functools import lru_cache
from pathlib import PurePosixPath

import numpy as np

from assets.context.ranking.index import Index
from assets.context.ranking.query import Query
from assets.context.ranking.signals.paths import match_files
from assets.context.ranking.signals.scores import Scores

_TEST_FOLDERS = frozenset({"test", "tests", "testing", "__tests__", "spec", "specs"})
_TEST_FILE = re.compile(r"^(test_.*|.*_test|conftest|.*[.-](test|spec))$")
_CODE = re.compile(
    r"\.(pyi?|pyx|[cm]?[jt]sx?|go|java|kt|rs|c|h|cc|cpp|hpp|cs|rb|php|swift|scala|sh|sql|lua|exs?)$", re.IGNORECASE
)
_ROLES = {"test": -0.9, "document or data": -1.0, "example": -0.6}
_NAMED = {"test": -0.45}
"""For files whose path is in the first line."""


@lru_cache(maxsize=1 << 17)
def role_of(path: str) -> str | None:
    """`test`, `example`, `document or data`, or None for a source file."""
    pure = PurePosixPath(path)
    folders = {part.lower() for part in pure.parts[:-1]}
    if folders & _TEST_FOLDERS or _TEST_FILE.match(pure.stem.lower()):
        return "test"
    if not _CODE.search(path):
        return "document or data"
    return "example" if folders & {"examples", "example", "docs", "doc", "benchmarks"} else None


def score(query: Query, index: Index) -> Scores:
    manifest = index.manifest
    by_file = manifest.once(
        "roles", lambda: np.array([_ROLES.get(role_of(path) or "", 0.0) for path in manifest.paths])
    )
    title = query.text.lstrip().partition("\n")[0]
    named = {file for path in query.paths if path in title for file in match_files(path, manifest)}
    if named:
        by_file = by_file.copy()
        for file in named:
            by_file[file] = _NAMED.get(role_of(manifest.paths[file]) or "", 0.0)
    return Scores(
        by_file,
        lambda document: f"a {role_of(manifest.paths[int(manifest.file_of[document])])}, not source code",
        of_files=True,
    )
