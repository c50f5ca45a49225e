"""Organisations: their repositories become sources once, and new ones without anybody's doing."""

from typing import Any

import pytest
from dagster import DagsterInstance
from typer.testing import CliRunner

import assets.sweeps.organisations
from assets.context.source.sources import SourceError, list_sources, remove_source
from assets.sweeps.organisations import Enrolled, Organisation, enrol, list_organisations, register, unregister
from core.events import CHANGES, DEFAULT_TEAM
from core.intake import CHANGED
from dagster_project.cli import organisations
from dagster_project.cli.app import app
from dagster_project.jobs.sweeps import sweep_job
from tests.assets.sweeps.conftest import Side, Stage


def _side(stage: Stage) -> Side:
    for name in ("acme/docs", "acme/till", "acme/private", "other/shop"):
        stage.arena.forge.add_repository(name, private=name == "acme/private")
    stage.arena.forge.grant("acme/private", "penstock-bot", "read")
    return stage.side(drops=lambda _: True)


def _register(side: Side, stage: Stage, name: str = "acme", **patterns: Any) -> Organisation:
    place = stage.arena.forge.url
    return register(side.platform.database, DEFAULT_TEAM, name, stage.arena.dialect, place, **patterns)


def _sources(side: Side) -> dict[str, str | None]:
    return {one.name: one.repository for one in list_sources(side.platform.database, DEFAULT_TEAM)}


def _announced(side: Side) -> list[str]:
    records = side.platform.log.read(CHANGES, {}).records
    return sorted(one.event.subject for one in records if one.event.type == CHANGED)


def _enrol(side: Side) -> list[Enrolled]:
    return [enrol(side.platform, one) for one in list_organisations(side.platform.database)]


def test_every_repository_becomes_a_source_once_and_a_removed_one_stays_removed(stage: Stage) -> None:
    side = _side(stage)
    _register(side, stage, "Acme")
    [done] = _enrol(side)
    assert (sorted(done.added), done.skipped, done.error) == (["docs", "private", "till"], (), None)
    assert _sources(side) == {name: f"acme/{name}" for name in ("docs", "private", "shop", "till")}
    found = {one.name: one for one in list_sources(side.platform.database, DEFAULT_TEAM)}
    assert found["docs"].location == f"{stage.arena.forge.url}/acme/docs.git"
    assert (found["docs"].forge, found["docs"].forge_address) == (stage.arena.dialect, stage.arena.forge.url)
    assert _announced(side) == ["docs", "private", "shop", "till"]
    remove_source(side.platform.database, DEFAULT_TEAM, "docs", side.platform.mirrors)
    stage.arena.forge.add_repository("acme/new")
    assert [one.added for one in _enrol(side)] == [("new",)]
    assert sorted(_sources(side)) == ["new", "private", "shop", "till"]


def test_patterns_choose_the_repositories(stage: Stage) -> None:
    side = _side(stage)
    made = _register(side, stage, only=("acme/[dt]*", "acme/priv*"), never=("*/TILL",))
    assert [one.added for one in _enrol(side)] == [("docs", "private")]
    assert made.takes("acme/docs")
    _register(side, stage)  # again, without patterns
    assert [one.added for one in _enrol(side)] == [("till",)]


@pytest.mark.parametrize("dialect", ["github"])
def test_a_name_that_is_taken_gets_its_owner_before_it(stage: Stage) -> None:
    side = _side(stage)
    _register(side, stage, "other")
    assert [one.added for one in _enrol(side)] == [("other-shop",)]


@pytest.mark.parametrize("dialect", ["github"])
def test_a_process_that_is_killed_after_adding_a_source_leaves_the_rest_to_the_next(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = _side(stage)
    _register(side, stage)
    receive = assets.sweeps.organisations.receive

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(assets.sweeps.organisations, "receive", killed)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            _enrol(side)
    monkeypatch.setattr(assets.sweeps.organisations, "receive", receive)
    _enrol(side)
    assert len(_sources(side)) == 4
    assert _announced(side) == ["docs", "private", "shop", "till"]


def test_a_forge_that_refuses_is_a_stored_reason_and_is_asked_later(stage: Stage) -> None:
    side = _side(stage)
    _register(side, stage, "nobody")
    stage.arena.forge.add_fault("status", path="/nobody/", status=403, times=9)
    [done] = _enrol(side)
    assert "403" in (done.error or "")
    assert list_organisations(side.platform.database, due=True) == []
    [held] = list_organisations(side.platform.database)
    assert (held.failures, held.error) == (1, done.error)


@pytest.mark.parametrize("dialect", ["github"])
def test_archived_and_empty_repositories_and_forks_are_left_out_with_the_reason(stage: Stage) -> None:
    side = _side(stage)
    _register(side, stage)
    body = [
        {"full_name": "acme/old", "archived": True},
        {"full_name": "Acme/Theirs", "fork": True},
        {"full_name": "acme/none", "empty": True},
        {"full_name": "acme/till", "clone_url": "https://evil.example/x.git", "archived": False},
    ]
    stage.arena.forge.add_fault("status", path="/orgs/", status=404)
    stage.arena.forge.add_fault("status", path="/users/acme/repos", status=200, body=body)
    [done] = _enrol(side)
    assert done.added == ("till",)
    assert done.skipped == (("acme/old", "archived"), ("acme/theirs", "a fork"), ("acme/none", "empty"))
    found = {one.name: one.location for one in list_sources(side.platform.database, DEFAULT_TEAM)}
    assert found["till"] == f"{stage.arena.forge.url}/acme/till.git"


@pytest.mark.parametrize(("name", "address"), [("", "https://x"), ("a b", "https://x"), ("a", "https://u:p@x")])
@pytest.mark.parametrize("dialect", ["github"])
def test_a_wrong_name_or_address_is_refused(stage: Stage, name: str, address: str) -> None:
    side = stage.side()
    with pytest.raises(SourceError):
        register(side.platform.database, DEFAULT_TEAM, name, "github", address)


@pytest.mark.parametrize("dialect", ["github"])
def test_the_job_adds_what_is_new_and_the_commands_list_and_forget(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = _side(stage)
    _register(side, stage)
    with DagsterInstance.ephemeral() as instance:
        assert sweep_job.execute_in_process(instance=instance, resources={"platform": side.platform}).success
    assert len(_sources(side)) == 4
    import contextlib

    monkeypatch.setattr(organisations, "opened", lambda: contextlib.nullcontext(side.platform.database))
    monkeypatch.setenv("PENSTOCK_HOME", str(side.platform.settings.home))
    monkeypatch.setenv("PENSTOCK_GITHUB_TOKEN", stage.arena.token)
    listed = CliRunner().invoke(app, ["index", "organisations"])
    assert "acme" in listed.stdout
    stage.arena.forge.add_repository("acme/later")
    command = ["index", "add-organisation", "acme", "--forge", "github", "--address", stage.arena.forge.url, "--json"]
    done = CliRunner().invoke(app, command)
    assert '"later"' in done.stdout, done.output
    assert CliRunner().invoke(app, ["index", "remove-organisation", "acme"]).exit_code == 0
    assert unregister(side.platform.database, DEFAULT_TEAM, "acme") == 0
    assert CliRunner().invoke(app, ["index", "remove-organisation", "acme"]).exit_code == 1
