"""The engine `model` with a real small model behind a real Ollama, as a subject of evals: what it says is nonsense, and
every request, answer and count is real."""

import json
from pathlib import Path
from typing import Any

import pytest

from assets.evals.runs.subject import Attempt, CaseOutcome
from assets.evals.sets.eval_set import Case
from assets.evals.sets.repair import load_cases
from dagster_project.subjects.registry import open_subject

SET = Path(__file__).parents[2] / "eval_sets" / "repair"


@pytest.mark.services
@pytest.mark.timeout(900)
def test_a_small_model_works_through_a_case_and_is_judged(
    ollama: Any, ollama_chat: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models" / "small"
    folder.mkdir(parents=True)
    (folder / "chat.toml").write_text(
        f'provider = "ollama"\nurl = "{ollama.url}"\nmodel = "{ollama_chat}"\nnative_tools = false\n'
        "context_tokens = 1024\nanswer_tokens = 32\ntimeout = 800\nretries = 0\n"
    )
    monkeypatch.setenv("PENSTOCK_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
    case = next(case for case in load_cases(SET) if case.fields.expected == "resolved")
    subject = open_subject("model:model=small,steps=1,seconds=840")
    subject.start()
    given = Case(case.id, case.fields.split, case.fields.cluster, {}, case)
    found = subject.solve(Attempt(given, 0, 1, 840.0, tmp_path / "attempt"))
    assert found.outcome in (CaseOutcome.UNRESOLVED, CaseOutcome.WRONG, CaseOutcome.CORRECT), found.summary
    # On a processor that others use too it reads a few tokens a second: one answer is what there is time for.
    assert found.metrics["iterations"] == 1
    assert 200 < found.metrics["tokens"] <= 1024
    assert found.metrics["cost"] == 0.0
    entries = [json.loads(line) for line in (tmp_path / "attempt" / "trajectory.jsonl").read_text().splitlines()]
    assert [entry["kind"] for entry in entries].count("ask") == 1
    assert entries[-1]["kind"] == "end" and "gone" not in entries[-1]["body"]["summary"]
    assert len(subject.identity()["model_digest"]) == len("sha256:") + 16
