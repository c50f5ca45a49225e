import threading
from typing import Any

import psycopg
import pytest

from core.database import Database
from core.embedding import EmbedderUnavailable, WrongAnswer, catalogue
from core.embedding.catalogue import Entry, ModelConflict, UnknownModel
from core.embedding.serving import Models
from core.embedding.spec import BUILT_IN, BuiltIn
from core.settings import Settings
from core.states import TRANSITIONS, ModelState
from core.teams import DEFAULT_TEAM

HASHING = BUILT_IN["hashing"]
NARROW = BuiltIn(name="narrow", provider="hashing", dimensions=64)


def registered(database: Database, spec: BuiltIn, *states: ModelState) -> Entry:
    entry = catalogue.register(database, spec)
    for state in states:
        move(database, entry, state)
    return entry


def move(database: Database, entry: Entry, state: ModelState) -> None:
    with database.system() as connection:
        catalogue.move(connection, entry.id, state)


def state_of(database: Database, name: str) -> str:
    with database.system() as connection:
        return catalogue.find(connection, name).state


def test_a_registered_model_keeps_how_it_is_opened_and_what_it_answered(database: Database) -> None:
    entry = registered(database, NARROW)
    assert (entry.name, entry.dimensions, entry.distance, entry.state) == ("narrow", 64, "cosine", "registered")
    assert entry.description() == NARROW
    assert entry.answers is not None
    assert entry.answers.shape == (5, 64)
    assert catalogue.opened(entry).embed_query("x").shape == (64,)


def test_registering_again_changes_nothing(database: Database) -> None:
    first = registered(database, NARROW, ModelState.SERVING)
    again = registered(database, NARROW)
    assert (again.id, again.state, again.known_answers) == (first.id, "serving", first.known_answers)


def test_a_name_belongs_to_one_model(database: Database) -> None:
    registered(database, NARROW)
    with pytest.raises(ModelConflict, match=r"narrow is registered as hashing-64@.* register it under another name"):
        registered(database, BuiltIn(name="narrow", provider="hashing", dimensions=128))


def test_an_unknown_name_says_where_to_look(database: Database) -> None:
    with database.system() as connection, pytest.raises(UnknownModel, match="penstock models list"):
        catalogue.find(connection, "absent")


@pytest.mark.parametrize("before", list(ModelState))
@pytest.mark.parametrize("after", list(ModelState))
def test_only_the_moves_of_the_table_are_possible_even_past_the_code(
    database: Database, before: ModelState, after: ModelState
) -> None:
    path = {
        ModelState.REGISTERED: (),
        ModelState.BUILDING: (ModelState.BUILDING,),
        ModelState.SERVING: (ModelState.SERVING,),
        ModelState.DRAINING: (ModelState.SERVING, ModelState.DRAINING),
        ModelState.RETIRED: (ModelState.RETIRED,),
    }[before]
    entry = registered(database, NARROW, *path)
    legal = before == after or (before, after) in TRANSITIONS["model"]
    statement = "UPDATE embedding_models SET state = %s WHERE id = %s"
    with database.system() as connection:
        try:
            with connection.transaction():
                connection.execute(statement, (after, entry.id))
            moved = True
        except psycopg.errors.CheckViolation:
            moved = False
    assert moved == legal


def test_each_change_of_state_is_recorded(database: Database) -> None:
    entry = registered(database, NARROW, ModelState.BUILDING, ModelState.SERVING, ModelState.DRAINING)
    with database.system() as connection:
        rows = connection.execute(
            "SELECT state FROM model_events WHERE model_id = %s ORDER BY id", (entry.id,)
        ).fetchall()
    assert [row[0] for row in rows] == ["registered", "building", "serving", "draining"]


def test_a_retired_model_leaves_no_table_and_can_come_back(database: Database) -> None:
    entry = registered(database, NARROW)
    move(database, entry, ModelState.RETIRED)
    with database.system() as connection:
        row = connection.execute("SELECT to_regclass('vectors_' || %s)", (entry.id,)).fetchone()
        assert row == (None,)
        assert catalogue.coverage(connection, entry.id) == []
    again = registered(database, NARROW)
    assert (again.id, again.state) == (entry.id, "registered")
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute(f"SELECT FROM vectors_{entry.id}")


def test_a_serving_model_is_not_retired_at_once(database: Database) -> None:
    entry = registered(database, NARROW, ModelState.SERVING)
    with pytest.raises(ModelConflict, match='may not move from "serving" to "retired": move it to draining first'):
        move(database, entry, ModelState.RETIRED)
    assert state_of(database, "narrow") == "serving"


def test_a_model_whose_vectors_are_being_read_is_not_dropped(database: Database, database_url: str) -> None:
    entry = registered(database, NARROW)
    other = Database(database_url)
    try:
        with other.team(DEFAULT_TEAM) as reader:
            reader.execute(f"SELECT FROM vectors_{entry.id}")
            with pytest.raises(ModelConflict, match="queries still use"):
                move(database, entry, ModelState.RETIRED)
        assert state_of(database, "narrow") == "registered"
        move(database, entry, ModelState.RETIRED)
    finally:
        other.close()


def test_a_team_can_neither_move_nor_retire_a_model(database: Database) -> None:
    entry = registered(database, NARROW)
    for statement in (
        "UPDATE embedding_models SET state = 'serving' WHERE id = %s",
        "SELECT retire_embedding_model(%s)",
        "DELETE FROM model_events WHERE model_id = %s",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), database.team(DEFAULT_TEAM) as connection:
            connection.execute(statement, (entry.id,))


def test_the_first_start_registers_the_model_of_the_settings_once(database: Database) -> None:
    settings = Settings(embedding_model="hashing")
    starts = [Models(database, settings) for _ in range(4)]
    threads = [threading.Thread(target=models.in_use) for models in starts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [embedder.dimensions for embedder in starts[0].in_use().asked] == [256]
    with database.system() as connection:
        assert [(entry.name, entry.state) for entry in catalogue.entries(connection)] == [("hashing", "serving")]


def test_each_state_says_what_a_model_is_used_for(database: Database) -> None:
    registered(database, HASHING, ModelState.SERVING)
    registered(database, NARROW, ModelState.BUILDING)
    registered(
        database, BuiltIn(name="old", provider="hashing", dimensions=32), ModelState.SERVING, ModelState.DRAINING
    )
    registered(database, BuiltIn(name="new", provider="hashing", dimensions=16))
    used = Models(database, Settings()).in_use()
    assert [e.dimensions for e in used.asked] == [256]
    assert [e.dimensions for e in used.building] == [64]
    assert [e.dimensions for e in used.draining] == [32]


def test_a_cut_over_is_seen_by_the_next_look(database: Database) -> None:
    old = registered(database, HASHING, ModelState.SERVING)
    new = registered(database, NARROW, ModelState.BUILDING)
    models = Models(database, Settings())
    assert [e.identity for e in models.in_use().asked] == [old.identity]
    with database.system() as connection:
        catalogue.move(connection, new.id, ModelState.SERVING)
        catalogue.move(connection, old.id, ModelState.DRAINING)
        assert [e.identity for e in models.in_use().asked] == [old.identity]
    assert [e.identity for e in models.in_use().asked] == [new.identity]


def test_a_model_that_answers_otherwise_than_when_it_was_registered_is_refused(
    database: Database, model_server: Any
) -> None:
    entry = catalogue.register(database, model_server.spec("ollama"))
    assert entry.spec is not None
    assert entry.spec["revision"] == model_server.digests["hashing"]
    assert catalogue.opened(entry).embed_query("x").any()
    model_server.always = "other"
    with pytest.raises(WrongAnswer, match="register it under another name"):
        catalogue.opened(entry).embed_query("x")
    with pytest.raises(WrongAnswer):
        catalogue.register(database, model_server.spec("ollama"))


def test_another_revision_under_one_name_is_another_model(database: Database, model_server: Any) -> None:
    catalogue.register(database, model_server.spec("ollama"))
    model_server.digests["hashing"] = "b" * 64
    with pytest.raises(ModelConflict, match="it is another model"):
        catalogue.register(database, model_server.spec("ollama"))


def test_a_model_whose_server_is_gone_cannot_be_registered_but_opens(database: Database, model_server: Any) -> None:
    spec = model_server.spec("openai", retries=0)
    entry = catalogue.register(database, spec)
    move(database, entry, ModelState.SERVING)
    model_server.stop()
    embedder = Models(database, Settings()).in_use().asked[0]
    with pytest.raises(EmbedderUnavailable):
        embedder.embed_query("x")
    with pytest.raises(EmbedderUnavailable):
        catalogue.register(database, spec.model_copy(update={"name": "other"}))


def test_a_model_that_cannot_be_opened_does_not_stop_the_others(database: Database, tmp_path: Any) -> None:
    registered(database, HASHING, ModelState.SERVING)
    broken = registered(database, NARROW, ModelState.BUILDING)
    with database.system() as connection:
        connection.execute(
            """UPDATE embedding_models SET spec = '{"provider": "telepathy"}' WHERE id = %s""", (broken.id,)
        )
    used = Models(database, Settings()).in_use()
    assert len(used.asked) == 1
    with pytest.raises(EmbedderUnavailable, match=r"narrow cannot be opened: .*provider"):
        used.building[0].embed_query("x")
