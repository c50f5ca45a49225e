from pathlib import Path

import pytest
from dagster import DagsterInstance

from assets.context.store import vector_index
from assets.platform import Platform
from core.database.embedded import EmbeddedServer
from core.settings import Settings
from dagster_project.jobs.context import index_vectors, prune_context


def run(job: object, platform: Platform) -> str:
    with DagsterInstance.ephemeral() as dagster:
        result = job.execute_in_process(instance=dagster, resources={"platform": platform})  # type: ignore[attr-defined]
        assert result.success
        text = "\n".join(entry.user_message for entry in dagster.all_logs(result.run_id))
    platform.close()
    return text


def test_every_team_is_pruned(database_url: str, tmp_path: Path) -> None:
    assert "team default: 0 contents deleted" in run(prune_context, Platform(Settings(home=tmp_path), database_url))


def test_vector_indexes_are_built_as_the_owner(
    database_url: str, database_name: str, postgres_server: EmbeddedServer, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from assets.context.store.vector_table import VectorTable
    from core.embedding import open_embedder
    from core.events import DEFAULT_TEAM

    platform = Platform(
        Settings(home=tmp_path, database_owner_url=postgres_server.url(database_name, owner=True)), database_url
    )
    embedder = open_embedder("hashing")
    with platform.database.team(DEFAULT_TEAM) as connection:
        table = VectorTable.of(connection, embedder)
        table.insert(connection, DEFAULT_TEAM, [1, 2], [0, 0], embedder.embed_documents(["one", "two"]))
    monkeypatch.setattr(vector_index.build_vector_indexes, "__kwdefaults__", {"least": 1, "before_build": print})
    assert "2 vectors indexed" in run(index_vectors, platform)


def test_without_the_owners_address_nothing_is_built_and_it_is_said(database_url: str, tmp_path: Path) -> None:
    platform = Platform(Settings(home=tmp_path, database_owner_url=None), database_url)
    assert "PENSTOCK_DATABASE_OWNER_URL is not set" in run(index_vectors, platform)
    other = Platform(Settings(home=tmp_path, database_owner_url=database_url), database_url)
    assert "does not own the tables" in run(index_vectors, other)
