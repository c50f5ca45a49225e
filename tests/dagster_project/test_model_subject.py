"""A chat model as a subject of evals: real repair cases, a server of known quality, the judge with held-back tests."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from assets.evals.runs.subject import (
    Attempt,
    CaseOutcome,
    CaseResult,
    InfrastructureFailure,
    SubjectCannotStart,
    UnknownSubject,
)
from assets.evals.runs.subject_settings import settings_of
from assets.evals.sets.eval_set import Case
from assets.evals.sets.repair import load_cases
from dagster_project.eval_defaults import gone_since
from dagster_project.subjects.registry import open_subject
from tests.assets.evals.eval_cases import plain_set, record_of

ROOT = Path(__file__).parents[2]
SET = ROOT / "eval_sets" / "repair"


@pytest.fixture
def quality() -> Any:
    """The module `tests/chat_quality.py`, which belongs to no package."""
    specification = importlib.util.spec_from_file_location("chat_quality", ROOT / "tests" / "chat_quality.py")
    assert specification and specification.loader
    sys.modules["chat_quality"] = module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def described(chat_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "chat.toml").write_text(
        f'provider = "ollama"\nurl = "{chat_server.url}"\nmodel = "scripted"\nretries = 0\nprompt_price = 1.0\n'
    )
    monkeypatch.setenv("PENSTOCK_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))


def solved(folder: Path, text: str = "model:model=mine,seconds=60") -> CaseResult:
    case = next(case for case in load_cases(SET) if case.fields.expected == "resolved")
    subject = open_subject(text)
    subject.start()
    given = Case(case.id, case.fields.split, case.fields.cluster, {}, case)
    return subject.solve(Attempt(given, 0, 1, 60.0, folder))


@pytest.mark.parametrize(("probability", "outcome"), [(1.0, CaseOutcome.CORRECT), (0.0, CaseOutcome.UNRESOLVED)])
def test_a_model_of_known_quality_is_judged_as_it_is(
    probability: float, outcome: CaseOutcome, quality: Any, chat_server: Any, described: None, tmp_path: Path
) -> None:
    chat_server.script = quality.Solver(quality.known_of(SET), probability)
    result = solved(tmp_path)
    assert (result.outcome, result.success) == (outcome, outcome is CaseOutcome.CORRECT), result.summary
    assert result.metrics["tokens"] > 0 and result.metrics["cost"] > 0
    assert result.metrics["iterations"] == len(chat_server.requests)
    assert {request.seed for request in chat_server.requests} == {1}, "the attempt's seed goes to the server"
    assert ("code_lines" in result.metrics) is result.success


def test_a_server_that_stops_answering_is_an_infrastructure_failure(
    chat_server: Any, described: None, tmp_path: Path
) -> None:
    chat_server.always = "503"
    with pytest.raises(InfrastructureFailure, match="503"):
        solved(tmp_path)


def test_every_version_that_a_result_depends_on_is_in_the_identity(chat_server: Any, described: None) -> None:
    one, other = (open_subject(f"model:model=mine,steps={n}") for n in (5, 6))
    identity = one.identity()
    assert identity["model"].startswith("mine@sha256:") and len(identity["prompt:v2/task"]) == 64
    assert identity["model_digest"] == identity["model"].removeprefix("mine@")
    assert len(identity["prompt_hash"]) == 64 and identity["index_version"]
    assert one.identity() != other.identity() and one.name == "model-mine-60s-5"


def test_a_model_without_a_description_cannot_start(described: None) -> None:
    with pytest.raises(SubjectCannotStart, match="no chat model 'yours'"):
        open_subject("model:model=yours").start()
    with pytest.raises(SubjectCannotStart, match="no chat model 'yours'"):
        open_subject("model:model=yours").identity()
    with pytest.raises(SubjectCannotStart, match="there are no prompts 'v0'"):
        open_subject("model:model=mine,prompts=v0").identity()
    with pytest.raises(UnknownSubject, match="name the chat model"):
        open_subject("model:seconds=5")


def test_only_what_was_tested_can_be_promoted(chat_server: Any, described: None, tmp_path: Path) -> None:
    """The identity's entries are a contract with promotion: all of a subject is found again, and as settings."""
    subject = open_subject("model:model=mine,steps=7,seconds=30")
    found = plain_set(tmp_path / "toy", 3)
    record = record_of(found, subject)
    assert gone_since(record) == []
    made = settings_of(record.identity)
    assert (made["engine"], made["chat_model"], made["chat_prompts"]) == ("model", "mine", "v2")
    assert (made["chat_steps"], made["task_seconds"]) == ("7", "30")
    assert gone_since(record_of(found, open_subject("search:seconds=5"))) == []
    assert settings_of(open_subject("search:operators=-guards").identity()) == {}


class TestHybrid:
    def test_a_case_is_solved_and_its_use_is_measured(
        self, chat_server: Any, described: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("assets.executions.engines.hybrid.engine.FIRST_SHARE", 0.0)
        chat_server.script = lambda asked: chat_server.reply(
            json.dumps({"known": False}) if asked.schema else "", calls=() if asked.schema else (("give_up", {}),)
        )
        result = solved(tmp_path, "hybrid:model=mine,seconds=60,samples=2")
        assert result.outcome is CaseOutcome.CORRECT, "the search repairs it in the time that is left"
        assert result.metrics["tokens"] > 0 and result.metrics["iterations"] == len(chat_server.requests) == 4

    def test_a_server_that_does_not_answer_says_nothing_of_the_engine(
        self, chat_server: Any, described: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("assets.executions.engines.hybrid.engine.FIRST_SHARE", 0.0)
        chat_server.always = "503"
        with pytest.raises(InfrastructureFailure, match="worked as search"):
            solved(tmp_path, "hybrid:model=mine,seconds=60")

    def test_its_identity_is_that_of_both(
        self, chat_server: Any, described: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        identity = open_subject("hybrid:model=mine,samples=2").identity()
        assert identity["engine"] == "hybrid" and identity["samples"] == "2"
        assert len(identity["prompt:hybrid/places"]) == len(identity["prompt:v2/task"]) == 64
        record = record_of(plain_set(tmp_path / "toy", 3), open_subject("hybrid:model=mine"))
        assert gone_since(record) == []
        made = settings_of(identity)
        assert (made["engine"], made["chat_model"], made["chat_prompts"], made["chat_samples"]) == (
            "hybrid", "mine", "v2", "2",
        )  # fmt: skip
        alone = open_subject("hybrid").identity()
        assert alone["engine"] == "hybrid" and "model" not in alone and settings_of(alone)["engine"] == "hybrid"
        monkeypatch.setenv("PENSTOCK_CHAT_MODEL", "mine")
        assert open_subject("hybrid").identity()["model"] == identity["model"]
