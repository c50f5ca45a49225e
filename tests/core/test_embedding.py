import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.embedding import BUILT_IN, Embedder, EmbedderUnavailable, open_embedder
from core.embedding.hashing import HashingEmbedder
from core.embedding.wordllama import WordLlamaEmbedder

EMBEDDERS: dict[str, Embedder] = {name: open_embedder(name) for name in BUILT_IN}

TEXTS = [
    "parse a date from a string",
    "def parse_date(text: str) -> date:\n    return date.fromisoformat(text)",
    "Größe der Datei 文件大小 🙂",
    "x",
    "connection pool timeout",
]


@pytest.fixture(params=list(BUILT_IN))
def embedder(request: pytest.FixtureRequest) -> Embedder:
    return EMBEDDERS[request.param]


def test_documents_become_one_float32_row_each(embedder: Embedder) -> None:
    vectors = embedder.embed_documents(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.dimensions)
    assert vectors.dtype == np.float32
    assert embedder.embed_query(TEXTS[0]).shape == (embedder.dimensions,)
    assert embedder.embed_documents([]).shape == (0, embedder.dimensions)


def test_vectors_have_unit_length(embedder: Embedder) -> None:
    assert np.allclose(np.linalg.norm(embedder.embed_documents(TEXTS), axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("text", ["", "   \n\t "])
def test_a_text_without_words_is_all_zeros(embedder: Embedder, text: str) -> None:
    vectors = embedder.embed_documents(["a word", text])
    assert not vectors[1].any()
    assert vectors[0].any()


def test_the_order_of_texts_is_kept_and_batches_do_not_matter(embedder: Embedder) -> None:
    together = embedder.embed_documents([*TEXTS, "long " * 600])
    assert np.allclose(together[::-1], embedder.embed_documents(["long " * 600, *TEXTS[::-1]]), atol=1e-6)
    alone = np.stack([embedder.embed_query(text) for text in TEXTS])
    assert np.allclose(together[: len(TEXTS)], alone, atol=1e-6)


def test_input_is_not_changed(embedder: Embedder) -> None:
    texts: Sequence[str] = list(TEXTS)
    embedder.embed_documents(texts)
    assert texts == TEXTS


def test_text_beyond_the_longest_is_ignored(embedder: Embedder) -> None:
    long = "alpha beta gamma " * embedder.max_tokens
    assert np.array_equal(embedder.embed_query(long), embedder.embed_query(long + "delta " * 1000))


def test_wordllama_counts_tokens_not_words() -> None:
    long = "internationalization " * 400
    assert np.allclose(
        EMBEDDERS["wordllama"].embed_query(long), EMBEDDERS["wordllama"].embed_query(long + "delta " * 100), atol=1e-6
    )


def test_related_texts_are_closer_than_unrelated_ones(embedder: Embedder) -> None:
    query = embedder.embed_query("parsing dates")
    near, far = embedder.embed_documents(["def parse_date(text): read a date", "close the socket connection"])
    assert query @ near > query @ far


def test_two_processes_agree_on_vectors_and_identity(embedder: Embedder) -> None:
    name = next(name for name, other in EMBEDDERS.items() if other is embedder)
    code = (
        "import sys; from core.embedding import open_embedder; e = open_embedder(sys.argv[1]); "
        "print(e.identity); print(e.embed_query('parse_date Größe').tobytes().hex())"
    )
    out = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, check=True).stdout.split()
    assert out[0] == embedder.identity
    assert out[1] == embedder.embed_query("parse_date Größe").tobytes().hex()


@settings(deadline=None, max_examples=40)
@given(texts=st.lists(st.text(st.characters(), max_size=40), max_size=5))
def test_any_text_at_all_can_be_embedded(texts: list[str]) -> None:
    for embedder in EMBEDDERS.values():
        vectors = embedder.embed_documents(texts)
        assert vectors.shape == (len(texts), embedder.dimensions)
        assert np.isfinite(vectors).all()


def test_identities_name_model_width_and_digest() -> None:
    identities = {embedder.identity for embedder in EMBEDDERS.values()}
    assert len(identities) == len(BUILT_IN)
    for embedder in EMBEDDERS.values():
        assert f"-{embedder.dimensions}@sha256:" in embedder.identity
    assert HashingEmbedder(64).identity != HashingEmbedder(128).identity


def test_wordllama_gives_the_vectors_of_its_own_package() -> None:
    import wordllama  # type: ignore[import-untyped]
    from wordllama import WordLlama

    package = WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    texts = [" ".join(text.split()) for text in TEXTS]
    assert np.allclose(EMBEDDERS["wordllama"].embed_documents(texts), package.embed(texts, norm=True), atol=1e-5)


def test_wordllama_forgets_words_without_changing_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.embedding.wordllama._CACHED_WORDS", 3)
    small = WordLlamaEmbedder()
    for text in TEXTS * 2:
        assert np.allclose(small.embed_query(text), EMBEDDERS["wordllama"].embed_query(text), atol=1e-6)


def test_the_error_about_missing_weights_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = WordLlamaEmbedder()
    monkeypatch.setattr(broken, "_folder", tmp_path)
    with pytest.raises(EmbedderUnavailable, match="reinstall wordllama"):
        broken.embed_query("x")


def test_the_error_about_an_unknown_model_names_the_known_ones() -> None:
    with pytest.raises(EmbedderUnavailable, match="wordllama, hashing"):
        open_embedder("gpt")


def test_opening_a_model_loads_nothing() -> None:
    code = (
        "import sys; from core.embedding import open_embedder; open_embedder('wordllama'); "
        "sys.exit(any(m in sys.modules for m in ('tokenizers', 'wordllama', 'requests')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
