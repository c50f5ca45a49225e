"""Checks of what every embedding model must do, which anyone can run against their own adapter.

Each check takes a function without arguments that opens the model. It raises `ConformanceFailure` with what it
observed. Not for a model's quality: the retrieval evals measure that.
"""

import re
import threading
from collections.abc import Callable

import numpy as np

from core.conformance import ConformanceFailure, require, require_in_fork
from core.embedding import known_answers
from core.embedding.protocol import Embedder, Vectors

OpenEmbedder = Callable[[], Embedder]
Check = Callable[[OpenEmbedder], None]

TEXTS = (
    "parse a date from a string",
    "def parse_date(text: str) -> date:\n    return date.fromisoformat(text)",
    "Größe der Datei 文件大小 🙂",
    "x",
    "connection pool timeout " * 12,
)
ROUNDING = 1e-4
"""Largest difference per component between two vectors of one text, since sums may run in another order."""


def check_shapes(open_embedder: OpenEmbedder) -> None:
    """Documents give one float32 row for each text, and no rows without texts. A query gives one row."""
    embedder = open_embedder()
    for texts in (TEXTS, TEXTS[:1], ()):
        vectors = embedder.embed_documents(texts)
        require(vectors.shape == (len(texts), embedder.dimensions), f"{len(texts)} texts gave {vectors.shape}")
        require(vectors.dtype == np.float32, f"vectors are {vectors.dtype}")
    require(embedder.embed_query("x").shape == (embedder.dimensions,), "a query is not one row")


def check_unit_length(open_embedder: OpenEmbedder) -> None:
    """The vectors of documents and queries with words have length 1."""
    embedder = open_embedder()
    vectors = np.vstack([embedder.embed_documents(TEXTS), embedder.embed_query(TEXTS[0])])
    lengths = np.linalg.norm(vectors, axis=1)
    require(bool(np.allclose(lengths, 1, atol=1e-4)), f"lengths are {lengths}")


def check_blank_text(open_embedder: OpenEmbedder) -> None:
    """The vector of a text without words is all zeros, as document and as query, and leaves the rest of its batch
    unchanged."""
    embedder = open_embedder()
    for blank in ("", "  \n\t "):
        vectors = embedder.embed_documents([blank, "a word", blank])
        require(not vectors[[0, 2]].any(), f"{blank!r} is not all zeros")
        require(_near(vectors[1], embedder.embed_documents(["a word"])[0]), f"{blank!r} changes its neighbour")
        require(not embedder.embed_query(blank).any(), f"the query {blank!r} is not all zeros")


def check_order_and_batches(open_embedder: OpenEmbedder) -> None:
    """A text's vector does not depend on its position or on the rest of the batch. The input is not modified."""
    embedder = open_embedder()
    texts = [f"{text} {number}" for number in range(8) for text in TEXTS]
    kept = list(texts)
    together = embedder.embed_documents(texts)
    require(texts == kept, "the input was changed")
    backwards = embedder.embed_documents(texts[::-1])[::-1]
    require(_near(together, backwards), f"order matters, by {np.abs(together - backwards).max():.2g}")
    for place in (0, 3, 17, len(texts) - 1):
        alone = embedder.embed_documents([texts[place]])[0]
        require(_near(together[place], alone), f"batches matter, by {np.abs(together[place] - alone).max():.2g}")


def check_long_text(open_embedder: OpenEmbedder) -> None:
    """Text beyond `max_tokens` is ignored, not an error."""
    embedder = open_embedder()
    long = "alpha beta gamma " * embedder.max_tokens
    base, more = embedder.embed_documents([long, long + "delta epsilon " * 500])
    require(_near(base, more), "text beyond max_tokens changes the vector")


def check_any_text(open_embedder: OpenEmbedder) -> None:
    """Control characters, lone surrogates, one very long word and other unusual texts give finite vectors."""
    embedder = open_embedder()
    odd = [
        "\x00",
        "a\x00b",
        "\ud800 lone",
        "\u202e\u200b",
        "z" * 20_000,
        "\N{PILE OF POO}" * 50,
        "<s> [CLS] </s>",
        "\n.\n",
    ]
    vectors = embedder.embed_documents(odd)
    require(bool(np.isfinite(vectors).all()), "a vector is not finite")
    lengths = np.linalg.norm(vectors, axis=1)
    require(bool((np.isclose(lengths, 1, atol=1e-3) | (lengths == 0)).all()), f"lengths are {lengths}")


def check_sense(open_embedder: OpenEmbedder) -> None:
    """A query is closer to a text about the same subject than to one about another subject."""
    embedder = open_embedder()
    query = embedder.embed_query("parsing dates")
    near, far = embedder.embed_documents(["def parse_date(text): read a date", "close the socket connection"])
    require(float(query @ near) > float(query @ far), f"{query @ near:.3f} is not above {query @ far:.3f}")


def check_identity(open_embedder: OpenEmbedder) -> None:
    """Two instances have the same identity and vectors. The identity contains the width and a digest."""
    one, other = open_embedder(), open_embedder()
    require(one.identity == other.identity, f"{one.identity} and {other.identity}")
    wanted = rf"[a-z0-9][a-zA-Z0-9._:/-]*-{one.dimensions}@sha256:[0-9a-f]{{16}}"
    require(re.fullmatch(wanted, one.identity) is not None, f"the identity {one.identity} is not {wanted}")
    require(_near(one.embed_documents(TEXTS), other.embed_documents(TEXTS)), "two instances give other vectors")


def check_known_answers(open_embedder: OpenEmbedder) -> None:
    """The known answers of one instance verify another instance, and different answers are rejected."""
    stored = known_answers.ask(open_embedder())
    known_answers.check(open_embedder(), stored)
    for changed in (stored[::-1], np.roll(stored, 1, axis=1)):
        try:
            known_answers.check(open_embedder(), changed)
        except RuntimeError:
            continue
        raise ConformanceFailure("different answers were accepted as the known ones")


def check_threads(open_embedder: OpenEmbedder) -> None:
    """Several threads may use one instance simultaneously."""
    embedder = open_embedder()
    expected = embedder.embed_documents(TEXTS)
    results: list[Vectors] = []
    threads = [threading.Thread(target=lambda: results.append(embedder.embed_documents(TEXTS))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    require(len(results) == 4 and all(_near(expected, found) for found in results), "threads disturb each other")


def check_fork(open_embedder: OpenEmbedder) -> None:
    """A process forked after the first use can embed too."""
    embedder = open_embedder()
    expected = embedder.embed_query(TEXTS[0])
    require_in_fork(lambda: _near(embedder.embed_query(TEXTS[0]), expected))


CHECKS: tuple[Check, ...] = (
    check_shapes,
    check_unit_length,
    check_blank_text,
    check_order_and_batches,
    check_long_text,
    check_any_text,
    check_sense,
    check_identity,
    check_known_answers,
    check_threads,
    check_fork,
)


def _near(one: Vectors, other: Vectors) -> bool:
    return bool(np.allclose(one, other, atol=ROUNDING))
