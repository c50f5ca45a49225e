"""What a sweep starts and what it leaves alone, and that a service in trouble holds no other up."""

import contextlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dagster import DagsterInstance, RunRequest, SkipReason, build_sensor_context
from pydantic import SecretStr
from typer.testing import CliRunner

import assets.sweeps.sweep
from assets.context.tickets.importing import link_project
from assets.results.deliver import deliver
from assets.sweeps.places import GIT
from core.events import DEFAULT_TEAM
from core.tickets import Service
from dagster_project.cli import tickets
from dagster_project.cli.app import app
from dagster_project.cli.output import CommandFailed
from dagster_project.jobs.sweeps import sweep_job
from sensors.sweeps import sweep_sensor
from tests.assets.context.tickets.test_ticket_import import FakeService
from tests.assets.sweeps.conftest import STARTED, Side, Stage
from tests.forge_arena import REPOSITORY

github = pytest.mark.parametrize("dialect", ["github"])
DROPPED: dict[str, Any] = {"drops": lambda _: True}


def _rows(side: Side) -> list[tuple[Any, ...]]:
    return side.rows(
        "SELECT service, failures, error, swept_at IS NOT NULL, extract(epoch FROM next_at - now())::integer, "
        "progress IS NOT NULL FROM sweeps ORDER BY service DESC"
    )


def _set(side: Side, statement: str) -> None:
    with side.platform.database.system() as connection:
        connection.execute(statement.encode())


def test_what_happened_before_the_source_was_added_starts_nothing_even_if_the_issue_changes(stage: Stage) -> None:
    forge = stage.arena.forge
    side = stage.side(**DROPPED, start_rules=("opened", "labelled:penstock", "mentioned:penstock"))
    number = forge.add_issue(REPOSITORY, "Old", "@penstock", labels=["penstock"]).number
    forge.add_comment(REPOSITORY, number, "@penstock\n\n/penstock retry")
    _set(side, "UPDATE sources SET created_at = now() - interval '1 hour'")
    assert [(one.stored.missed, one.stored.tasks, one.error) for one in side.sweep()] == [(0, 0, None)] * 2
    stage.clock.catch_up()
    forge.edit(REPOSITORY, number, title="Old, edited")
    seen = 2 if stage.arena.dialect == "gitlab" else 1  # GitLab lists all comments of an issue that has changed
    assert sum(one.stored.missed for one in side.sweep()) == seen
    side.settle()
    assert side.rows("SELECT title FROM tickets") == [("Old, edited",)]
    assert side.rows(STARTED) == []
    assert side.rows("SELECT * FROM commands") == []
    new = forge.add_issue(REPOSITORY, "New", "").number
    side.sweep()
    assert [key for key, *_ in side.rows(STARTED)] == [f"#{2 if stage.arena.dialect == 'gitlab' else new}"]


@github
def test_a_source_that_is_older_than_a_day_is_first_swept_from_a_day_ago(stage: Stage) -> None:
    side = stage.side(**DROPPED)
    _set(side, "UPDATE sources SET created_at = now() - interval '3 years'")
    side.sweep()
    [(age,)] = side.rows("SELECT extract(epoch FROM now() - since)::integer FROM sweeps WHERE service = 'git'")
    assert 86_300 < age < 86_500


@github
def test_a_forge_that_limits_requests_is_left_alone_for_as_long_as_it_asks(stage: Stage) -> None:
    side = stage.side(**DROPPED)
    stage.arena.forge.add_issue(REPOSITORY, "It fails")
    stage.arena.forge.push(REPOSITORY, "main", stage.commit("main", "moved"))
    stage.arena.forge.add_fault("status", path="/api/v3/", status=403, times=9, headers={"Retry-After": "900"})
    swept = {one.place.service: one for one in side.sweep()}
    assert "limits requests" in (swept["github"].error or "")
    assert (swept[GIT].error, swept[GIT].stored.missed) == (None, 1), "the branch is swept all the same"
    found = _rows(side)
    assert [(row[0], row[1], row[3]) for row in found] == [("github", 1, False), (GIT, 0, True)]
    assert 890 < found[0][4] <= 900
    asked = len(stage.arena.forge.requests)
    assert list(assets.sweeps.sweep.sweep_due(side.platform)) == [], "neither is due"
    assert len(stage.arena.forge.requests) == asked
    stage.arena.forge.clear_faults()
    assert [one.stored.tasks for one in side.sweep() if one.place.service == "github"] == [1]
    assert [(row[1], row[2]) for row in _rows(side)] == [(0, None), (0, None)]


def test_a_command_to_start_that_no_webhook_brought_is_found(stage: Stage) -> None:
    side = stage.side(**DROPPED, start_rules=("command",))
    quoted, asked = (stage.arena.forge.add_issue(REPOSITORY, "It fails") for _ in range(2))
    stage.arena.forge.add_comment(REPOSITORY, quoted.number, "> /penstock start")
    stage.arena.forge.add_comment(REPOSITORY, asked.number, "/penstock start")
    side.sweep()
    key = asked.iid if stage.arena.dialect == "gitlab" else asked.number
    assert [row[0] for row in side.rows(STARTED)] == [f"#{key}"]


@github
def test_a_sweep_waits_while_too_many_tasks_wait(stage: Stage) -> None:
    side = stage.side(**DROPPED, most_waiting_of_source=2)
    for n in range(5):
        stage.arena.forge.add_issue(REPOSITORY, f"It fails {n}")
    swept = {one.place.service: one for one in side.sweep()}
    assert "2 tasks of source shop wait already" in (swept["github"].error or "")
    assert len(side.rows(STARTED)) == 2
    _set(side, "UPDATE tasks SET state = 'cancelled'")
    side.sweep()
    _set(side, "UPDATE tasks SET state = 'cancelled' WHERE state = 'queued'")
    side.sweep()
    assert len(side.rows(STARTED)) == 5


@github
def test_other_projects_of_a_forge_that_is_away_are_not_tried_in_the_same_run(stage: Stage) -> None:
    side = stage.side(**DROPPED)
    link_project(
        side.platform.database, DEFAULT_TEAM, "shop", Service.GITHUB, "acme/docs", stage.arena.forge.github_url
    )
    stage.arena.forge.add_fault("drop_before", path="/api/v3/", times=100)
    swept = side.sweep()
    assert sorted((one.place.project, one.error is None) for one in swept) == [
        ("acme/docs", False),
        ("acme/shop", False),
        ("shop", True),
    ]
    assert sum("/api/v3/" in one.path for one in stage.arena.forge.requests) == 3, "three tries of one request"


@github
def test_without_a_token_the_reason_says_which_setting(stage: Stage) -> None:
    side = stage.side(**DROPPED)
    side.platform.settings = side.platform.settings.model_copy(update={"github_token": None})
    errors = [one.error for one in side.sweep() if one.error]
    assert len(errors) == 1
    assert "PENSTOCK_GITHUB_TOKEN" in errors[0]


@github
def test_a_place_with_many_pages_goes_on_at_its_next_turn(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets.sweeps.sweep, "MOST_PAGES", 1)
    side = stage.side(**DROPPED)
    for n in range(101):  # two pages of issues
        stage.arena.forge.add_issue(REPOSITORY, f"It fails {n}")
    turns = []
    while not turns or not turns[-1].whole:
        turns += [one for one in side.sweep() if one.place.service == "github"]
        assert len(turns) < 10
    assert [one.pages for one in turns] == [1] * 5
    assert sum(one.stored.tasks for one in turns) == 101
    assert len(side.rows(STARTED)) == 101


def test_a_merged_pull_request_keeps_its_commit_if_the_pass_is_interrupted_between_lists(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets.sweeps.sweep, "MOST_PAGES", 1)
    side, forge = stage.side(**DROPPED), stage.arena.forge
    forge.push(REPOSITORY, "topic", stage.commit("main", "a change"))
    number = forge.add_pull(REPOSITORY, "topic").number
    forge.merge(REPOSITORY, number)
    for _ in range(4):
        side.sweep()
        side.settle()
    commit = forge.pull(REPOSITORY, number).merge_commit
    assert side.rows("SELECT kind, state, commit FROM tickets") == [("pull request", "merged", commit)]


@github
def test_a_page_that_is_gone_makes_the_pass_begin_anew(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets.sweeps.sweep, "MOST_PAGES", 1)
    side = stage.side(**DROPPED)
    stage.arena.forge.add_issue(REPOSITORY, "It fails")
    side.sweep()
    assert _rows(side)[0][5]
    _set(side, "UPDATE sweeps SET progress = progress || '{\"next\": \"/gone\"}' WHERE service = 'github'")
    assert any(one.error for one in side.sweep())
    assert not _rows(side)[0][5]
    stage.arena.forge.unknown.clear()
    for _ in range(4):
        swept = side.sweep()
    assert [one.whole for one in swept] == [True, True]


def test_a_branch_is_announced_unless_its_source_is_waiting_for_a_refresh_anyway(stage: Stage) -> None:
    side = stage.side(**DROPPED)
    first = stage.head()
    assert [one.stored.missed for one in side.sweep() if one.place.service == GIT] == [0]
    stage.arena.forge.push(REPOSITORY, "main", stage.commit("main", "second"))
    assert [[one.stored.missed for one in side.sweep() if one.place.service == GIT] for _ in range(2)] == [[1], [0]]
    side.settle()
    assert side.indexed == stage.head()
    stage.arena.forge.push(REPOSITORY, "main", first)  # forced back
    side.sweep()
    side.settle()
    assert side.indexed == first


@github
def test_sweeps_run_when_something_is_due_and_not_while_switched_off(stage: Stage) -> None:
    side = stage.side(**DROPPED)
    stage.arena.forge.add_issue(REPOSITORY, "It fails")
    with DagsterInstance.ephemeral() as instance:
        context = build_sensor_context(instance=instance)
        off = side.platform.settings.model_copy(update={"sweep_minutes": 0.0})
        on, side.platform.settings = side.platform.settings, off
        assert isinstance(sweep_sensor(context, platform=side.platform), SkipReason)
        side.platform.settings = on
        assert isinstance(sweep_sensor(context, platform=side.platform), RunRequest)
        assert sweep_job.execute_in_process(instance=instance, resources={"platform": side.platform}).success
        assert isinstance(sweep_sensor(context, platform=side.platform), SkipReason)
        assert len(side.rows(STARTED)) == 1
        _set(side, "UPDATE sweeps SET next_at = now()")
        assert isinstance(sweep_sensor(context, platform=side.platform), RunRequest)
        _set(side, "DELETE FROM sources")
        assert isinstance(sweep_sensor(context, platform=side.platform), SkipReason)


def _moment(minutes: int) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()


@pytest.fixture
def jira() -> Iterator[FakeService]:
    """A Jira with two issues, one of which came to another status since."""
    made = FakeService()

    def issue(number: int, **more: Any) -> dict[str, Any]:
        fields = {
            "summary": f"Issue {number}",
            "description": "",
            "status": {"name": "Ready", "statusCategory": {"key": "indeterminate"}},
            "reporter": {"accountId": "a1", "displayName": "Ada"},
            "created": _moment(-9000),
            "updated": _moment(5),
            "comment": {"comments": [], "total": 0},
        }
        return {"key": f"SHOP-{number}", "self": f"{made.address}/rest/api/2/issue/{number}", "fields": fields, **more}

    def history(query: dict[str, str], found: "re.Match[str]") -> Any:
        assert query["expand"] == "changelog"
        bob = {"accountId": "b2", "displayName": "Bob"}

        def moved(minutes: int, to: str) -> dict[str, Any]:
            items = [{"field": "status", "fromString": "New", "toString": to}]
            return {"author": bob, "created": _moment(minutes), "items": items}

        new = [moved(5, "Ready")] if found[1] == "SHOP-1" else []
        return 200, {"key": found[1], "changelog": {"histories": [*new, moved(-9000, "Ready")]}}, {}

    made.routes[r"/rest/api/2/search/jql"] = lambda query, found: (200, {"issues": [issue(1), issue(2)]}, {})
    made.routes[r"/rest/api/2/issue/(SHOP-\d+)"] = history
    yield made
    made.stop()


@github
def test_a_missed_transition_in_jira_starts_one_task(stage: Stage, jira: FakeService) -> None:
    side = stage.side(**DROPPED, start_rules=("transition:ready [SHOP]",), jira_token=SecretStr("t"))
    link_project(side.platform.database, DEFAULT_TEAM, "shop", Service.JIRA, "SHOP", jira.address)
    for _ in range(2):
        assert [one.error for one in side.sweep()] == [None] * 3
        side.settle()
    assert side.rows(STARTED) == [("SHOP-1", "Bob", "b2")]
    assert side.rows("SELECT key, status FROM tickets ORDER BY key") == [("SHOP-1", "Ready"), ("SHOP-2", "Ready")]


@github
def test_a_sweep_by_command_says_what_it_found_and_the_status_what_is_wrong(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = stage.side(**DROPPED)
    monkeypatch.setattr(tickets, "opened", lambda: contextlib.nullcontext(side.platform.database))
    monkeypatch.setenv("PENSTOCK_HOME", str(side.platform.settings.home))
    monkeypatch.setenv("PENSTOCK_GITHUB_TOKEN", stage.arena.token)
    stage.arena.forge.add_issue(REPOSITORY, "It fails")
    done = CliRunner().invoke(app, ["tickets", "sweep", "shop"])
    assert done.exit_code == 0, done.output
    assert done.stdout == "2 places swept: 1 missed events, 1 tasks started\n"
    stage.arena.forge.revoke_token(stage.arena.token)
    failed = CliRunner().invoke(app, ["tickets", "sweep", "--json"])
    assert isinstance(failed.exception, CommandFailed)
    [wrong] = [one for one in json.loads(failed.stdout) if one["error"]]
    assert (wrong["place"], wrong["complete"]) == ("github:acme/shop", False)
    status = CliRunner().invoke(app, ["tickets", "status", "shop"]).stdout
    assert re.search(r"sweep of acme/shop at github: \d{4}-.*, 1 missed events so far; failed 1 times: .*401", status)
    assert "last sweep of the branch: 2" in status
    unknown = CliRunner().invoke(app, ["tickets", "sweep", "nothing"])
    assert isinstance(unknown.exception, CommandFailed)


def _fail(stage: Stage, name: str, commit: str | None = None) -> None:
    stage.arena.forge.set_check(REPOSITORY, commit or stage.head(), name, "failure", "E  assert 2 == 3")


def test_failed_checks_that_no_webhook_reported_are_found_and_start_a_task(stage: Stage) -> None:
    side = stage.side(**DROPPED, start_rules=("failed:main",))
    _fail(stage, "unit")
    assert sum(one.stored.missed for one in side.sweep()) == 1
    assert side.rows("SELECT source, project, branch, head, state, rule FROM watched_checks") == [
        ("shop", REPOSITORY, "main", stage.head(), "pending", "failed:main")
    ]
    assert side.rows("SELECT found FROM sweeps WHERE service <> 'git'") == [(1,)]
    assert sum(one.stored.missed for one in side.sweep()) == 0, "it is known"
    _set(side, "UPDATE watched_checks SET received_at = now() - interval '1 minute'")
    deliver(side.platform)
    assert side.rows("SELECT title, state FROM tasks") == [("Checks fail on main: unit", "queued")]
    assert sum(one.stored.missed for one in side.sweep()) == 0
    assert side.rows("SELECT count(*) FROM deliveries WHERE kind = 'checks' AND state = 'change'") == [(1,)]


@github
@pytest.mark.parametrize("rules", [("opened",), ("failed:other",), ("failed:main [other/*]",)])
def test_without_a_rule_about_the_branch_its_checks_are_not_asked_for(stage: Stage, rules: tuple[str, ...]) -> None:
    side = stage.side(**DROPPED, start_rules=rules)
    _fail(stage, "unit")
    side.sweep()
    assert side.rows("SELECT * FROM watched_checks") == []
    assert [one.path for one in stage.arena.forge.requests if "check-runs" in one.path] == []


@github
def test_checks_that_cannot_be_read_hold_nothing_else_up(stage: Stage) -> None:
    side = stage.side(**DROPPED, start_rules=("failed:main", "opened"))
    _fail(stage, "unit")
    stage.arena.forge.add_issue(REPOSITORY, "It fails")
    stage.arena.forge.add_fault("status", path="/check-runs", status=403, times=9)
    swept = {one.place.service: one for one in side.sweep()}
    found = swept["github"]
    assert (found.error, found.whole, found.stored.tasks) == (None, True, 1)
    assert any(problem.startswith("the checks of its branch: ") for problem in found.problems)
    stage.arena.forge.clear_faults()
    assert sum(one.stored.missed for one in side.sweep()) == 1
