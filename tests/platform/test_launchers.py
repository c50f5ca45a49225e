"""The platform resolves a task with Dagster's own run launcher too, also when the warm one cannot work."""

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import RunningPlatform, issue, make_repository

pytestmark = [pytest.mark.services, pytest.mark.timeout(700)]


@pytest.mark.parametrize("case", ["stock", "warm that does not work"])
def test_a_delivery_ends_resolved_with_the_stock_launcher(
    case: str,
    start_platform: Callable[..., RunningPlatform],
    new_delivery: Callable[[], str],
    tmp_path: Path,
) -> None:
    settings = {"PENSTOCK_RUN_LAUNCHER": case.split()[0]}
    if case == "warm that does not work":
        # As if an upgrade of Dagster had renamed what the launcher stands on.
        (tmp_path / "sitecustomize.py").write_text(
            "import sys\nif 'dagster_project.warm.self_check' in sys.orig_argv:\n"
            "    import dagster._grpc.impl as changed\n    del changed.core_execute_run\n"
        )
        settings["PYTHONPATH"] = str(tmp_path)
    platform = start_platform(**settings)
    repository = make_repository(tmp_path / "repositories" / "shop")
    platform.cli("index", "add", "shop", str(repository), "--repository", "acme/shop")
    assert platform.deliver(issue("acme/shop", 1), new_delivery()).status_code == 202
    platform.wait_for("resolved", lambda: list(platform.tasks().values()) == ["resolved"], 180)
    assert platform.state["run_launcher"] == "stock"
    assert "warm" not in platform.state["processes"]
    assert ("Dagster's own launcher" in platform.log.read_text()) == (case == "warm that does not work")
