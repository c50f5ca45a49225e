"""`penstock solve --engine model`, run as a person runs it, with a scripted server and the real sandbox."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox import backends

PENSTOCK = str(Path(sys.executable).with_name("penstock"))
SOURCE = "def page_count(items, size):\n    return items // size\n"
TESTS = "from catalogue import page_count\n\n\ndef test_rest():\n    assert page_count(21, 10) == 3\n"
CALLS = (
    (("search", {"query": "page_count"}),),
    (("edit", {"path": "catalogue.py", "old": "items // size", "new": "-(-items // size)"}), ("run_tests", {})),
)

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def solve(tmp_path: Path, chat_server: Any) -> Run:
    """Runs `penstock solve` on a small repository; the model `mine` is the scripted server's."""
    if all(backend.available() for backend in backends()):
        if os.environ.get("CI") == "true":
            pytest.fail("no sandbox backend works here")
        pytest.skip("no sandbox backend works here: `penstock doctor` says what to install")
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "catalogue.py").write_text(SOURCE)
    (repo / "test_catalogue.py").write_text(TESTS)
    (tmp_path / "issue.md").write_text("The last page is missing\n\npage_count(21, 10) says 2.\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_")}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "COLUMNS": "400"}
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "Ada", f"GIT_{role}_EMAIL": "ada@example.org"}
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "A start"]):
        subprocess.run(["git", *arguments], cwd=repo, env=environment, check=True, timeout=600)
    described = tmp_path / "models" / "mine"
    described.mkdir(parents=True)
    (described / "chat.toml").write_text(
        f'provider = "openai"\nurl = "{chat_server.url}/v1"\nmodel = "scripted"\nkey_variable = "MINE_KEY"\n'
        "retries = 0\nprompt_price = 3.0\n"
    )
    environment |= {
        "PENSTOCK_HOME": str(tmp_path / "home"),
        "PENSTOCK_MODELS": str(tmp_path / "models"),
        "MINE_KEY": "sk-a-very-secret-key",
    }

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [PENSTOCK, "solve", "--repo", str(repo), "--issue", str(tmp_path / "issue.md"), *arguments]
        return subprocess.run(
            command, env={**environment, **more}, capture_output=True, text=True, timeout=600, check=False
        )

    return run


def test_a_model_resolves_an_issue_and_its_usage_is_printed(solve: Run, chat_server: Any, tmp_path: Path) -> None:
    give_up = (("give_up", {}),)
    chat_server.script = lambda asked: chat_server.reply(calls=[*CALLS, give_up][min(asked.answers, 2)])
    done = solve("--engine", "model", "--model", "mine", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["status"] == "resolved" and "+    return -(-items // size)" in told["patch"]
    evidence = told["evidence"]
    assert (evidence["iterations"], evidence["changed_lines"]) == (2, 2)
    assert evidence["model"]["steps"] == 2 and evidence["model"]["money"] > 0
    assert "catalogue.py" in chat_server.requests[1].turns[-1][1], "the search went to the index"
    assert chat_server.keys[0] == "Bearer sk-a-very-secret-key"
    left_behind = [path.read_text() for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert not any("sk-a-very-secret-key" in text for text in [done.stdout, done.stderr, *left_behind])


def test_the_settings_choose_engine_and_model(solve: Run, chat_server: Any) -> None:
    chat_server.script = lambda _: chat_server.reply(calls=(("give_up", {}),))
    done = solve(PENSTOCK_ENGINE="model", PENSTOCK_CHAT_MODEL="mine")
    assert done.returncode == 1 and "the model gave up" in done.stdout and "1 answers" in done.stdout


def test_a_server_that_is_down_is_reported_in_one_line(solve: Run, chat_server: Any) -> None:
    chat_server.always = "503"
    done = solve("--model", "mine")
    assert done.returncode == 1 and "503" in done.stderr and "Traceback" not in done.stderr


def test_a_missing_model_is_wrong_use(solve: Run) -> None:
    done = solve("--engine", "model")
    assert done.returncode == 2
    assert "engine model needs a chat model" in done.stderr


def test_rules_choose_the_engine_and_a_hybrid_without_a_model_says_so(solve: Run, chat_server: Any) -> None:
    auto = json.loads(solve("--engine", "auto", "--json").stdout)["evidence"]
    assert auto["engine"] == "search" and "rule `search:no-model`" in auto["engine_chosen"]
    alone = json.loads(solve("--engine", "hybrid", "--json").stdout)["evidence"]
    assert alone["engine"] == "hybrid" and alone["engine_chosen"] == "" and alone["model"] is None
    assert any("No chat model is configured" in note for note in alone["notes"])
    refused = solve("--engine", "search", "--model", "mine")
    assert refused.returncode == 2 and "does not use a chat model" in refused.stderr
