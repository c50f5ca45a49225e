"""Every adapter of embedding models keeps every promise: built in, ONNX files, and both kinds of server."""

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.conformance import ConformanceFailure
from core.embedding import Embedder, Served, Vectors, conformance, known_answers, open_embedder, open_spec
from core.embedding.conformance import CHECKS, Check
from core.embedding.hashing import HashingEmbedder
from core.settings import load_settings

ONNX = ("all-minilm-l6-v2", "all-minilm-l6-v2-q", "bge-small-en-v15-q", "e5-small-v2-q")

each = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))


@functools.cache
def opened(name: str) -> Embedder:
    """One instance for the checks that do not compare two: loading a model takes longer than a check."""
    return open_embedder(name, load_settings().models_folder)


def onnx(name: str) -> str:
    folder = load_settings().models_folder / name
    if not (folder / "model.toml").is_file():
        message = f"the model {name} is not in {folder}: deploy/dev/onnx_models.py {name}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return name


@each
@pytest.mark.parametrize("name", ["wordllama", "hashing"])
def test_built_in_models(check: Check, name: str) -> None:
    check(lambda: open_embedder(name))


@each
@pytest.mark.parametrize("name", ONNX)
def test_onnx_models(check: Check, name: str) -> None:
    onnx(name)
    check((lambda: open_embedder(name, load_settings().models_folder)) if check in AFRESH else lambda: opened(name))


AFRESH = (conformance.check_identity, conformance.check_fork)


@each
def test_a_model_that_is_verified_before_use(check: Check) -> None:
    stored = known_answers.ask(HashingEmbedder())
    check(lambda: known_answers.Verified(HashingEmbedder(), stored))


@each
@pytest.mark.parametrize("provider", ["ollama", "openai"])
def test_models_behind_a_server(check: Check, provider: str, model_server: Any) -> None:
    check(lambda: open_spec(model_server.spec(provider)))


@pytest.mark.services
@pytest.mark.timeout(900)
@pytest.mark.parametrize("provider", ["ollama", "openai"])
def test_minilm_through_a_real_ollama(provider: str, ollama: Any) -> None:
    def open_served() -> Embedder:
        return open_spec(served(ollama.url, provider))

    for check in CHECKS:
        check(open_served)


@pytest.mark.services
def test_a_real_ollama_and_the_onnx_file_give_the_same_vectors(ollama: Any) -> None:
    stored = known_answers.ask(open_embedder(onnx("all-minilm-l6-v2"), load_settings().models_folder))
    known_answers.check(open_spec(served(ollama.url, "ollama")), stored)


def served(url: str, provider: str) -> Served:
    return Served.model_validate(
        {
            "name": "minilm",
            "provider": provider,
            "url": url if provider == "ollama" else f"{url}/v1",
            "model": "all-minilm-l6-v2",
            "dimensions": 384,
            "max_tokens": 128,
        }
    )


class Sorting(HashingEmbedder):
    """Answers in the order of the texts' lengths: a model that the checks must not let pass."""

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        return super().embed_documents(sorted(texts, key=len))


class Endless(HashingEmbedder):
    """Gives vectors that are not of unit length."""

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        return super().embed_documents(texts) * np.float32(3)


@pytest.mark.parametrize(
    ("broken", "check"),
    [(Sorting, conformance.check_order_and_batches), (Endless, conformance.check_unit_length)],
)
def test_a_broken_model_does_not_conform(broken: type[Embedder], check: Check, tmp_path: Path) -> None:
    with pytest.raises(ConformanceFailure):
        check(broken)
