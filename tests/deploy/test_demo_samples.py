"""The demo's sample repositories and their webhook bodies."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo_build", ROOT / "deploy" / "demo" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _pytest(directory: Path) -> dict[str, str]:
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider"]
    output = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False).stdout
    lines = [line.split(" ") for line in output.splitlines() if line.startswith(("PASSED ", "FAILED ", "ERROR "))]
    return {name: outcome for outcome, name, *_ in lines}


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("parcel_quotes", "f5859e6eea8407a77e60fe237bc6786cda1e47a5"),
        ("bank_feed", "f32b13d8eaa1871353548f4ac967b8027bfc53d6"),
    ],
)
def test_a_sample_has_the_same_commits_on_every_machine(
    demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, head: str
) -> None:
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody Else")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert demo.build(name, tmp_path / name).head == head


@pytest.mark.parametrize("name", ["parcel_quotes", "bank_feed"])
def test_exactly_the_named_tests_of_a_sample_fail(demo: ModuleType, tmp_path: Path, name: str) -> None:
    sample = demo.build(name, tmp_path / name)
    outcomes = _pytest(sample.directory)
    assert sorted(test for test, outcome in outcomes.items() if outcome != "PASSED") == sorted(sample.failing_tests)
    assert len(outcomes) > 25


def test_the_resolvable_sample_is_fixed_by_one_edit(demo: ModuleType, tmp_path: Path) -> None:
    sample = demo.build("parcel_quotes", tmp_path / "repo")
    bands = sample.directory / "parcelquote" / "bands.py"
    bands.write_text(bands.read_text().replace("number < step.bound", "number <= step.bound"))
    outcomes = _pytest(sample.directory)
    assert len(outcomes) >= 40
    assert set(outcomes.values()) == {"PASSED"}


def test_a_directory_that_is_not_empty_is_not_changed(demo: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(demo.SampleError, match="not empty"):
        demo.build("bank_feed", tmp_path)


def test_an_unknown_sample_names_the_known_ones(demo: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(demo.SampleError, match="bank_feed, parcel_quotes"):
        demo.build("nothing", tmp_path)


def test_the_webhook_body_is_only_about_the_sample(demo: ModuleType, tmp_path: Path) -> None:
    sample = demo.build("bank_feed", tmp_path / "repo")
    payload = demo.issue_payload(sample, 23)
    assert (payload["action"], payload["issue"]["number"]) == ("opened", 23)
    assert payload["repository"]["full_name"] == "kontorwerk/bankfeed"
    assert payload["issue"]["title"] == sample.issue_title
    assert payload["issue"]["body"] == sample.issue_body
    assert payload["issue"]["html_url"] == "https://github.com/kontorwerk/bankfeed/issues/23"
    text = json.dumps(payload)
    assert "Codertocat" not in text
    assert "Hello-World" not in text


def test_the_webhook_body_has_every_field_of_a_recorded_one(demo: ModuleType, tmp_path: Path) -> None:
    recorded = json.loads((demo.WEBHOOK / "issues.opened.json").read_text())
    payload = demo.issue_payload(demo.build("bank_feed", tmp_path / "repo"), 1)
    for part in ("issue", "repository", "sender"):
        assert payload[part].keys() == recorded[part].keys()
