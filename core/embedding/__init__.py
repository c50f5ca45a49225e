"""Embedding models behind one protocol; `open_embedder` makes one by its name, `open_spec` by its description."""

from pathlib import Path

from core.embedding.protocol import Embedder, EmbedderUnavailable, Vectors, WrongAnswer
from core.embedding.spec import BUILT_IN, BuiltIn, OnnxFile, Served, described, find_spec

__all__ = [
    "BUILT_IN",
    "BuiltIn",
    "Embedder",
    "EmbedderUnavailable",
    "OnnxFile",
    "Served",
    "Vectors",
    "WrongAnswer",
    "described",
    "find_spec",
    "open_embedder",
    "open_spec",
]


def open_embedder(name: str, folder: Path | None = None, *, threads: int = 0) -> Embedder:
    """The model called `name`, built in or described in `folder`; its weights are loaded at first use.

    `folder` is `Settings.models_folder`; by default that of the cache. Raises `EmbedderUnavailable`.
    """
    return open_spec(find_spec(name, folder or Path("~/.cache/penstock/models").expanduser()), threads=threads)


def open_spec(spec: BuiltIn | OnnxFile | Served, *, threads: int = 0) -> Embedder:
    """The described model. `threads` bounds the cores that a local one uses (0: all). Raises `EmbedderUnavailable`."""
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
