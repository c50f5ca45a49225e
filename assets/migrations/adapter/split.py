"""Which queries an adapter may learn from, which choose among maps, and which are held back to judge it.

By file, so that what is learned from says nothing of the files that held-back queries look for; a text that
is among the held-back is never learned from, however often it was asked.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from assets.migrations.gate.queries import JudgedQuery

FIT_SHARE, CHOOSE_SHARE = 0.15, 0.25
MOST_FIT = 400


@dataclass(frozen=True, slots=True)
class Split:
    """`fit` are texts for query pairs; `choose` and `held_back` have known answers and share no file."""

    fit: tuple[str, ...]
    choose: tuple[JudgedQuery, ...]
    held_back: tuple[JudgedQuery, ...]

    @property
    def texts(self) -> list[str]:
        """Every text once."""
        judged = [query.text for query in (*self.choose, *self.held_back)]
        return list(dict.fromkeys([*judged, *self.fit]))

    @property
    def sizes(self) -> dict[str, Sequence[object]]:
        return {"fit": self.fit, "choose": self.choose, "held_back": self.held_back}


def split(judged: Sequence[JudgedQuery], asked: Sequence[str]) -> Split:
    """Stable: a file's part depends on its name alone. Queries about files of two parts belong to neither, but the
    part that is judged with takes precedence."""
    parts: dict[str, list[JudgedQuery]] = {"fit": [], "choose": [], "held": []}
    for query in judged:
        parts[_part(query.cluster)].append(query)
    held = tuple(parts["held"])
    held_files = _files(held)
    choose = tuple(query for query in parts["choose"] if not _files([query]) & held_files)
    taken = held_files | _files(choose)
    seen = {_plain(query.text) for query in (*choose, *held)}
    fit = [query.text for query in parts["fit"] if not _files([query]) & taken] + list(asked)
    distinct = [text for text in dict.fromkeys(fit) if _plain(text) not in seen]
    return Split(tuple(distinct[:MOST_FIT]), choose, held)


def _part(cluster: str) -> str:
    share = int.from_bytes(hashlib.sha256(cluster.encode("utf-8", "replace")).digest()[:4], "big") / 2**32
    return "fit" if share < FIT_SHARE else "choose" if share < FIT_SHARE + CHOOSE_SHARE else "held"


def _files(queries: Sequence[JudgedQuery]) -> set[tuple[object, str, str]]:
    return {(query.team_id, query.source, path) for query in queries for path in query.relevant}


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
