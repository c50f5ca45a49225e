"""Newly registered models and prompts are compared with the default: each once, and one run at a time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus, RunRequest, build_sensor_context
from dagster._core.test_utils import create_run_for_test

from assets.evals.promote.candidates import GIVEN_UP_AFTER, MAX_OPEN, Candidate, Watched
from assets.platform import Platform
from core.embedding import catalogue
from core.embedding.spec import BuiltIn
from core.settings import load_settings
from dagster_project.definitions import defs
from dagster_project.subjects.registry import open_subject
from sensors.evals import tick

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Ticks:
    """The sensor with its cursor, and the runs that it requests."""

    def __init__(self, platform: Platform, instance: DagsterInstance) -> None:
        self.platform, self.instance, self.cursor = platform, instance, None

    def look(self) -> list[RunRequest]:
        with build_sensor_context(instance=self.instance, cursor=self.cursor) as context:
            result = tick(context, self.platform)
        self.cursor = result.cursor  # type: ignore[assignment]
        for request in result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        return list(result.run_requests or [])

    def ends(self, request: RunRequest, status: DagsterRunStatus = DagsterRunStatus.SUCCESS) -> None:
        create_run_for_test(self.instance, job_name=request.job_name or "", status=status, tags=request.tags)


@pytest.fixture
def ticks(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ticks]:
    for name, value in (("HOME", tmp_path), ("MODELS", tmp_path / "models"), ("EMBEDDING_MODEL", "hashing")):
        monkeypatch.setenv(f"PENSTOCK_{name}", str(value))
    for name in ("CONFIG", "ENGINE", "CHAT_MODEL"):
        monkeypatch.delenv(f"PENSTOCK_{name}", raising=False)
    platform = Platform(load_settings(), database_url)
    platform.models.in_use()
    with DagsterInstance.ephemeral() as instance:
        yield Ticks(platform, instance)
    platform.close()


def describe_chat(tmp_path: Path, name: str, model: str = "coder") -> None:
    folder = tmp_path / "models" / name
    folder.mkdir(parents=True, exist_ok=True)
    text = f'provider = "openai"\nurl = "http://127.0.0.1:9/v1"\nmodel = "{model}"\n'
    (folder / "chat.toml").write_text(text)


def test_what_is_registered_before_the_first_tick_is_not_compared(ticks: Ticks, tmp_path: Path) -> None:
    describe_chat(tmp_path, "old")
    assert ticks.look() == []
    assert ticks.look() == []


def test_a_new_chat_model_is_compared_in_three_runs_one_after_another(ticks: Ticks, tmp_path: Path) -> None:
    ticks.look()
    describe_chat(tmp_path, "fresh")
    [baseline] = ticks.look()
    assert str(baseline.partition_key) == "repair|search"
    assert [request.run_key for request in ticks.look()] == [baseline.run_key], "until the run is there"
    ticks.ends(baseline, DagsterRunStatus.STARTED)
    assert ticks.look() == []
    [record] = ticks.instance.get_run_records()
    ticks.instance.delete_run(record.dagster_run.run_id)
    ticks.ends(baseline)
    [candidate] = ticks.look()
    assert candidate.partition_key.keys_by_dimension == {"set": "repair", "subject": "model:model=fresh"}  # type: ignore[union-attr]
    ticks.ends(candidate)
    [comparison] = ticks.look()
    runs = {part: request.run_config["ops"]["eval_results"]["config"]["run"]
            for part, request in (("baseline", baseline), ("candidate", candidate))}  # fmt: skip
    assert comparison.run_config == {"ops": {"eval_comparison": {"config": runs}}}
    assert comparison.job_name == "compare_evals"
    ticks.ends(comparison)
    assert ticks.look() == []
    assert Watched.model_validate_json(ticks.cursor or "").open == ()


def test_a_step_that_failed_is_left_to_the_user(ticks: Ticks, tmp_path: Path) -> None:
    ticks.look()
    describe_chat(tmp_path, "fresh")
    [baseline] = ticks.look()
    ticks.ends(baseline, DagsterRunStatus.FAILURE)
    assert ticks.look() == []
    assert ticks.look() == []


def test_a_description_that_changed_is_a_new_candidate(ticks: Ticks, tmp_path: Path) -> None:
    describe_chat(tmp_path, "fresh")
    ticks.look()
    describe_chat(tmp_path, "fresh", model="coder-2")
    assert len(ticks.look()) == 1


def test_a_new_embedding_model_is_compared_with_the_one_in_use(ticks: Ticks) -> None:
    ticks.look()
    catalogue.register(ticks.platform.database, BuiltIn(name="small", provider="hashing", dimensions=64))
    [baseline] = ticks.look()
    assert str(baseline.partition_key) == "localisation|retrieval:model=hashing"
    ticks.ends(baseline)
    assert str(ticks.look()[0].partition_key) == "localisation|retrieval:model=small"


def test_new_prompts_are_compared_under_the_chat_model_in_use(
    ticks: Ticks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = ["v1"]
    monkeypatch.setattr("sensors.evals.prompt_versions", lambda: versions)
    describe_chat(tmp_path, "mine")
    for name, value in (("ENGINE", "model"), ("CHAT_MODEL", "mine"), ("CHAT_PROMPTS", "v1")):
        monkeypatch.setenv(f"PENSTOCK_{name}", value)
    ticks.look()
    versions.append("v9")
    [baseline] = ticks.look()
    assert str(baseline.partition_key) == "repair|model:model=mine"
    ticks.ends(baseline)
    assert str(ticks.look()[0].partition_key) == "repair|model:model=mine,prompts=v9"


def test_a_promoted_default_is_not_compared_with_its_predecessor(
    ticks: Ticks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe_chat(tmp_path, "one")
    describe_chat(tmp_path, "two")
    for name, value in (("ENGINE", "model"), ("CHAT_MODEL", "one")):
        monkeypatch.setenv(f"PENSTOCK_{name}", value)
    ticks.look()
    monkeypatch.setenv("PENSTOCK_CHAT_MODEL", "two")
    assert ticks.look() == []
    describe_chat(tmp_path, "three")
    monkeypatch.setenv("PENSTOCK_CHAT_MODEL", "three")
    assert ticks.look() == [], "the default is not compared with itself"


def test_many_new_candidates_are_taken_in_turn_and_dropped_after_a_while() -> None:
    many = [Candidate("chat model", f"m{n}", "d", "repair", "search", f"model:model=m{n}") for n in range(MAX_OPEN + 5)]
    watched = Watched().look([], NOW).look(many, NOW)
    assert len(watched.open) == MAX_OPEN
    watched = watched.without(many[0])
    assert many[0] not in [one for one, _ in watched.candidates()]
    watched = watched.look(many, NOW)
    assert len(watched.open) == MAX_OPEN
    later = watched.look(many, NOW + GIVEN_UP_AFTER)
    assert [one.name for one, _ in later.candidates()] == [one.name for one in many[MAX_OPEN + 1 :]]
    assert later.look(many, NOW + 3 * GIVEN_UP_AFTER + timedelta(1)).open == ()


def test_the_sensor_is_off_by_default() -> None:
    found = defs.get_repository_def().get_sensor_def("eval_candidate_sensor")
    assert found.default_status.value == "STOPPED"


@pytest.mark.parametrize(
    "text", ["search", "model:model=fresh", "model:model=fresh,prompts=v1", "retrieval:model=hashing"]
)
def test_every_requested_subject_can_be_opened(ticks: Ticks, text: str) -> None:
    assert open_subject(text).name
