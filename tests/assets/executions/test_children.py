"""Whatever a forked child does, each of its items ends once, and what ended it is named."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).parents[3] / "assets" / "executions" / "trial"
SCRIPT = """
import json, os, sys, time
sys.path.insert(0, sys.argv[1])
from worker.children import supervise

def work(batch, send):
    for index in batch:
        send(("begin", index, None))
        if index == 50:
            exec(sys.argv[2])
        time.sleep(0.001)
        send(("end", index, 2 * index))
    exec(sys.argv[3])

seen = [list(frame) for frame in supervise(work, list(range(100)), lambda _: 0.5, time.monotonic() + 30)]
json.dump(seen, sys.stdout)
"""


def frames(at_fifty: str, at_the_end: str = "pass") -> list[list[object]]:
    argv = [sys.executable, "-c", SCRIPT, str(WORKER), at_fifty, at_the_end]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found: list[list[object]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("os._exit(3)", "crash"),
        ("os.kill(os.getpid(), 9)", "crash"),
        ("os.closerange(3, 400)", "crash"),
        ("os.closerange(3, 400); time.sleep(0.4)", "crash"),
        ("raise OSError('here')", "crash"),
        ("time.sleep(60)", "hang"),
    ],
)
def test_one_that_ends_its_process_is_named_and_no_other_is_lost(what: str, kind: str) -> None:
    found = frames(what)
    assert [index for one, index, _ in found if one == kind] == [50]
    ended = [(index, value) for one, index, value in found if one == "end"]
    assert sorted(ended) == [(n, 2 * n) for n in range(100) if n != 50]
    assert len(found) == 100


def test_all_that_a_quick_child_does_arrives() -> None:
    assert frames("pass") == [["end", n, 2 * n] for n in range(100)]


def test_one_that_ends_the_process_after_the_last_loses_nothing() -> None:
    found = frames("pass", "os._exit(0)")
    assert sorted({int(str(index)) for one, index, _ in found if one == "end"}) == list(range(100))


def test_an_error_outside_of_any_item_is_told() -> None:
    found = frames("pass", "raise OSError('between')")
    assert found[-1][:2] == ["broken", -1]
    assert "between" in str(found[-1][2])
    assert [index for one, index, _ in found if one == "end"] == list(range(100))


def test_an_error_between_items_stops_the_rest_only_if_it_comes_again() -> None:
    found = frames("send(('end', 50, 100)); raise OSError('between')")
    assert [index for _, index, _ in found] == list(range(100))
