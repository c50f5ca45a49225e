"""`penstock doctor` asks the database instead of believing in it."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from dagster_project.cli.app import app


def test_doctor_says_whether_the_database_answers_and_fails_if_not(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.backends", lambda: (SimpleNamespace(name="one", available=lambda: None),))
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", database_url)

    def doctor() -> tuple[int, str, str]:
        done = CliRunner().invoke(app, ["doctor", "--json"])
        found = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
        return done.exit_code, found["database"]["state"], found["database"]["detail"]

    assert doctor() == (0, "ok", "external, answers a query")
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", f"postgresql://penstock@/penstock?host={tmp_path}")
    code, state, detail = doctor()
    assert (code, state) == (1, "missing")
    assert detail.startswith("external, does not answer: ")
