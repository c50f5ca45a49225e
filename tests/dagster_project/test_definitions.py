import json
from datetime import timedelta
from pathlib import Path

import yaml
from dagster import AssetKey, DagsterInstance, DagsterRunStatus
from dagster._core.test_utils import create_run_for_test
from dagster._time import get_current_datetime

from assets.platform import Platform
from core.settings import Settings
from dagster_project import instance
from dagster_project.definitions import defs
from dagster_project.jobs import tasks as jobs


def test_the_definitions_are_complete() -> None:
    repository = defs.get_repository_def()
    graph = repository.asset_graph
    shape = {
        "assets": {key.to_user_string(): sorted(k.to_user_string() for k in graph.get(key).parent_keys)
                   for key in graph.get_all_asset_keys()},
        "jobs": sorted(j.name for j in repository.get_all_jobs() if not j.name.startswith("__")),
        "sensors": sorted(s.name for s in repository.sensor_defs),
        "schedules": sorted(s.name for s in repository.schedule_defs),
        "checks": sorted(key.name for key in graph.asset_check_keys),
    }  # fmt: skip
    assert shape == {
        "assets": {
            "context_index": [],
            "ticket_index": [],
            "task_context": ["context_index"],
            "plan": ["task_context"],
            "environment": [],
            "execution": ["plan"],
            "result": ["execution"],
            "model_migration": [],
            "embedding_models": [],
            "eval_cases": [],
            "eval_results": ["eval_cases"],
            "eval_pair": ["eval_results"],
            "eval_comparison": ["eval_pair"],
            "platform_default": ["eval_comparison"],
            "object_types": [],
            "research/question": [],
            "research/decomposition": ["research/question"],
            "research/search": ["research/decomposition"],
            "research/analysis": ["research/search"],
            "research/synthesis": ["research/analysis"],
            "research/report": ["research/synthesis"],
            "service/code": [],
            "service/version": ["service/code"],
        },
        "jobs": [
            "begin_migration",
            "check_ledger",
            "compare_evals",
            "follow_patches",
            "index_vectors",
            "keep_models",
            "migrate_model",
            "promote_default",
            "prune_context",
            "prune_events",
            "prune_runs",
            "prune_tasks",
            "publish_pending",
            "refresh_context",
            "resolve_task",
            "roll_back_default",
            "run_evals",
            "steer_migration",
            "sweep",
        ],
        "sensors": [
            "change_sensor",
            "eval_candidate_sensor",
            "migration_request_sensor",
            "migration_sensor",
            "object_event_sensor",
            "object_type_sensor",
            "publication_sensor",
            "reconciler",
            "stale_source_sensor",
            "sweep_sensor",
            "task_sensor",
        ],
        "schedules": [
            "check_ledger_schedule",
            "eval_baseline_nightly",
            "follow_patches_schedule",
            "index_vectors_schedule",
            "keep_models_schedule",
            "prune_context_schedule",
            "prune_events_schedule",
            "prune_runs_schedule",
            "prune_tasks_schedule",
        ],
        "checks": [
            "allowed_paths",
            "applies",
            "baseline_has_not_drifted",
            "candidate_may_replace_baseline",
            "cases_are_distinct",
            "counts_agree_with_git",
            "failing_tests_pass",
            "ledger_balances",
            "migration_moves",
            "models_are_known",
            "models_can_go_on_their_day",
            "new_model_is_safe",
            "no_answer_in_the_query",
            "no_duplicate_keys",
            "no_fix_in_the_history",
            "no_orphan_chunks",
            "nothing_is_missing",
            "related",
            "reproduced",
            "resolved",
            "results_are_sound",
            "results_are_sound",
            "results_are_whole",
            "results_are_whole",
            "serving_models_cover_everything",
            "suite_no_worse",
            "undisputed",
            "vectors_are_sound",
            "versions_are_known",
            "versions_are_known",
        ],
    }


def test_no_gate_check_blocks_the_result() -> None:
    graph = defs.get_repository_def().asset_graph
    tasks = [node for node in graph.assets_defs if set(node.group_names_by_key.values()) == {"tasks"}]
    assert tasks
    assert not any(spec.blocking for node in tasks for spec in node.check_specs)
    assert graph.get(AssetKey("result")).partitions_def is not None


def test_no_instance_file_holds_a_password(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url="postgresql://u:hunter2@localhost/x")
    folder = instance.write(settings)
    text = (folder / "dagster.yaml").read_text() + (folder / "workspace.yaml").read_text()
    assert "hunter2" not in text
    config = yaml.safe_load((folder / "dagster.yaml").read_text())
    assert config["telemetry"] == {"enabled": False}
    assert config["run_launcher"]["class"] == "WarmRunLauncher"
    assert "run_launcher" not in instance.instance_config(Settings(home=tmp_path, run_launcher="stock"))
    assert json.dumps(config)


def test_old_runs_are_pruned_and_running_and_young_ones_kept(database_url: str, tmp_path: Path) -> None:
    platform = Platform(Settings(home=tmp_path, keep_runs_days=1), database_url)
    with DagsterInstance.ephemeral() as dagster:
        old = create_run_for_test(dagster, status=DagsterRunStatus.SUCCESS)
        running = create_run_for_test(dagster, status=DagsterRunStatus.STARTED)
        storage = dagster.run_storage
        with storage.connect() as connection:  # type: ignore[attr-defined]
            from dagster._core.storage.runs.schema import RunsTable

            past = get_current_datetime() - timedelta(days=3)
            connection.execute(RunsTable.update().values(create_timestamp=past.replace(tzinfo=None)))
        young = create_run_for_test(dagster, status=DagsterRunStatus.SUCCESS)
        result = jobs.prune_runs.execute_in_process(instance=dagster, resources={"platform": platform})
        assert result.success
        assert dagster.get_run_by_id(old.run_id) is None
        assert dagster.get_run_by_id(running.run_id) is not None
        assert dagster.get_run_by_id(young.run_id) is not None
    platform.close()
