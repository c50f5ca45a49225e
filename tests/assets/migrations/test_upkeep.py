from collections.abc import Callable
from typing import Any

import pytest

from assets.context import search
from assets.migrations.lifecycle.upkeep import keep_models
from assets.platform import Platform
from core.embedding import catalogue
from core.embedding.catalogue import ModelConflict
from core.embedding.spec import BuiltIn
from core.states import ModelState
from core.teams import DEFAULT_TEAM

SECOND = BuiltIn(name="second", provider="hashing", dimensions=512)


def move(platform: Platform, name: str, state: ModelState) -> None:
    with platform.database.system() as connection:
        catalogue.move(connection, catalogue.find(connection, name).id, state)


def test_a_model_added_beside_another_embeds_all_content_and_the_draining_one_is_then_retired(
    platform: Platform, states: Callable[[], dict[str, str]], vectors: Any
) -> None:
    catalogue.register(platform.database, SECOND)
    move(platform, "second", ModelState.SERVING)
    move(platform, "hashing", ModelState.DRAINING)
    with pytest.raises(ModelConflict, match=r"no other serving model covers demo \(120 chunks\)"):
        move(platform, "hashing", ModelState.RETIRED)
    used = platform.models.in_use()
    # Only the draining model has vectors yet: it is still queried.
    found = search.search(
        platform.database, DEFAULT_TEAM, "demo", "return", 3, embedders=used.asked, fallback=used.draining
    )
    assert found
    done = keep_models(platform)
    assert (done.embedded, done.retired, done.left) == ((("second", 120),), ("hashing",), ())
    assert states() == {"hashing": "retired", "second": "serving"}
    assert len(vectors("second")) == 120
    assert keep_models(platform).embedded == ()


def test_a_model_being_built_is_not_queried_even_where_no_serving_model_covers_everything(platform: Platform) -> None:
    catalogue.register(platform.database, SECOND)
    assert "vectors" in signals(platform)
    move(platform, "second", ModelState.SERVING)
    move(platform, "hashing", ModelState.BUILDING)
    assert signals(platform) - {"vectors"} == signals(platform) != set()


def signals(platform: Platform) -> set[str]:
    return {reason.signal for place in platform.search(DEFAULT_TEAM, "demo", "return", 3) for reason in place.why}


def test_a_model_whose_server_is_away_is_skipped_until_the_next_call(
    platform: Platform, model_server: Any, vectors: Any
) -> None:
    catalogue.register(platform.database, model_server.spec("openai", retries=0))
    move(platform, "served", ModelState.SERVING)
    model_server.always = "503"
    done = keep_models(platform)
    assert [name for name, _ in done.left] == ["served"]
    model_server.always = ""
    assert keep_models(platform).embedded == (("served", 120),)


def test_the_models_of_an_open_migration_are_left_to_it(platform: Platform, begin: Any, states: Any) -> None:
    begin(SECOND)
    assert keep_models(platform).embedded == ()
    assert states() == {"hashing": "serving", "second": "building"}
