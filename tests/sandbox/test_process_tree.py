import os
import subprocess
import sys
import time

import pytest

from sandbox.process_tree import CpuMeter, ProcessFacts, children, facts, proportional_bytes, tree


def one(pid: int, cpu: float, reaped: float = 0.0, started: int = 1) -> ProcessFacts:
    return ProcessFacts(pid, 1, "R", cpu, reaped, 1, started, 0)


def test_the_facts_of_a_process_are_its_own() -> None:
    mine = facts(os.getpid())
    assert mine is not None
    assert mine.parent == os.getppid()
    assert mine.cpu == pytest.approx(time.process_time(), abs=1.0)
    assert mine.resident_bytes > 1 << 20


def test_a_process_that_has_ended_has_no_facts() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert facts(ended.pid) is None
    assert children(ended.pid) == []


def test_a_tree_includes_grandchildren_and_children_of_threads() -> None:
    code = (
        "import subprocess, sys, threading\n"
        "start = lambda: subprocess.Popen(['sh', '-c', 'sleep 60 & echo; wait'], stdout=sys.stdout)\n"
        "threading.Thread(target=lambda: (start(), __import__('time').sleep(60)), daemon=True).start()\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin and process.stdout
    process.stdout.readline()
    found = list(tree(process.pid))
    for other in reversed(found):
        os.kill(other.pid, 9)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    assert [one.parent for one in found] == [os.getpid(), found[0].pid, found[1].pid]


def test_a_name_with_brackets_and_spaces_does_not_confuse() -> None:
    code = "open('/proc/self/comm', 'w').write('a) R 1 (b'); print(flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin and process.stdout
    process.stdout.readline()
    found = facts(process.pid)
    process.communicate(b"\n")
    assert found is not None
    assert found.parent == os.getpid()


def test_proportional_memory_is_at_most_resident_memory() -> None:
    exact = proportional_bytes(os.getpid())
    mine = facts(os.getpid())
    assert exact is not None and mine is not None
    assert 0 < exact <= mine.resident_bytes * 1.1


def test_cpu_of_reaped_children_counts() -> None:
    meter = CpuMeter()
    assert meter.add([one(1, 1.0), one(2, 2.0)]) == 3.0
    assert meter.add([one(1, 1.5, reaped=2.5)]) == 4.0


def test_cpu_of_children_that_nobody_waits_for_counts() -> None:
    meter = CpuMeter()
    meter.add([one(1, 1.0), one(2, 2.0)])
    meter.add([one(1, 1.0), one(3, 4.0)])
    assert meter.add([one(1, 1.0)]) == 7.0


def test_a_reused_pid_is_another_process() -> None:
    meter = CpuMeter()
    meter.add([one(2, 2.0, started=1)])
    assert meter.add([one(2, 0.5, started=9)]) == 2.5


def test_cpu_never_falls() -> None:
    meter = CpuMeter()
    meter.add([one(1, 5.0)])
    assert meter.add([]) == 5.0
