"""The choice of the engine by rules over general facts."""

from dataclasses import replace

import pytest

from core.engine_rules import DEFAULT_RULES, ENGINES, BadEngineRule, Facts, choose_engine, read_engine_rules
from core.settings import SettingsError, load_settings

PYTHON = Facts("python", searchable=True, derived=False, seconds=120.0, model=True)
GO = replace(PYTHON, language="go", searchable=False)


@pytest.mark.parametrize(
    ("facts", "engine", "why"),
    [
        (replace(PYTHON, model=False), "search", "`search:no-model`: no chat model is configured."),
        (GO, "model", "`model:other-language`: the program is not written in Python."),
        (replace(PYTHON, seconds=10), "search", "`search:under-20s`: the budget is under 20 s."),
        (PYTHON, "hybrid", "`hybrid`: no earlier rule holds."),
        (replace(PYTHON, derived=True), "hybrid", "`hybrid`"),
    ],
)
def test_the_rules_that_are_built_in(facts: Facts, engine: str, why: str) -> None:
    chosen, said = choose_engine(read_engine_rules(DEFAULT_RULES), facts)
    assert chosen == engine and why in said and said.startswith(f"Engine {engine} was chosen")


def test_all_conditions_of_a_rule_must_hold_and_the_first_rule_decides() -> None:
    rules = read_engine_rules(
        ["model:go+over-60s", "model:derived-test", "search:failing-test+under-60s", "hybrid:model"]
    )
    assert choose_engine(rules, GO)[0] == "model"
    assert choose_engine(rules, replace(GO, seconds=59))[0] == "hybrid"
    assert choose_engine(rules, replace(PYTHON, derived=True))[0] == "model"
    assert choose_engine(rules, replace(PYTHON, seconds=59.9))[0] == "search"
    assert choose_engine(rules, replace(PYTHON, seconds=60))[0] == "hybrid"


def test_an_engine_that_cannot_work_on_the_task_is_passed_over() -> None:
    assert choose_engine(read_engine_rules(["search"]), GO)[0] == "model"
    assert choose_engine(read_engine_rules(["model", "search:go"]), replace(PYTHON, model=False))[0] == "search"
    assert choose_engine(read_engine_rules(["search:go", "model"]), replace(GO, searchable=True))[0] == "search"
    assert "no rule" in choose_engine(read_engine_rules(["search:rust"]), PYTHON)[1]


@pytest.mark.parametrize(
    "text", ["", "magic", "search:", "search:on-mondays", "model:under-s", "hybrid:under-9999999s", "auto"]
)
def test_a_rule_that_cannot_be_read_is_quoted(text: str) -> None:
    with pytest.raises(BadEngineRule, match=repr(text)):
        read_engine_rules([text])


def test_there_are_at_most_so_many_rules() -> None:
    with pytest.raises(BadEngineRule, match="at most 20"):
        read_engine_rules(["search"] * 21)


def test_rules_come_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_ENGINE", "auto")
    monkeypatch.setenv("PENSTOCK_ENGINE_RULES", "model:go; search")
    settings = load_settings()
    assert (settings.engine, settings.engine_rules) == ("auto", ("model:go", "search"))
    monkeypatch.setenv("PENSTOCK_ENGINE_RULES", "model:never")
    with pytest.raises(SettingsError, match="engine_rules"):
        load_settings()


def test_the_engine_of_tasks_that_name_none_is_still_the_search() -> None:
    assert load_settings().engine == "search" and "auto" not in ENGINES
