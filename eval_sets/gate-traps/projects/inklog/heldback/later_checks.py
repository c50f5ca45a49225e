import contextlib
import io
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

sys.path.insert(0, "src")
import inklog
from inklog.__main__ import main
from inklog.entries import LEVELS, Entry, entries, parse
from inklog.report import by_press, ink, latest, pauses


def at(minute, press="p", level="info", text="x"):
    return Entry(datetime(2024, 5, 1, minute // 60, minute % 60), press, level, text)


def check_entries():
    for level in LEVELS:
        assert parse(f"2024-03-01 09:15 a/b [{level}] \n") == Entry(datetime(2024, 3, 1, 9, 15), "a/b", level, "")
    for line in ("", "2024-03-01 09:15 a [info]", "x 2024-03-01 09:15 a [info] y", "2024-03-01 a [info] y"):
        assert parse(line) is None
    assert entries(["  stray", "2024-03-01 09:15 a [warn] b", " c ", " d", "junk", " e"])[0].text == "b c d e"
    assert entries([]) == []


def check_report():
    some = [at(5, "b"), at(1, "a", "error"), at(9, "c", "warn"), at(2, "b", "warn"), at(3, "d")]
    assert by_press(some) == [("b", 2), ("a", 1), ("c", 1), ("d", 1)]
    assert by_press(some, "warn") == [("a", 1), ("b", 1), ("c", 1)] and by_press(some, "error") == [("a", 1)]
    assert by_press([]) == []
    gaps = [at(100), at(0), at(30), at(61), at(61)]
    assert pauses(gaps) == [(at(30).when, at(61).when), (at(61).when, at(100).when)]
    assert pauses(gaps, 38) == [(at(61).when, at(100).when)] and pauses(gaps[:1]) == [] and pauses([]) == []
    assert latest([at(3, text="old"), at(5), at(9, text="new"), at(4), at(99, "q", text="q")], "p") == "new"
    assert latest([], "p") is None
    levels = [at(9, text="ink low: 5%"), at(3, text="ink ok: 100%"), at(10, text="inkling"), at(1, "q", text="ink 7%")]
    assert ink(levels) == {"q": 7, "p": 5} and ink([]) == {}


def check_main():
    with tempfile.TemporaryDirectory() as name:
        journal = Path(name) / "j"
        journal.write_text("2024-03-01 09:15 p2 [error] \u00e9\n", encoding="utf-8")
        for arguments, code, text in (([str(journal)], 0, "p2 1\n"), ([str(journal), "warn"], 0, "p2 1\n"), ([], 2, ""), ([str(journal), "x"], 2, ""), ([name + "/n"], 1, "")):
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                assert main(arguments) == code
            assert out.getvalue() == text and bool(err.getvalue()) == (code != 0)
        done = subprocess.run([sys.executable, "-m", "inklog", name + "/n"], capture_output=True, cwd="src")
        assert done.returncode == 1 and not done.stdout


def check_constants():
    assert (inklog.VERSION, inklog.FORMAT) == ("0.9.2", 2)


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
