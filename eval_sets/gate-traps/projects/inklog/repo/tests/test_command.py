import os
import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).parents[1] / "src"


def run(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    command = [sys.executable, "-m", "inklog", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def test_counts(tmp_path):
    journal = tmp_path / "journal.txt"
    journal.write_text("2024-03-01 09:15 p2 [warn] low\n2024-03-01 09:16 p1 [info] ok\n")
    assert run(journal).stdout == "p1 1\np2 1\n"
    assert run(journal, "warn").stdout == "p2 1\n"


def test_missing_file(tmp_path):
    done = run(tmp_path / "none.txt")
    assert done.returncode == 1
    assert "there is no file" in done.stderr


def test_usage():
    assert run().returncode == 2
