"""How the newest eval runs stand, in the gateway's metrics."""

from datetime import UTC, datetime
from pathlib import Path

from starlette.testclient import TestClient

from core.health.eval_status import FILE, EvalStatus, keep_status, read_status
from core.settings import Settings

AT = datetime(2026, 3, 1, tzinfo=UTC)


def _status(run: str, at: datetime = AT, *, subject: str = "search-60s", drifted: bool | None = None) -> EvalStatus:
    return EvalStatus(
        set_name="repair", subject=subject, run=run, at=at, success=0.75, drifted=drifted, said="as before"
    )


def test_a_baseline_that_drifted_can_be_alerted_on(
    client: TestClient, settings: Settings, authorised: dict[str, str]
) -> None:
    assert "penstock_eval_drifted{" not in client.get("/metrics", headers=authorised).text
    keep_status(settings.home / "evals", _status("one", drifted=True))
    text = client.get("/metrics", headers=authorised).text
    labels = '{set="repair",subject="search-60s"}'
    for line in (
        f"penstock_eval_drifted{labels} 1.0",
        f"penstock_eval_success{labels} 0.75",
        f"penstock_eval_started_timestamp_seconds{labels} {AT.timestamp():.6e}".split(" ")[0],
    ):
        assert line in text, text
    keep_status(settings.home / "evals", _status("two", AT.replace(month=4), drifted=False))
    assert f"penstock_eval_drifted{labels} 0.0" in client.get("/metrics", headers=authorised).text


def test_an_older_run_that_ends_late_does_not_replace_a_newer_one(tmp_path: Path) -> None:
    keep_status(tmp_path, _status("new", AT.replace(month=4)))
    keep_status(tmp_path, _status("old"))
    keep_status(tmp_path, _status("other", subject="model-x"))
    assert [one.run for one in read_status(tmp_path)] == ["other", "new"]


def test_a_damaged_file_counts_as_empty_and_is_rewritten(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('[{"set_name": ')
    assert read_status(tmp_path) == []
    keep_status(tmp_path, _status("one"))
    assert [one.run for one in read_status(tmp_path)] == ["one"]
