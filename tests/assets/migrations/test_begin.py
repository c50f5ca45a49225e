"""A model registered with `migrate` is migrated to as soon as no other migration is open, and once."""

from collections.abc import Callable
from typing import Any

from assets.migrations.lifecycle import record, switch
from assets.migrations.lifecycle.begin import begin_requested, due
from assets.migrations.lifecycle.record import Options
from assets.platform import Platform
from core.embedding import catalogue, migration_requests
from core.embedding.migration_requests import MigrationRequest
from core.embedding.spec import BuiltIn, find_spec
from core.states import ModelState

GOOD = BuiltIn(name="good", provider="hashing", dimensions=512, migrate=True)
OTHER = BuiltIn(name="other", provider="hashing", dimensions=384, migrate=True)


def queued(platform: Platform) -> list[MigrationRequest]:
    with platform.database.system() as connection:
        return migration_requests.waiting(connection)


def test_a_model_registered_with_migrate_is_migrated_to_once(platform: Platform, states: Any) -> None:
    catalogue.register(platform.database, GOOD)
    catalogue.register(platform.database, GOOD)
    assert [(request.model, request.reason) for request in queued(platform)] == [("good", None)]
    assert due(queued(platform))
    begun = begin_requested(platform)
    assert begun is not None
    assert (begun.old_name, begun.new_name, begun.state) == ("hashing", "good", "building")
    assert begun.plan["chunks"] == 120
    catalogue.register(platform.database, GOOD)
    assert queued(platform) == []
    assert begin_requested(platform) is None
    assert states() == {"hashing": "serving", "good": "building"}


def test_a_second_request_stays_queued_with_the_reason_until_the_first_migration_has_ended(platform: Platform) -> None:
    catalogue.register(platform.database, GOOD)
    catalogue.register(platform.database, OTHER)
    first = begin_requested(platform)
    assert first is not None
    (waiting,) = queued(platform)
    assert waiting.reason == f"migration {first.id} from hashing to good is open; it starts after that"
    assert begin_requested(platform) is None
    switch.cancel(platform.database, first.id)
    assert due(queued(platform))
    second = begin_requested(platform)
    assert second is not None
    assert second.new_name == "other"
    assert queued(platform) == []


def test_a_request_whose_model_server_is_away_is_retried_later(platform: Platform, model_server: Any) -> None:
    catalogue.register(platform.database, model_server.spec("openai", retries=0, migrate=True))
    model_server.always = "503"
    assert begin_requested(platform) is None
    (waiting,) = queued(platform)
    assert "503" in (waiting.reason or "")
    assert not due(queued(platform))
    model_server.always = ""
    assert begin_requested(platform) is not None


def test_a_request_for_a_model_that_is_already_in_use_is_removed(platform: Platform) -> None:
    entry = catalogue.register(platform.database, GOOD)
    with platform.database.system() as connection:
        catalogue.move(connection, entry.id, ModelState.SERVING)
    told: list[str] = []
    assert begin_requested(platform, tell=told.append) is None
    assert told == ["good is serving: nothing is left to migrate"]
    assert queued(platform) == []


def test_a_migration_that_an_operator_starts_removes_the_queued_request(
    platform: Platform, entry: Callable[[str], Any]
) -> None:
    new = catalogue.register(platform.database, GOOD)
    switch.start(platform.database, entry("hashing"), new, Options(), {})
    assert queued(platform) == []


def test_a_description_can_ask_for_the_migration(platform: Platform, tmp_path: Any) -> None:
    folder = tmp_path / "models" / "described"
    folder.mkdir(parents=True)
    (folder / "model.toml").write_text('provider = "hashing"\ndimensions = 128\nmigrate = true\n')
    catalogue.register(platform.database, find_spec("described", tmp_path / "models"))
    begun = begin_requested(platform)
    assert begun is not None
    assert begun.new_name == "described"
    with platform.database.system() as connection:
        spec = catalogue.find(connection, "described").spec
        assert record.get(connection, begun.id).state == "building"
    assert spec is not None
    assert "migrate" not in spec  # a request of that moment, not a property of the model
