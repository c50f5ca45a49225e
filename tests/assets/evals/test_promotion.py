"""A candidate becomes the default only if its verdict allows it; of two at once one succeeds; promotions roll back."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import ExecuteInProcessResult, materialize
from typer.testing import CliRunner

from assets.evals.bench import EvalBench
from assets.evals.default_assets import platform_default
from assets.evals.promote.promotion import Promoted, PromotionRefused, promote, roll_back
from assets.evals.runs.results import RunRecord
from assets.evals.runs.scripted import Quality, ScriptedSubject
from assets.evals.runs.store import ResultStore
from assets.evals.runs.subject_settings import settings_of
from assets.evals.sets.eval_set import EvalSet
from assets.executions.engines.model.prompts import load_prompts
from core.defaults import FILE, DefaultsError, read_defaults
from core.settings import SettingsError, describe, load_settings
from dagster_project.cli.app import app
from dagster_project.eval_defaults import gone_since
from dagster_project.jobs.evals import roll_back_default
from tests.assets.evals.eval_cases import plain_set, record_of, run_it

SEARCH = {"engine": "search", "budget_seconds": "120", "embedding_model": "wordllama"}
MODEL = {
    "engine": "model", "budget_seconds": "120", "embedding_model": "wordllama", "model": "ollama/coder@sha256:0123",
    "budget_model": "40 steps, 400000 tokens, 5 money", "prompt:v1/system": "aa", "prompt:v1/task": "bb",
}  # fmt: skip


class Stated(ScriptedSubject):
    """A scripted subject with the identity of a real one."""

    def __init__(self, name: str, identity: dict[str, str], skill: float = 1.0) -> None:
        super().__init__(Quality(skill=skill, noise=0.0), name)
        self._stated = identity

    def identity(self) -> dict[str, str]:
        return self._stated


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> tuple[EvalSet, ResultStore, dict[str, RunRecord]]:
    root = tmp_path_factory.mktemp("bench")
    found, store = plain_set(root / "toy", 90), ResultStore(root / "evals")
    subjects = {
        "base": Stated("base", SEARCH, skill=0.0),
        "model": Stated("model", MODEL),
        "other": Stated("other", MODEL | {"model": "ollama/other@sha256:4567"}, skill=2.0),
        "worse": Stated("worse", MODEL, skill=-2.5),
        "quick": Stated("quick", SEARCH | {"budget_seconds": "60"}),
        "twin": Stated("twin", SEARCH),
        "retrieval": Stated("retrieval", {"engine": "retrieval", "embedding_model": "hashing"}, skill=2.5),
        "retrieval-base": Stated("retrieval-base", {"engine": "retrieval", "embedding_model": "wordllama"}),
        "scripted": Stated("scripted", {"engine": "scripted"}),
    }
    return found, store, {name: run_it(store, found, subject) for name, subject in subjects.items()}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("ENGINE", "CHAT_MODEL", "CHAT_PROMPTS", "CONFIG", "EMBEDDING_MODEL"):
        monkeypatch.delenv(f"PENSTOCK_{name}", raising=False)
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    yield tmp_path


@pytest.fixture
def ask(bench: tuple[EvalSet, ResultStore, dict[str, RunRecord]], home: Path) -> Any:
    _, store, runs = bench

    def ask(baseline: str, candidate: str, **more: Any) -> Promoted:
        return promote(home, store, runs[baseline], runs[candidate], by="ada@here", **more)

    return ask


def test_a_better_candidate_becomes_the_default_of_new_tasks(ask: Any, home: Path) -> None:
    done = ask("base", "model")
    assert done.fresh
    settings = load_settings()
    assert (settings.engine, settings.chat_model, settings.chat_prompts) == ("model", "ollama/coder", "v1")
    assert next(row["origin"] for row in describe(settings) if row["name"] == "engine") == "promoted by evals"
    change = done.change
    assert (change.version, change.by, change.verdict, change.candidate) == (1, "ada@here", "better", "model")
    assert Path(change.report).read_text().startswith("<!doctype html>")
    assert "is better than base" in change.reason


def test_promoting_again_changes_nothing(ask: Any, home: Path) -> None:
    ask("base", "model")
    before = (home / FILE).read_bytes()
    assert not ask("base", "model").fresh
    assert (home / FILE).read_bytes() == before


def test_a_rollback_restores_the_previous_defaults(ask: Any, home: Path) -> None:
    ask("base", "model")
    done = roll_back(home, by="ada")
    assert (done.fresh, done.defaults.values, done.change.undoes) == (True, {}, 1)
    assert load_settings().engine == "search"
    assert not roll_back(home, by="ada", version=1).fresh
    with pytest.raises(PromotionRefused, match="nothing is promoted"):
        roll_back(home, by="ada")
    again = ask("base", "model")
    assert (again.fresh, again.change.version, load_settings().engine) == (True, 3, "model")


def test_promotions_are_rolled_back_newest_first(
    bench: tuple[EvalSet, ResultStore, dict[str, RunRecord]], ask: Any, home: Path
) -> None:
    ask("base", "model")
    ask("model", "other")
    assert load_settings().chat_model == "ollama/other"
    with pytest.raises(PromotionRefused, match="version 1 cannot be rolled back: version 2 is in force, on top of it"):
        roll_back(home, by="ada", version=1)
    assert roll_back(home, by="ada").change.undoes == 2
    assert load_settings().chat_model == "ollama/coder"
    assert roll_back(home, by="ada").change.undoes == 1
    assert load_settings().engine == "search"


@pytest.mark.parametrize(
    ("baseline", "candidate", "said"),
    [
        ("base", "worse", r"the default stays unchanged\. Worse: worse is worse than base"),
        ("base", "twin", "have the same settings"),
        ("base", "scripted", "scripted represents no settings of the platform"),
        ("model", "other", "model is not the present default: it was tested with chat_model ollama/coder, but the "),
    ],
)
def test_an_unsafe_candidate_is_refused(ask: Any, home: Path, baseline: str, candidate: str, said: str) -> None:
    with pytest.raises(PromotionRefused, match=said):
        ask(baseline, candidate)
    assert read_defaults(home).version == 0


def test_incomplete_or_inconclusive_runs_or_runs_of_other_versions_are_not_promoted(
    bench: tuple[EvalSet, ResultStore, dict[str, RunRecord]], home: Path, tmp_path: Path
) -> None:
    found, store, runs = bench
    half = record_of(found, Stated("half", MODEL), "half")
    with store.journal(half) as journal:
        for row in store.rows("model")[:45]:
            journal.append(row)
    newer = plain_set(tmp_path / "toy", 90, size=5, version="2.0.0")
    small = plain_set(tmp_path / "small", 4, size=1, version="3.0.0")
    others = {
        "incomplete or damaged results cannot be promoted: half: 45 of 90": (runs["base"], half),
        "run the baseline again on the new version": (
            runs["base"], run_it(store, newer, Stated("newer", MODEL), "newer"),
        ),
        r"the default stays unchanged\. Inconclusive": (
            run_it(store, small, Stated("few", SEARCH), "few"), run_it(store, small, Stated("tiny", MODEL), "tiny"),
        ),
    }  # fmt: skip
    for said, (baseline, candidate) in others.items():
        with pytest.raises(PromotionRefused, match=said):
            promote(home, store, baseline, candidate, by="ada")
    assert read_defaults(home).version == 0


def test_a_subject_that_changed_since_its_test_is_refused(ask: Any) -> None:
    with pytest.raises(PromotionRefused, match="has changed since it was tested: prompt v1/task has changed"):
        ask("base", "model", still_there=lambda _: ["prompt v1/task has changed"])


def test_of_two_concurrent_promotions_one_succeeds(ask: Any, home: Path) -> None:
    ready, ended = threading.Barrier(2), []

    def one(candidate: str) -> None:
        ready.wait()
        try:
            ended.append(ask("base", candidate).change.candidate)
        except PromotionRefused as refused:
            ended.append(str(refused))

    threads = [threading.Thread(target=one, args=(name,)) for name in ("model", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [winner] = [end for end in ended if end in ("model", "other")]
    [loser] = [end for end in ended if end != winner]
    assert "is not the present default" in loser
    assert [change.candidate for change in read_defaults(home).history] == [winner]


def test_a_users_setting_overrides_the_promoted_one_and_a_remark_says_so(
    ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_ENGINE", "search")
    done = ask("base", "model")
    assert load_settings().engine == "search"
    assert (
        "engine is set by environment PENSTOCK_ENGINE, which overrides the promoted value: remove it there"
        in done.remarks
    )
    monkeypatch.delenv("PENSTOCK_ENGINE")
    assert load_settings().engine == "model"


def test_only_differing_settings_are_changed_and_other_limits_are_reported(
    ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask("base", "quick").change.after == {"task_seconds": "60"}
    assert load_settings().task_seconds == 60
    monkeypatch.setenv("PENSTOCK_HOME", str(load_settings().home / "another"))
    monkeypatch.setenv("PENSTOCK_TASK_SECONDS", "300")
    assert "it was tested with the limit task_seconds 120; the platform uses 300" in ask("base", "model").remarks


def test_promoting_an_embedding_model_leaves_the_index_to_its_migration(ask: Any) -> None:
    done = ask("retrieval-base", "retrieval")
    assert load_settings().embedding_model == "hashing"
    assert any("penstock migrate start --to hashing" in remark for remark in done.remarks)


def test_a_damaged_file_of_defaults_is_named(home: Path) -> None:
    (home / FILE).write_text('{"values": {"engine": ')
    with pytest.raises(SettingsError, match=r"defaults\.json cannot be read .* or remove it"):
        load_settings()
    with pytest.raises(DefaultsError, match=r"defaults\.json cannot be read"):
        roll_back(home, by="ada")


def test_the_file_keeps_every_change(ask: Any, home: Path) -> None:
    ask("base", "model")
    roll_back(home, by="bob")
    kept = json.loads((home / FILE).read_text())
    assert [(one["version"], one["kind"], one["by"]) for one in kept["history"]] == [
        (1, "promotion", "ada@here"), (2, "rollback", "bob"),
    ]  # fmt: skip


def test_settings_come_from_the_tested_identity() -> None:
    assert settings_of(MODEL) == {
        "engine": "model", "task_seconds": "120", "embedding_model": "wordllama", "chat_model": "ollama/coder",
        "chat_prompts": "v1", "chat_steps": "40", "chat_tokens": "400000", "chat_money": "5",
    }  # fmt: skip
    assert settings_of({"engine": "scripted", "skill": "1"}) == {}


def test_one_dagster_job_promotes_and_another_rolls_back(
    bench: tuple[EvalSet, ResultStore, dict[str, RunRecord]], home: Path
) -> None:
    _, store, _ = bench
    resource = EvalBench(store, lambda name: home / name, _none, lambda: "abc", who=lambda: "ada@here")

    def run(candidate: str) -> ExecuteInProcessResult:
        return materialize(
            [platform_default],
            resources={"eval_bench": resource},
            run_config={"ops": {"platform_default": {"config": {"baseline": "base", "candidate": candidate}}}},
            raise_on_error=False,
        )

    refused = run("worse")
    assert not refused.success
    assert "the default stays unchanged. Worse" in str([event.event_specific_data for event in refused.all_events])
    done = run("model")
    shown = done.asset_materializations_for_node("platform_default")[0].metadata
    assert (shown["version"].value, shown["verdict"].value) == (1, "better")
    assert read_defaults(home).history[0].by.startswith("ada@here, Dagster run ")
    assert "| engine | own default | model |" in str(shown["changed"].value)
    for _ in range(2):
        back = roll_back_default.execute_in_process(
            run_config={"ops": {"take_promotion_back": {"config": {"version": 1}}}},
            resources={"eval_bench": resource},
        )
        assert back.success
    assert [change.kind for change in read_defaults(home).history] == ["promotion", "rollback"]


def _none(text: str) -> Any:
    raise AssertionError(f"{text} is not to be opened")


def test_the_command_line_promotes_shows_and_rolls_back(
    bench: tuple[EvalSet, ResultStore, dict[str, RunRecord]], home: Path
) -> None:
    _, store, _ = bench
    (home / "evals").symlink_to(store.root)

    def penstock(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["eval", *arguments])

    assert "nothing is promoted" in str(penstock("rollback").exception)
    refused = penstock("promote", "base", "model")
    assert "the subject has changed since it was tested" in str(refused.exception)
    done = penstock("promote", "base", "quick")
    assert done.exit_code == 0, done.exception
    assert "promoted: version 1, task_seconds: own default → 60" in done.stdout
    assert "to undo this: penstock eval rollback 1" in done.stdout
    assert "promoted already" in penstock("promote", "base", "quick").stdout
    shown = json.loads(penstock("defaults", "--json").stdout)
    rows = {row["name"]: (row["value"], row["origin"]) for row in shown["settings"]}
    assert (rows["task_seconds"], rows["engine"]) == (("60.0", "promoted by evals"), ("search", "default"))
    assert "task_seconds: own default → 60  better" in penstock("defaults").stdout
    assert "rolled back: version 2, task_seconds: 60 → own default" in penstock("rollback", "1").stdout
    assert "rolled back already" in penstock("demote", "1").stdout
    assert load_settings().task_seconds == 120


def test_changes_of_a_subject_since_its_run_are_listed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_MODELS", str(home / "models"))
    hashes = load_prompts("v1").hashes
    prompts = {f"prompt:{name}": digest for name, digest in hashes.items()}
    found, store = plain_set(home / "toy", 3), ResultStore(home / "evals")
    sound = {"engine": "search", "embedding_model": "hashing", **prompts}
    assert gone_since(record_of(found, Stated("sound", sound), "sound")) == []
    harmed = sound | {"engine": "model", "model": "nowhere@sha256:1", "embedding_model": "unheard-of", "tools": "0"}
    harmed |= {next(iter(prompts)): "0", "prompt:v0/system": "1"}
    said = "\n".join(gone_since(record_of(found, Stated("harmed", harmed), "harmed")))
    for part in ("no chat model 'nowhere'", "has changed", "no prompts 'v0'", "unheard-of", "the tools"):
        assert part in said
    assert store.runs() == []
