"""What tests do to the process they run in neither stops the others nor falsifies their outcomes."""

from collections.abc import Callable, Iterator

import pytest

from assets.executions.repository.checkout import Checkout
from assets.executions.repository.test_command import detect
from assets.executions.trial.baseline import Allowance, Baseline, measure
from assets.executions.trial.worker_client import PytestWorker
from core.work import Outcome
from sandbox.protocol import Limits, Sandbox

from .conftest import Files

Measure = Callable[..., tuple[Baseline, dict[str, str]]]
PASSES = "\n\ndef test_after():\n    assert len(str(10)) == 2\n"
ALLOWANCE = Allowance(40, cpu=1, wall=3, deferred=8)


@pytest.fixture
def measured(checkout: Callable[[Files], Checkout], bubblewrap: Sandbox) -> Iterator[Measure]:
    """The baseline of some files, and the outcomes in a fresh import of them."""
    workers: list[PytestWorker] = []

    def run(files: Files, given: str | None = None) -> tuple[Baseline, dict[str, str]]:
        made = checkout(files)
        command = detect(made.root, given)
        for _ in range(2):
            workers.append(PytestWorker(bubblewrap, made.root, command, Limits(wall_seconds=120, cpu_seconds=120)))
        found = measure(workers[0], command, ALLOWANCE)
        return found, workers[1].ask("fresh", 55, **ALLOWANCE.as_fields())["outcomes"]

    yield run
    for worker in workers:
        worker.close()


RUDE = {
    "a recursion limit": "import sys\n\ndef test_first():\n    sys.setrecursionlimit(90)\n",
    "an exit": "import sys\n\ndef test_first():\n    try:\n        sys.exit(3)\n    except SystemExit:\n        pass\n",
    "a closed output": "import sys\n\ndef test_first():\n    sys.stdout.close()\n",
    "built-in names": "import builtins\n\ndef test_first():\n    builtins.len = None\n",
    "modules": "import sys\n\ndef test_first():\n    for n in ('os', 'time', 'signal', '_pytest', 'threading'):\n"
    "        sys.modules.pop(n)\n",
    "frozen clocks": "import sys, time\n\ndef test_first():\n    real = {id(getattr(time, n)): n for n in"
    " ('time', 'monotonic', 'perf_counter', 'process_time')}\n    for module in list(sys.modules.values()):\n"
    "        for name, value in list(vars(module).items()):\n            if id(value) in real:\n"
    "                setattr(module, name, lambda: 7.0)\n",
    "a clock of Mock": "import time\nfrom unittest import mock\n\ndef test_first():\n"
    "    mock.patch('time.monotonic', side_effect=RuntimeError).start()\n"
    "    mock.patch('time.perf_counter', side_effect=RuntimeError).start()\n",
    "a folder that is gone": "import os, shutil\n\ndef test_first(tmp_path):\n    os.chdir(tmp_path)\n"
    "    shutil.rmtree(tmp_path)\n",
    "blocked signals": "import signal\n\ndef test_first():\n"
    "    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGALRM, signal.SIGPROF))\n",
    "a timer that rings later": "import signal\n\ndef test_first():\n"
    "    signal.signal(signal.SIGALRM, signal.SIG_DFL)\n"
    "    signal.setitimer(signal.ITIMER_REAL, 0.05)\n    signal.setitimer(signal.ITIMER_VIRTUAL, 0.001)\n",
    "threads": "import threading, time\n\ndef test_first():\n    for daemon in (True, False):\n"
    "        threading.Thread(target=time.sleep, args=(600,), daemon=daemon).start()\n",
    "file descriptors": "import os\n\ndef test_first():\n    pass\n\ndef test_middle():\n    os.closerange(3, 400)\n",
    "the process": "import os\n\ndef test_first():\n    pass\n\ndef test_middle():\n    os._exit(0)\n",
    "an interruption": "def test_first():\n    pass\n\ndef test_middle():\n    raise KeyboardInterrupt\n",
    "an exit of pytest": "import pytest\n\ndef test_first():\n    pass\n\ndef test_middle():\n    pytest.exit('no')\n",
}


@pytest.mark.parametrize("what", RUDE)
def test_a_test_that_changes_its_process_stops_no_other(measured: Measure, what: str) -> None:
    last = PASSES.replace("test_after", "test_last")
    found, again = measured({"mod.py": "x = 1\n", "test_rude.py": RUDE[what] + PASSES, "test_z.py": last})
    for outcomes in (found.run.outcomes, again):
        assert outcomes["test_rude.py::test_after"] == "passed", found.failures
        assert outcomes["test_z.py::test_last"] == "passed"
    assert found.run.complete


def test_tests_that_use_alarms_themselves_pass(measured: Measure) -> None:
    tests = """
    import signal
    import pytest

    rang = []
    signal.signal(signal.SIGALRM, lambda *_: rang.append(1))

    def test_handler_of_the_module():
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        signal.pause()
        assert rang == [1]

    def test_limit():
        def stop(*_):
            raise TimeoutError
        before = signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(TimeoutError):
            while True:
                pass
        signal.signal(signal.SIGALRM, before)

    def test_handler_is_still_there():
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        signal.pause()
        assert len(rang) == 2 or rang == [1]
    """
    found, again = measured({"mod.py": "x = 1\n", "test_alarm.py": tests})
    assert set(found.run.outcomes.values()) == {Outcome.PASSED}, found.failures
    assert set(again.values()) == {"passed"}


def test_a_test_that_catches_the_interruption_has_not_passed(measured: Measure) -> None:
    tests = """
    def test_stubborn():
        try:
            while True:
                pass
        except BaseException:
            return
    """
    found, _ = measured({"mod.py": "x = 1\n", "test_a.py": tests + PASSES.replace("\n", "\n    ")})
    assert found.run.outcomes["test_a.py::test_stubborn"] is not Outcome.PASSED
    assert found.run.outcomes["test_a.py::test_after"] is Outcome.PASSED


FILES = {
    "exits": "import sys\nsys.exit(0)\n",
    "ends the process": "import os\nos._exit(0)\n",
    "never ends": "import time\ntime.sleep(600)\n",
    "is interrupted": "raise KeyboardInterrupt\n",
    "leaves pytest": "import pytest\npytest.exit('no')\n",
    "does not parse": "def test_x(:\n",
    "raises what cannot be shown": "class E(Exception):\n    def __str__(self):\n        raise ValueError\nraise E\n",
}


@pytest.mark.parametrize("what", FILES)
def test_a_test_file_that_stops_the_collection_stops_no_other(measured: Measure, what: str) -> None:
    found, again = measured({"mod.py": "x = 1\n", "test_a.py": FILES[what], "test_b.py": PASSES})
    assert found.run.outcomes == {"test_a.py": Outcome.ERROR, "test_b.py::test_after": Outcome.PASSED}
    assert again == {"test_b.py::test_after": "passed"}


def test_plugins_that_the_repository_declares_are_loaded_and_others_are_not(measured: Measure) -> None:
    tests = """
    import pytest

    @pytest.mark.anyio
    async def test_coroutine(anyio_backend_name):
        assert anyio_backend_name == "asyncio"

    def test_others(request):
        manager = request.config.pluginmanager
        assert manager.hasplugin("anyio") and not manager.hasplugin("xdist")

    @pytest.mark.timeout(30)
    def test_limit(request):
        assert request.config.pluginmanager.hasplugin("timeout")
    """
    project = """
    [project]
    name = "x"
    [project.optional-dependencies]
    test = ["anyio>=3", "pytest-randomly"]
    [tool.pytest.ini_options]
    addopts = "-p pytest_own -p no:doctest --strict-markers"
    required_plugins = ["pytest-timeout"]
    strict_markers = true
    markers = ["own"]
    """
    own = "def pytest_report_header():\n    return 'own'\n\nimport pytest\n\n@pytest.fixture(params=['asyncio'])\n" \
        "def anyio_backend(request):\n    return request.param\n"  # fmt: skip
    found, again = measured({"mod.py": "", "pyproject.toml": project, "pytest_own.py": own, "test_a.py": tests})
    assert set(found.run.outcomes.values()) == {Outcome.PASSED}, found.failures
    assert len(again) == 3 and set(again.values()) == {"passed"}


def test_the_projects_own_plugin_is_loaded(measured: Measure) -> None:
    project = '[project]\nname = "x"\n[project.entry-points.pytest11]\nx = "x_plugin"\n'
    plugin = "import pytest\n\n@pytest.fixture\ndef seven():\n    return 7\n"
    tests = "def test_seven(seven):\n    assert seven == 7\n"
    found, _ = measured({"pyproject.toml": project, "x_plugin.py": plugin, "test_a.py": tests})
    assert set(found.run.outcomes.values()) == {Outcome.PASSED}, found.failures
