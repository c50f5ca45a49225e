"""Converts numpy arrays to and from Postgres's binary form as a whole, instead of value by value.

Form of arrays: https://github.com/postgres/postgres/blob/REL_18_STABLE/src/backend/utils/adt/arrayfuncs.c
(`array_recv`); of a vector: https://github.com/pgvector/pgvector/blob/v0.8.0/src/vector.c (`vector_recv`).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import BaseConnection, pq
from psycopg.abc import AdaptContext
from psycopg.adapt import Dumper

from assets.context.store.elements import sized
from core.embedding import Vectors

_INT4, _INT8, _TEXT, _BYTEA = 23, 20, 25, 17
_HEADER = 20
"""Bytes before the elements of an array of one dimension."""


class Binary:
    """A parameter already in binary form; the statement must cast it to its type."""

    def __init__(self, content: bytes) -> None:
        self.content = content


class _BinaryDumper(Dumper):
    format = pq.Format.BINARY
    oid = 0

    def dump(self, obj: Binary) -> bytes:
        return obj.content


def register(context: AdaptContext) -> None:
    """Makes a connection accept `Binary` parameters."""
    context.adapters.register_dumper(Binary, _BinaryDumper)


def integers(values: Sequence[int] | NDArray[np.int64]) -> Binary:
    """`integer[]`."""
    return _numbers(np.asarray(values, dtype=">i4"), _INT4)


def bigints(values: Sequence[int] | NDArray[np.int64]) -> Binary:
    """`bigint[]`."""
    return _numbers(np.asarray(values, dtype=">i8"), _INT8)


def _numbers(values: NDArray[np.signedinteger], element: int) -> Binary:
    rows = np.empty(len(values), dtype=[("size", ">i4"), ("value", values.dtype)])
    rows["size"], rows["value"] = values.dtype.itemsize, values
    return _array([rows.tobytes()], len(rows), element)


def texts(values: Sequence[str]) -> Binary:
    """`text[]`."""
    return sized_texts(sized(values), len(values))


def sized_texts(elements: bytes | bytearray, count: int) -> Binary:
    """`text[]` of `count` elements that were packed by `assets.context.store.elements.sized`."""
    return _array([elements], count, _TEXT)


def rows(content: bytes, ends: NDArray[np.int64], size: int) -> Binary:
    """`bytea[]`: `content` is rows of `size` bytes (a multiple of 4); element n holds rows `ends[n-1]` to `ends[n]`."""
    quads = np.frombuffer(content, "<u4")
    sizes = np.diff(ends, prepend=0) * (size // 4)
    out = np.empty(len(quads) + len(ends), dtype="<u4")
    is_size = np.zeros(len(out), dtype=bool)
    is_size[np.cumsum(sizes) - sizes + np.arange(len(ends))] = True
    out[is_size] = (4 * sizes).astype(">i4").view("<u4")
    out[~is_size] = quads
    return _array([out.tobytes()], len(ends), _BYTEA)


def vectors(values: Vectors, connection: BaseConnection[Any]) -> Binary:
    """`vector[]` from shape (count, width). The connection must come from `core.database`, which registers the type."""
    count, width = values.shape
    rows = np.zeros(count, dtype=[("size", ">i4"), ("width", ">i2"), ("unused", ">i2"), ("values", ">f4", (width,))])
    rows["size"], rows["width"], rows["values"] = 4 + 4 * width, width, values
    return _array([rows.tobytes()], len(rows), connection.adapters.types["vector"].oid)


def _array(elements: Iterable[bytes | bytearray], count: int, element: int) -> Binary:
    header = np.array([1 if count else 0, 0, element], dtype=">u4").tobytes()
    bounds = np.array([count, 1], dtype=">u4").tobytes() if count else b""
    return Binary(b"".join((header, bounds, *elements)))


def received(sent: bytes | None, element: str) -> NDArray[Any]:
    """The elements of an array without nulls, in the form that `array_send` returns (None: an empty array).
    `element` is their numpy type, such as `>i8`."""
    kind = np.dtype([("size", ">i4"), ("value", element)])
    return np.frombuffer(sent or b"", dtype=kind, offset=_HEADER if sent else 0)["value"]


def received_vectors(sent: Sequence[bytes]) -> Vectors:
    """Shape (vectors, width) from what `vector_send` returns for each; shape (0, 0) for none. Creating one pgvector
    object per vector takes ten times as long."""
    numbers = np.frombuffer(b"".join(sent), dtype=">f4").reshape(len(sent), -1 if sent else 1)
    found: Vectors = numbers[:, 1:].astype(np.float32)  # the first four bytes are the width and an unused field
    return found
