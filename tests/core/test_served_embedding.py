import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from core.embedding import EmbedderUnavailable, WrongAnswer, known_answers
from core.embedding.served import ServedEmbedder
from core.http import Breaker

TEXTS = ["parse a date", "close the socket", "merge two lists"]


@pytest.fixture
def opened(model_server: Any) -> Iterator[Any]:
    """Opens the server's model with changes to its description."""
    made: list[ServedEmbedder] = []

    def open_model(provider: str = "openai", breaker: Breaker | None = None, **changes: Any) -> ServedEmbedder:
        made.append(ServedEmbedder(model_server.spec(provider, **changes), breaker=breaker))
        return made[-1]

    yield open_model
    for embedder in made:
        embedder.close()


@pytest.mark.parametrize("fault", ["429:0", "503", "500", "drop", "garbage", "408"])
def test_a_request_that_may_succeed_later_is_repeated(opened: Any, model_server: Any, fault: str) -> None:
    model_server.faults.extend([fault, fault])
    embedder = opened()
    assert np.allclose(embedder.embed_documents(TEXTS), model_server.model.embed_documents(TEXTS))
    assert (embedder.cost.requests, embedder.cost.retries, embedder.cost.texts) == (3, 2, 3)


def test_a_server_that_asks_for_a_pause_gets_it(opened: Any, model_server: Any) -> None:
    model_server.faults.append("429:1")
    began = time.monotonic()
    opened().embed_documents(TEXTS)
    assert time.monotonic() - began >= 1


def test_a_server_that_asks_for_an_hour_is_unavailable(opened: Any, model_server: Any) -> None:
    model_server.faults.append("429:3600")
    with pytest.raises(EmbedderUnavailable, match="pause of 3600 s"):
        opened().embed_documents(TEXTS)


def test_tries_are_bounded_and_the_message_says_what_to_look_at(opened: Any, model_server: Any) -> None:
    model_server.always = "503"
    with pytest.raises(EmbedderUnavailable, match=r"status 503: out of luck \(3 tries\): is the model server up"):
        opened().embed_documents(TEXTS)
    assert len(model_server.batches) == 3


def test_a_refusal_is_not_repeated(opened: Any, model_server: Any) -> None:
    model_server.always = "401"
    with pytest.raises(EmbedderUnavailable, match="answered 401: out of luck"):
        opened().embed_documents(TEXTS)
    assert len(model_server.batches) == 1


def test_a_dead_server_is_unavailable(opened: Any, model_server: Any) -> None:
    embedder = opened(retries=1)
    embedder.embed_documents(TEXTS)
    embedder.close()
    model_server.stop()
    with pytest.raises(EmbedderUnavailable, match="is the model server up"):
        embedder.embed_documents(TEXTS)


@pytest.mark.parametrize("fault", ["slow", "drip"])
def test_a_slow_server_costs_no_more_than_the_time_limit(opened: Any, model_server: Any, fault: str) -> None:
    model_server.always = fault
    with pytest.raises(EmbedderUnavailable, match=r"within 0\.3 s"):
        opened(timeout=0.3, retries=0).embed_documents(TEXTS)


def test_an_endless_answer_is_cut_off(opened: Any, model_server: Any) -> None:
    model_server.always = "huge"
    with pytest.raises(EmbedderUnavailable, match="more than"):
        opened().embed_documents(TEXTS)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("width", "width 63, not 64: it is another model"),
        ("ragged", "not lists of numbers of one length"),
        ("words", "not lists of numbers of one length"),
        ("nan", "not a number"),
        ("zeros", "vector of zeros"),
        ("few", r"2 vectors for 3 texts|indexes \[0, 1\] for 3 texts"),
    ],
)
@pytest.mark.parametrize("provider", ["ollama", "openai"])
def test_wrong_vectors_are_never_used(opened: Any, model_server: Any, provider: str, fault: str, message: str) -> None:
    model_server.always = fault
    with pytest.raises(WrongAnswer, match=message):
        opened(provider).embed_documents(TEXTS)


def test_answers_that_name_one_place_twice_are_never_used(opened: Any, model_server: Any) -> None:
    model_server.always = "doubled"
    with pytest.raises(WrongAnswer, match="the indexes"):
        opened().embed_documents(TEXTS)


def test_answers_with_indexes_may_come_in_any_order(opened: Any, model_server: Any) -> None:
    model_server.always = "shuffled"
    assert np.allclose(opened().embed_documents(TEXTS), model_server.model.embed_documents(TEXTS))


@pytest.mark.parametrize(
    ("fault", "message"), [("reversed", "another order"), ("other", "register it under another name")]
)
def test_a_model_that_changed_under_its_name_is_refused(
    opened: Any, model_server: Any, fault: str, message: str
) -> None:
    stored = known_answers.ask(opened())
    verified = known_answers.Verified(opened(), stored)
    model_server.always = fault
    for _ in range(2):
        with pytest.raises(WrongAnswer, match=message):
            verified.embed_query("parse a date")
    model_server.always = ""
    assert verified.embed_query("parse a date").any()


def test_a_new_revision_in_ollama_is_another_identity(opened: Any, model_server: Any) -> None:
    before = opened("ollama").identity
    model_server.digests["hashing"] = "b" * 64
    assert opened("ollama").identity != before
    assert opened("ollama", revision="a" * 64).identity == before


def test_another_address_is_the_same_model(opened: Any) -> None:
    assert opened().identity == opened(url="http://127.0.0.1:9/v1").identity


def test_a_model_that_ollama_lacks_says_what_to_do(opened: Any) -> None:
    with pytest.raises(EmbedderUnavailable, match="has no model absent:latest: `ollama pull absent`"):
        _ = opened("ollama", model="absent").identity


def test_requests_are_bounded_in_texts_tokens_and_number(opened: Any, model_server: Any) -> None:
    embedder = opened(batch_texts=10, batch_tokens=64, concurrency=3)
    texts = [f"word{number} " * (1 + number % 40) for number in range(60)]
    assert np.allclose(embedder.embed_documents(texts), model_server.model.embed_documents(texts), atol=1e-6)
    assert max(model_server.batches) <= 10
    assert len(model_server.batches) > 6
    assert 1 < model_server.most_at_once <= 3


def test_a_request_that_is_too_long_is_sent_in_halves(opened: Any, model_server: Any) -> None:
    model_server.longest = 400
    texts = ["short text", "long words " * 60]
    found = opened().embed_documents(texts)
    assert np.allclose(found[0], model_server.model.embed_documents(texts)[0])
    assert np.isclose(np.linalg.norm(found[1]), 1)


def test_cost_is_added_up(opened: Any) -> None:
    embedder = opened(price=2.0)
    embedder.embed_documents(TEXTS)
    embedder.embed_query("x")
    cost = embedder.cost
    assert (cost.requests, cost.texts, cost.tokens) == (2, 4, 28)
    assert cost.money == pytest.approx(28 * 2e-6)
    assert cost.seconds > 0


def test_the_key_comes_from_the_environment_and_its_absence_is_told(
    opened: Any, model_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = opened(key_variable="TEST_MODEL_KEY")
    with pytest.raises(EmbedderUnavailable, match="set the environment variable TEST_MODEL_KEY"):
        embedder.embed_query("x")
    monkeypatch.setenv("TEST_MODEL_KEY", "sesame")
    embedder.embed_query("x")
    assert model_server.keys == ["Bearer sesame"]


def test_a_server_that_fails_in_a_row_is_left_alone_for_a_while(opened: Any, model_server: Any) -> None:
    now = [100.0]
    breaker = Breaker(failures=3, pause=15, clock=lambda: now[0])
    embedder = opened(breaker=breaker, retries=0)
    model_server.always = "503"
    for _ in range(3):
        with pytest.raises(EmbedderUnavailable, match="503"):
            embedder.embed_query("x")
    with pytest.raises(EmbedderUnavailable, match="failed several times in a row; the next attempt is in 15 s"):
        embedder.embed_query("x")
    assert len(model_server.batches) == 3
    now[0] += 16
    model_server.always = ""
    assert embedder.embed_query("x").any()
    assert embedder.embed_query("x").any()


def test_only_one_caller_tries_a_server_that_was_left_alone() -> None:
    now = [0.0]
    breaker = Breaker(failures=1, pause=10, clock=lambda: now[0])
    breaker.failed()
    now[0] = 11
    waits: list[float] = []
    threads = [threading.Thread(target=lambda: waits.append(breaker.wait())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert waits.count(0.0) == 1


def test_an_address_with_a_password_is_refused(model_server: Any) -> None:
    with pytest.raises(ValueError, match="name a key_variable"):
        model_server.spec(url="http://user:secret@127.0.0.1/v1")
