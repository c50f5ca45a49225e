"""Which candidates are the same change: equal once parsed, so that formatting and comments are gone."""

import ast
import hashlib
from collections.abc import Mapping

from assets.executions.engines.protocol import Candidate
from assets.executions.engines.search.source import SourceFile


def normal_form(candidate: Candidate, sources: Mapping[str, SourceFile]) -> str:
    """A digest of the changed files as syntax trees; of the text where a file is no Python or does not parse."""
    try:
        return _form(candidate.files(sources))
    except ValueError:  # edits overlap
        return hashlib.sha256(repr(candidate.key).encode("utf-8", "surrogatepass")).hexdigest()


def changes_program(candidate: Candidate, sources: Mapping[str, SourceFile]) -> bool:
    """Whether more than formatting and comments is different."""
    return normal_form(candidate, sources) != _form(candidate.before(sources))


def _form(files: Mapping[str, str | None]) -> str:
    found = hashlib.sha256()
    for path, text in sorted(files.items()):
        said = "not there" if text is None else f"text {_tree(text) if path.endswith('.py') else text}"
        found.update(repr((path, said)).encode("utf-8", "surrogatepass"))
    return found.hexdigest()


def _tree(text: str) -> str:
    try:
        return ast.dump(ast.parse(text.removeprefix("\ufeff")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text
