"""The elements of a `text[]` in Postgres's binary form. A module of its own, so that the processes that cut files,
which create them, import nothing else of the database."""

import struct
from collections.abc import Sequence

_SIZE = struct.Struct(">i")


def sized(values: Sequence[str]) -> bytes:
    """Each value preceded by its size in bytes. The results for several lists may be concatenated."""
    encoded = [value.encode() for value in values]
    parts = [b""] * (2 * len(encoded))
    parts[::2] = map(_SIZE.pack, map(len, encoded))
    parts[1::2] = encoded
    return b"".join(parts)
