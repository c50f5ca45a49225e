"""Shell completion, as the shells ask for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def ask(**environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "penstock"],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize(
    ("words", "number", "expected"),
    [("penstock ta", "1", "task"), ("penstock task ti", "2", "timeline"), ("penstock task list --sta", "3", "--state")],
)
def test_commands_and_options_are_completed(words: str, number: str, expected: str) -> None:
    found = ask(_PENSTOCK_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=number)
    assert found.split() == [expected]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_asks_the_program(shell: str) -> None:
    script = ask(_PENSTOCK_COMPLETE=f"source_{shell}")
    assert "_PENSTOCK_COMPLETE" in script
    assert "penstock" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True, timeout=60)
