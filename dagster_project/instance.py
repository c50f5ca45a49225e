"""Writes Dagster's instance and workspace files. Database addresses stay in the environment."""

from pathlib import Path
from typing import Any

import yaml

from core.settings import Settings


def files(settings: Settings) -> tuple[Path, Path, Path]:
    """Where the instance file, the workspace file and the code server's socket are."""
    home = settings.home / "dagster"
    return home / "dagster.yaml", home / "workspace.yaml", settings.run_folder / "code.sock"


def instance_config(settings: Settings) -> dict[str, Any]:
    """The content of dagster.yaml."""
    config: dict[str, Any] = {
        "storage": {"postgres": {"postgres_url": {"env": "PENSTOCK_DAGSTER_DATABASE_URL"}}},
        "sensors": {"use_threads": True, "num_workers": 8, "num_submit_workers": 4},
        "schedules": {"use_threads": True, "num_workers": 2},
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        "local_artifact_storage": {
            "module": "dagster._core.storage.root",
            "class": "LocalArtifactStorage",
            "config": {"base_dir": str(settings.home / "dagster")},
        },
        # Detects a dead worker if the process that forked it died too. A relaunch is a new run, so Dagster itself
        # neither resumes nor retries.
        "run_monitoring": {
            "enabled": True,
            "poll_interval_seconds": 5,
            "start_timeout_seconds": 120,
            "cancel_timeout_seconds": 60,
            "max_resume_run_attempts": 0,
        },
        "run_retries": {"enabled": False, "retry_on_asset_or_op_failure": False},
        "retention": {
            "schedule": {"purge_after_days": 30},
            "sensor": {"purge_after_days": {"skipped": 1, "failure": 30, "success": 30}},
        },
    }
    if settings.run_launcher == "warm":
        config["run_launcher"] = {
            "module": "dagster_project.warm.launcher",
            "class": "WarmRunLauncher",
            "config": {"socket": str(settings.run_folder / "warm.sock")},
        }
        config["run_coordinator"] = {
            "module": "dagster._core.run_coordinator",
            "class": "DefaultRunCoordinator",
        }
        # Capturing standard output starts two processes for each step; users find results in the metadata.
        config["compute_logs"] = {
            "module": "dagster._core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
        }
    else:
        config["concurrency"] = {"runs": {"max_concurrent_runs": settings.slots + 2}}
    return config


def write(settings: Settings) -> Path:
    """Writes both files and returns the Dagster home folder."""
    instance, workspace, socket = files(settings)
    instance.parent.mkdir(parents=True, exist_ok=True)
    instance.write_text(yaml.safe_dump(instance_config(settings), sort_keys=False), encoding="utf-8")
    workspace.write_text(
        yaml.safe_dump({"load_from": [{"grpc_server": {"socket": str(socket), "location_name": "penstock"}}]}),
        encoding="utf-8",
    )
    return instance.parent
