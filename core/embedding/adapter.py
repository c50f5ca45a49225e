"""A linear map from the query space of one embedding model to the document space of another, and where it is kept.

It lets the model that a migration builds answer for the old one while the old one's server is away. Learned
and judged in `assets.migrations`; here it is only applied, stored by version, and read back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow, class_row
from psycopg.types.json import Jsonb

from core.embedding.protocol import Vectors, WrongAnswer, unit_rows

MOST_NUMBERS = 1 << 24
"""Of a matrix, 64 MB: both models may be 4,096 wide."""
KEPT_VERSIONS = 5
_COLUMNS = "id, old_model, new_model, use, kind, reason, covered, evaluation, seconds, trained_at"
_VERSIONS = f"SELECT {_COLUMNS} FROM embedding_adapters WHERE old_model = %s AND new_model = %s ORDER BY id DESC"  # noqa: S608
_INSERT = (
    "INSERT INTO embedding_adapters (old_model, new_model, use, kind, matrix, bias, reason, covered, evaluation, "  # noqa: S608
    f"seconds) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING {_COLUMNS}"
)


class Use(StrEnum):
    """What answers a query while the old model's server is away."""

    ADAPTER = "adapter"
    COVERED = "covered"
    """The new model, over what it covers so far."""
    NOTHING = "nothing"
    """No vectors: words, names and paths alone."""


@dataclass(frozen=True, slots=True)
class LinearMap:
    """`unit(vector @ matrix + offset)`; shapes (source width, target width) and (target width,), float32.

    Raises `ValueError` for shapes that do not fit each other and for numbers that are not finite.
    """

    kind: str
    matrix: Vectors
    offset: Vectors

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or self.offset.shape != self.matrix.shape[1:] or self.matrix.size > MOST_NUMBERS:
            raise ValueError(f"a map of {self.matrix.shape} with an offset of {self.offset.shape} cannot be used")
        if not (np.isfinite(self.matrix).all() and np.isfinite(self.offset).all()):
            raise ValueError("a map holds a number that is not finite")

    def apply(self, vectors: Vectors) -> Vectors:
        """Shape (n, source width) to (n, target width), or one vector to one; zeros stay zeros.

        Raises `WrongAnswer` for vectors of another width.
        """
        rows = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
        if rows.shape[1] != self.matrix.shape[0]:
            raise WrongAnswer(f"the adapter takes vectors of width {self.matrix.shape[0]}, not {rows.shape[1]}")
        mapped = unit_rows((rows @ self.matrix + self.offset).astype(np.float32))
        mapped[~rows.any(axis=1)] = 0.0
        return mapped[0] if np.ndim(vectors) == 1 else mapped


@dataclass(frozen=True, slots=True)
class AdapterRow:
    """One version: what was decided between two models of the catalogue, and from what.

    `covered` is the share of the chunks that the new model covered then, `seconds` what it took. `kind` is that of
    the map, "" where none was made. `evaluation` is the table that a person sees.
    """

    id: int
    old_model: int
    new_model: int
    use: str
    kind: str
    reason: str
    covered: float
    evaluation: dict[str, Any]
    seconds: float
    trained_at: datetime


def keep(
    connection: Connection[TupleRow],
    old_model: int,
    new_model: int,
    use: Use,
    reason: str,
    *,
    found: LinearMap | None = None,
    covered: float = 0.0,
    evaluation: dict[str, Any] | None = None,
    seconds: float = 0.0,
) -> AdapterRow:
    """Writes a version, which counts from its commit on; the newest `KEPT_VERSIONS` of a pair of models stay."""
    matrix = found.matrix.astype("<f4").tobytes() if found else None
    offset = found.offset.astype("<f4").tobytes() if found else None
    with connection.cursor(row_factory=class_row(AdapterRow)) as cursor:
        made = cursor.execute(
            _INSERT,
            (
                old_model,
                new_model,
                use,
                found.kind if found else "",
                matrix,
                offset,
                reason,
                covered,
                Jsonb(evaluation or {}),
                seconds,
            ),
        ).fetchone()
    connection.execute(
        "DELETE FROM embedding_adapters WHERE old_model = %(old)s AND new_model = %(new)s AND id < (SELECT min(id) "
        "FROM (SELECT id FROM embedding_adapters WHERE old_model = %(old)s AND new_model = %(new)s "
        "ORDER BY id DESC LIMIT %(kept)s) newest)",
        {"old": old_model, "new": new_model, "kept": KEPT_VERSIONS},
    )
    if made is None:
        raise LookupError("the new adapter's number did not come back")
    return made


def newest(connection: Connection[TupleRow], old_model: int, new_model: int) -> AdapterRow | None:
    """The version that counts for a pair of models, if one was ever made."""
    with connection.cursor(row_factory=class_row(AdapterRow)) as cursor:
        return cursor.execute(f"{_VERSIONS} LIMIT 1", (old_model, new_model)).fetchone()


def versions(connection: Connection[TupleRow], old_model: int, new_model: int) -> list[AdapterRow]:
    """Those that are kept, newest first."""
    with connection.cursor(row_factory=class_row(AdapterRow)) as cursor:
        return cursor.execute(_VERSIONS, (old_model, new_model)).fetchall()


def in_force(
    connection: Connection[TupleRow], old_models: Sequence[int], new_models: Sequence[int]
) -> list[tuple[int, int, int, Use]]:
    """(version, old model, new model, use) of the newest version of each of these pairs."""
    if not old_models or not new_models:
        return []
    rows = connection.execute(
        "SELECT DISTINCT ON (old_model, new_model) id, old_model, new_model, use FROM embedding_adapters "
        "WHERE old_model = ANY(%s) AND new_model = ANY(%s) ORDER BY old_model, new_model, id DESC",
        (list(old_models), list(new_models)),
    ).fetchall()
    return [(row[0], row[1], row[2], Use(row[3])) for row in rows]


def read_map(connection: Connection[TupleRow], number: int) -> LinearMap | None:
    """The map of a version; None when it has none or is gone. Raises `ValueError` for one that is damaged."""
    row = connection.execute(
        "SELECT a.kind, a.matrix, a.bias, n.dimensions, o.dimensions FROM embedding_adapters a "
        "JOIN embedding_models o ON o.id = a.old_model JOIN embedding_models n ON n.id = a.new_model WHERE a.id = %s",
        (number,),
    ).fetchone()
    if row is None or row[1] is None:
        return None
    matrix: Vectors = np.frombuffer(row[1], dtype="<f4").reshape(row[3], row[4])
    offset: Vectors = np.frombuffer(row[2], dtype="<f4")
    return LinearMap(row[0], matrix, offset)
