"""Places at fault as a model names them, and what of that exists in the repository."""

import ast
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from assets.executions.engines.search.source import SourceFile

MOST = 5
_READ = 20
"""Places that are looked at in an answer."""
_AROUND = 3
"""Lines before and after one that is named without a function, which belong to the place too."""
MOST_LINES = 200


class Place(BaseModel):
    model_config = ConfigDict(frozen=True)

    path: str = Field(max_length=1000, description="A file, relative to the repository's root.")
    function: str = Field(default="", max_length=300, description="A function or Class.method in it; empty if none.")
    line: int = Field(default=0, ge=0, description="A line in it, from 1; 0 if none.")


class Places(BaseModel):
    """`known` is false when the model does not know."""

    model_config = ConfigDict(frozen=True)

    known: bool = Field(description="False if you do not know.")
    places: tuple[Place, ...] = Field(default=(), description="The likeliest first.")


def lines_of(answer: Places, sources: Mapping[str, SourceFile]) -> tuple[dict[str, set[int]], list[str]]:
    """The lines of the first `MOST` places that exist, by path, and those that do not exist as text. A function that is
    not there is dropped with its line; a line that is not in the function that is named with it is ignored."""
    found: dict[str, set[int]] = {}
    unknown: list[str] = []
    kept = 0
    for place in answer.places[:_READ] if answer.known else ():
        lines = _lines(place, sources)
        if not lines:
            unknown.append(f"{place.path}:{place.line} {place.function}"[:200])
        elif kept < MOST:
            kept += 1
            found.setdefault(place.path, set()).update(lines)
    return found, unknown


def _lines(place: Place, sources: Mapping[str, SourceFile]) -> set[int]:
    source = sources.get(place.path)
    if source is None:
        return set()
    if not place.function.strip():
        near = range(max(1, place.line - _AROUND), min(source.lines, place.line + _AROUND) + 1)
        return set(near) if 1 <= place.line <= source.lines else set()
    wanted = place.function.strip().removesuffix("()").split(".")[-2:]
    spans = [
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and source.symbol_at(node.lineno).split(".")[-len(wanted) :] == wanted
    ]
    inside = [span for span in spans if span[0] <= place.line <= span[1]] or spans
    return {line for first, last in inside for line in range(first, min(last, first + MOST_LINES) + 1)}
