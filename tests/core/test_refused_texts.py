"""One text that a model's server fails at does not keep the others of its batch from their vectors."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from core.embedding import EmbedderUnavailable, TextsRefused, WrongAnswer, embed_most, refuses_too_many
from core.embedding.known_answers import Verified, ask
from core.embedding.served import ServedEmbedder

TEXTS = [f"def name_{number}(): return {number}" for number in range(13)]


@pytest.fixture
def opened(model_server: Any) -> Iterator[Any]:
    made: list[ServedEmbedder] = []

    def open_model(provider: str = "openai", **changes: Any) -> ServedEmbedder:
        made.append(ServedEmbedder(model_server.spec(provider, **changes)))
        return made[-1]

    yield open_model
    for embedder in made:
        embedder.close()


@pytest.mark.parametrize("provider", ["ollama", "openai"])
@pytest.mark.parametrize("what", ["500", "502", "400", "nan", "zeros"])
@pytest.mark.parametrize("bad", [(7,), (0, 1, 12)])
def test_a_batch_is_split_down_to_the_texts_that_the_server_fails_at(
    opened: Any, model_server: Any, provider: str, what: str, bad: tuple[int, ...]
) -> None:
    model_server.poison = {f"name_{number}(": what for number in bad}
    embedder = opened(provider, retries=1)
    with pytest.raises(TextsRefused, match=f"gave no vector for {len(bad)} of 13 texts, such as {bad[0]}: ") as refused:
        embedder.embed_documents(TEXTS)
    assert sorted(refused.value.refused) == list(bad)
    expected = model_server.model.embed_documents(TEXTS)
    expected[list(bad)] = 0.0
    assert np.allclose(refused.value.vectors, expected, atol=1e-5)
    assert len(model_server.batches) < 50, "no text is asked for one by one"
    found = embed_most(embedder, TEXTS)
    assert sorted(found.refused) == list(bad)
    reasons = {"500": "the worker has crashed", "502": "the worker has crashed", "nan": "not a number"}
    assert reasons.get(what, "") in found.refused[bad[0]]


def test_a_server_that_fails_at_everything_is_unavailable_and_soon_left_alone(opened: Any, model_server: Any) -> None:
    model_server.always = "500"
    with pytest.raises(EmbedderUnavailable, match=r"status 500: out of luck .* it fails at any text") as failed:
        opened(retries=1).embed_documents(TEXTS)
    assert not isinstance(failed.value, TextsRefused)
    assert len(model_server.batches) == 3, "one try, one retry, and one question whether it works"


@pytest.mark.parametrize("fault", ["503", "drop"])
def test_a_server_that_is_away_is_not_asked_text_by_text(opened: Any, model_server: Any, fault: str) -> None:
    model_server.always = fault
    with pytest.raises(EmbedderUnavailable, match="is the model server up"):
        opened(retries=1).embed_documents(TEXTS)
    assert len(model_server.batches) == 2


def test_a_failure_that_passes_refuses_nothing(opened: Any, model_server: Any) -> None:
    model_server.faults.extend(["500", "500"])
    assert embed_most(opened(retries=1), TEXTS).refused == {}


def test_texts_keep_their_place_among_several_requests(opened: Any, model_server: Any) -> None:
    texts = [*TEXTS, "", *(f"a longer text of many words, number {number}" * 3 for number in range(20))]
    model_server.poison = {"name_3(": "500", "number 11": "500"}
    found = embed_most(opened(batch_texts=4, concurrency=3), texts)
    assert sorted(found.refused) == [3, 25]
    expected = model_server.model.embed_documents(texts)
    expected[[3, 25]] = 0.0
    assert np.allclose(found.vectors, expected, atol=1e-5)


def test_a_query_that_is_refused_says_why(opened: Any, model_server: Any) -> None:
    model_server.poison = {"name": "500"}
    with pytest.raises(WrongAnswer, match="the worker has crashed"):
        opened(retries=0).embed_query("name")


def test_a_model_that_refuses_a_text_is_not_verified_again_for_it(opened: Any, model_server: Any) -> None:
    inner = opened()
    embedder = Verified(inner, ask(inner), again_after=3600.0)
    model_server.poison = {"name_3(": "nan"}
    embed_most(embedder, TEXTS)
    before = model_server.batches.count(5)
    embed_most(embedder, TEXTS)
    assert model_server.batches.count(5) == before, "the known answers are five texts"


def test_a_model_that_takes_nothing_is_broken(opened: Any, model_server: Any) -> None:
    model_server.poison = {"name": "500"}
    with pytest.raises(TextsRefused, match="20 of 20 texts"):
        embed_most(opened(retries=0), [f"name {number}" for number in range(20)])
    assert embed_most(opened(retries=0), TEXTS[:3]).refused.keys() == {0, 1, 2}, "the texts of one file, say"
    assert not refuses_too_many(16, 17) and refuses_too_many(17, 100)
    assert not refuses_too_many(30, 300) and refuses_too_many(31, 300)
