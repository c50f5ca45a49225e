"""Embedding models behind one protocol. `open_embedder` opens one by name, `open_spec` by description."""

from pathlib import Path

from core.embedding.protocol import (
    Embedded,
    Embedder,
    EmbedderUnavailable,
    TextsRefused,
    Vectors,
    WrongAnswer,
    embed_most,
    refuses_too_many,
)
from core.embedding.spec import BUILT_IN, BuiltIn, OnnxFile, Served, described, find_spec

__all__ = [
    "BUILT_IN",
    "BuiltIn",
    "Embedded",
    "Embedder",
    "EmbedderUnavailable",
    "OnnxFile",
    "Served",
    "TextsRefused",
    "Vectors",
    "WrongAnswer",
    "described",
    "embed_most",
    "find_spec",
    "open_embedder",
    "open_spec",
    "refuses_too_many",
]


def open_embedder(name: str, folder: Path | None = None, *, threads: int = 0) -> Embedder:
    """The model called `name`, built in or described in `folder`. Its weights are loaded at first use.

    `folder` is `Settings.models_folder`, by default the folder in Penstock's cache. Raises `EmbedderUnavailable`.
    """
    return open_spec(find_spec(name, folder or Path("~/.cache/penstock/models").expanduser()), threads=threads)


def open_spec(spec: BuiltIn | OnnxFile | Served, *, threads: int = 0) -> Embedder:
    """The described model. `threads` limits the cores of a local one (0: all). Raises `EmbedderUnavailable`."""
    if spec.provider == "wordllama":
        from core.embedding.wordllama import WordLlamaEmbedder

        return WordLlamaEmbedder()
    if spec.provider == "hashing":
        from core.embedding.hashing import HashingEmbedder

        return HashingEmbedder(spec.dimensions)
    if isinstance(spec, OnnxFile):
        from core.embedding.onnx import OnnxEmbedder

        return OnnxEmbedder(spec, threads=threads)
    from core.embedding.served import ServedEmbedder

    return ServedEmbedder(spec)
