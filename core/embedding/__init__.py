"""Embedding models behind one protocol; `open_embedder` makes one by its name in the settings."""

from core.embedding.protocol import Embedder, EmbedderUnavailable, Vectors

__all__ = ["MODELS", "Embedder", "EmbedderUnavailable", "Vectors", "open_embedder"]

MODELS = ("wordllama", "hashing")


def open_embedder(name: str) -> Embedder:
    """The model called `name` (one of `MODELS`); its weights are loaded at first use. Raises `EmbedderUnavailable`."""
    if name == "wordllama":
        from core.embedding.wordllama import WordLlamaEmbedder

        return WordLlamaEmbedder()
    if name == "hashing":
        from core.embedding.hashing import HashingEmbedder

        return HashingEmbedder()
    raise EmbedderUnavailable(f"no embedding model {name!r}; there are: {', '.join(MODELS)}")
