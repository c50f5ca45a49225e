"""`penstock eval find-fixes` and `check-fixes`: from two releases to a case of a set, as a person goes it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assets.evals.harvest import releases
from assets.evals.sets.eval_set import seal
from dagster_project.cli.eval.app import evals
from sandbox.protocol import Sandbox
from tests.assets.evals.released_sdists import OTHER, Registry, case_of, write_case


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> Registry:
    monkeypatch.setattr(releases, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
    return Registry(tmp_path / "registry", monkeypatch)


def test_a_found_fix_is_completed_added_and_checked(registry: Registry, tmp_path: Path) -> None:
    root = tmp_path / "home/eval_sets/toy"
    write_case(root, case_of(registry))
    seal(root)
    run = CliRunner()
    found = run.invoke(evals, ["find-fixes", "parcels", "--last", "1", "--out", str(tmp_path / "proposed")])
    assert found.exit_code == 0, found.output
    assert "1 tests fail before" in found.output and (tmp_path / "proposed/parcels-1-1-2.diff").is_file()
    folder = tmp_path / "proposed/parcels-1-1-2"
    unread = run.invoke(evals, ["add", "toy", str(folder)])
    assert unread.exit_code == 1 and "bug_class" in str(unread.exception)

    case = json.loads((folder / "case.json").read_text())
    assert case["fails"] == [OTHER]
    case |= {"bug_class": "empty-input", "family": "guard", "licence": "MIT", "split": "dev"}
    (folder / "case.json").write_text(json.dumps(case))
    (folder / "issue.md").write_text("The heaviest of none\n\nWithout parcels, none is the heaviest.\n")
    added = run.invoke(evals, ["add", "toy", str(folder)])
    assert added.exit_code == 0 and "toy 1.1.0: 2 cases" in added.output
    checked = run.invoke(evals, ["check-fixes", "toy", "--case", "parcels-1-1-2"])
    assert (checked.exit_code, checked.output) == (0, "parcels-1-1-2: sound\n")


def test_a_missing_package_is_named(registry: Registry, tmp_path: Path) -> None:
    done = CliRunner().invoke(evals, ["find-fixes", "nowhere", "--out", str(tmp_path / "proposed")])
    assert done.exit_code == 1
    assert "nowhere" in done.output and not (tmp_path / "proposed").exists()
