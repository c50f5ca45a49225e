"""The arithmetic from tasks an hour to machines, and its command."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from dagster_project.cli.app import app
from dagster_project.operations.capacity import (
    ASSUMED,
    MEASURED,
    UTILISATION,
    BadFigures,
    Figures,
    capacity,
    changed,
    measured,
)

ROUND = Figures(run_seconds=36, cores=8, slot_cores=1, memory_gb=64, slot_gb=2, launch_seconds=0.036,
                commits_per_task=100, commits_per_second=1000, webhooks_per_second=100, deliveries_per_task=10,
                log_per_second=1000, events_per_task=10)  # fmt: skip


@pytest.mark.parametrize(
    ("load", "slots", "machines", "fits", "bottleneck"),
    [
        (10, 1, 1, True, "runs"),  # 0.1 slots busy
        (1000, 15, 2, True, "runs"),  # 10 busy, of 0.7 * 8 on one machine
        (100_000, 1429, 179, False, "PostgreSQL"),  # 2778 commits/s, where 700 are allowed
    ],
)
def test_each_load_has_its_machines_and_its_bottleneck(
    load: float, slots: int, machines: int, fits: bool, bottleneck: str
) -> None:
    found = capacity(load, ROUND)
    assert (found.slots, found.machines, found.fits) == (slots, machines, fits)
    assert found.bottleneck.name == bottleneck


def test_what_there_is_one_of_ends_the_load() -> None:
    found = capacity(100_000, ROUND)
    assert found.most_tasks_per_hour == pytest.approx(1000 * UTILISATION / 100 * 3600)  # of PostgreSQL
    assert found.most_tasks_per_hour is not None
    assert capacity(found.most_tasks_per_hour, ROUND).fits
    assert not capacity(found.most_tasks_per_hour * 1.01, ROUND).fits
    slow = changed(ROUND, {"launch_seconds": 10})
    assert capacity(1000, slow).bottleneck.name == "Dagster daemon"


def test_memory_or_cores_limit_the_runs_of_a_machine_and_models_need_gpus() -> None:
    assert capacity(1000, changed(ROUND, {"memory_gb": 8})).machines == 4  # 4 slots on each, 2.8 in use
    found = capacity(3600, changed(ROUND, {"model_share": 0.5, "model_tokens": 7000, "model_tokens_per_second": 1000}))
    assert {one.name: one.needed for one in found.resources}["model servers"] == 5
    assert "model servers" not in {one.name for one in capacity(3600, ROUND).resources}


@given(st.floats(0.01, 1e6), st.floats(1.01, 100))
def test_more_tasks_never_need_less_and_no_unit_is_overcommitted(load: float, times: float) -> None:
    less, more = capacity(load), capacity(load * times)
    assert more.machines >= less.machines and more.slots >= less.slots
    for one in more.resources:
        assert one.demand <= one.supply * UTILISATION * max(1, one.needed) * (1 + 1e-6)
        assert one.needed == 1 or one.demand > one.supply * UTILISATION * (one.needed - 1) * (1 - 1e-6)


@pytest.mark.parametrize("load", [0, -1, math.nan, math.inf, 1e10])
def test_a_load_that_is_none_is_refused(load: float) -> None:
    with pytest.raises(BadFigures, match="tasks per hour"):
        capacity(load)


def test_figures_come_from_measurements_where_there_are_some(tmp_path: Path) -> None:
    path = tmp_path / "bench-results.json"
    path.write_text(json.dumps({"results": [{"name": MEASURED["run_seconds"], "value": 20.5}]}))
    assert measured(path) == changed(Figures(), {"run_seconds": 20.5})
    assert not set(MEASURED) & set(ASSUMED)
    for text in ("", "[]", '{"results": [{"name": "x"}]}', '{"results": 1}'):
        path.write_text(text)
        with pytest.raises(BadFigures, match="cannot be read"):
            measured(path)
    for name, value in (("cores", 0), ("cores", math.nan), ("model_share", 2), ("core", 1)):
        with pytest.raises(BadFigures, match=name):
            changed(Figures(), {name: value})


def test_the_command_names_the_bottleneck_of_each_load() -> None:
    done = CliRunner().invoke(app, ["capacity", "--json"])
    loads = json.loads(done.stdout)["loads"]
    assert [one["tasks_per_hour"] for one in loads] == [10, 1000, 100_000]
    assert all(one["bottleneck"] and one["machines"] >= 1 for one in loads)
    said = CliRunner().invoke(app, ["capacity", "--tasks-per-hour", "50", "--figure", "cores=2"])
    assert said.exit_code == 0 and "50 tasks an hour" in said.stdout and "bottleneck:" in said.stdout
    assert CliRunner().invoke(app, ["capacity", "--figure", "cores"]).exit_code == 2
