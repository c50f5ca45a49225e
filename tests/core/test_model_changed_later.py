"""A model server that puts another model under the name while a process runs is found, not only at the next start."""

from typing import Any

import pytest

from core.database import Database
from core.embedding import EmbedderUnavailable, WrongAnswer, catalogue
from core.embedding.known_answers import Verified


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(database: Database, spec: Any, clock: Clock) -> Verified:
    entry = catalogue.register(database, spec)
    first = catalogue.opened(entry)
    assert isinstance(first, Verified)
    assert entry.answers is not None
    return Verified(first.inner, entry.answers, first._again_after, clock)


def test_another_digest_is_refused_though_the_vectors_are_the_same(database: Database, model_server: Any) -> None:
    model = opened(database, model_server.spec("ollama"), clock := Clock())
    assert model.embed_query("before").shape == (64,)
    model_server.digests["hashing"] = "b" * 64
    assert model.embed_query("a moment later").shape == (64,)
    clock.now = 601.0
    with pytest.raises(WrongAnswer, match="now has the digest bbbbbbbbbbbb, not aaaaaaaaaaaa: another model"):
        model.embed_query("ten minutes later")
    with pytest.raises(WrongAnswer, match="another model has taken its name"):
        model.embed_documents(["and from then on"])
    model_server.digests["hashing"] = "a" * 64
    assert model.embed_query("put back").shape == (64,)


@pytest.mark.parametrize("provider", ["ollama", "openai"])
def test_other_vectors_are_refused_after_a_while(database: Database, model_server: Any, provider: str) -> None:
    model = opened(database, model_server.spec(provider), clock := Clock())
    model.embed_query("before")
    model_server.always, clock.now = "other", 601.0
    with pytest.raises(WrongAnswer, match="other vectors than when it was registered"):
        model.embed_query("ten minutes later")
    with pytest.raises(WrongAnswer, match="other vectors than when it was registered"):
        model.embed_query("and from then on")


def test_a_server_that_comes_back_as_another_is_refused_at_once(database: Database, model_server: Any) -> None:
    model = opened(database, model_server.spec("openai", retries=0), Clock())
    model.embed_query("before")
    model_server.always = "503"
    with pytest.raises(EmbedderUnavailable, match="503"):
        model.embed_query("down")
    model_server.always = "other"
    with pytest.raises(WrongAnswer, match="other vectors than when it was registered"):
        model.embed_query("up again")


def test_a_local_model_is_asked_once(database: Database) -> None:
    from core.embedding.spec import BUILT_IN

    assert opened(database, BUILT_IN["hashing"], Clock())._again_after is None
