"""Keeps the index of a folder on disk, so that a process does not read and embed again what has not changed.

A file is only read back for the same state of the folder, the same model and the same version of this package's
reading; any other, and one that is broken, is made anew. Nothing in it is executed: arrays and JSON alone.
"""

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from assets.research.records import Passage
from core.embedding import Embedder

VERSION = 1
"""Raised when documents are read or cut in another way."""
MOST_KEPT = 32
"""Files in a folder of indexes; the oldest ones above are deleted. A corpus has one for each model, its last."""
_PASSAGES = TypeAdapter(list[Passage])


@dataclass(frozen=True)
class Kept:
    """What was read of a folder. `vectors` has a row for each passage, and is None without a model."""

    passages: list[Passage]
    vectors: NDArray[np.float32] | None
    documents: int
    problems: tuple[str, ...]


def mark(name: str, root: Path, files: Iterable[Path], embedder: Embedder | None) -> str:
    """Of which corpus and model it is, then a hash that changes with every file and with how documents are read."""
    whose = hashlib.sha256(json.dumps([name, str(root), embedder.identity if embedder else ""]).encode()).hexdigest()
    digest = hashlib.sha256(f"{VERSION}".encode())
    for path in files:
        try:
            stat = path.stat()
        except OSError:
            continue
        digest.update(f"\0{path}\0{stat.st_size}\0{stat.st_mtime_ns}".encode("utf-8", "surrogateescape"))
    return f"{whose[:16]}-{digest.hexdigest()}"


def load(folder: Path, key: str) -> Kept | None:
    """What is kept under a mark; None if there is nothing that can be read."""
    try:
        with np.load(folder / f"{key}.npz", allow_pickle=False) as found:
            facts = json.loads(bytes(found["facts"]))
            vectors = np.asarray(found["vectors"], dtype=np.float32) if "vectors" in found else None
        passages = _PASSAGES.validate_python(facts["passages"])
        if vectors is not None and len(vectors) != len(passages):
            return None
        return Kept(passages, vectors, int(facts["documents"]), tuple(map(str, facts["problems"])))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, ValidationError):
        return None


def store(folder: Path, key: str, kept: Kept) -> None:
    """Keeps an index in place of the corpus's last one, so that what was deleted from it is not kept. A folder that
    cannot be written keeps none. A reader sees all of a file or nothing."""
    facts = {
        "passages": _PASSAGES.dump_python(kept.passages, mode="json"),
        "documents": kept.documents,
        "problems": kept.problems,
    }
    arrays: dict[str, NDArray[Any]] = {
        "facts": np.frombuffer(json.dumps(facts).encode("utf-8", "replace"), dtype=np.uint8)
    }
    if kept.vectors is not None:
        arrays["vectors"] = kept.vectors
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, place = tempfile.mkstemp(dir=folder, suffix=".new")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            Path(place).replace(folder / f"{key}.npz")
        finally:
            Path(place).unlink(missing_ok=True)
        before = [one for one in folder.glob(f"{key.partition('-')[0]}-*.npz") if one.stem != key]
        for old in [*before, *sorted(folder.glob("*.npz"), key=lambda one: one.stat().st_mtime)[:-MOST_KEPT]]:
            old.unlink(missing_ok=True)
    except OSError:
        return
