"""Simple tests are called without pytest's hooks and end as with them; all others are left to pytest."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

WORKER = Path(__file__).parents[3] / "assets" / "executions" / "trial"
SCRIPT = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from worker.collecting import Guard, Marker
from worker.direct import Direct
from worker.suite import Suite, signature

suite = Suite(os.getcwd(), ["-p", "no:cacheprovider", "-q"], Guard(Marker(), {}, 20.0))
suite.collect()
suite.plugin.quick = True
direct, found = Direct(suite.items[0].config), {}
for item in suite.items:
    simple = direct.call_of(item) is not None
    ends = []
    for how in (direct, None):
        suite.direct = how
        outcome, _ = suite.run(item, None, 5.0, 5.0)
        ends.append([outcome, *map(signature, suite.plugin.failures[:1])])
    found[item.nodeid.partition("::")[2]] = [simple, *ends]
json.dump(found, sys.stderr)
"""
SIMPLE = """
    import unittest
    import pytest

    seen = []

    @pytest.fixture(scope="session")
    def base():
        return {"a": 1}

    @pytest.fixture
    def opened(base):
        seen.append("opened")
        yield [base["a"]]
        seen.append("closed")

    @pytest.fixture
    def factory(opened):
        def make(more):
            return [*opened, more]
        return make

    def test_passes():
        assert [1] == [1]

    def test_fails():
        assert {"a": [1, 2]} == {"a": [1, 3]}

    def test_raises():
        {}["missing"]

    def test_skips():
        pytest.skip("not here")

    @pytest.mark.parametrize(("one", "other"), [(1, 1), (1, 2)])
    def test_parameters(one, other):
        assert one == other

    @pytest.mark.slow
    def test_other_mark():
        assert 2 < 1

    @pytest.fixture
    def broken():
        raise OSError("no")

    def test_broken_fixture(broken):
        pass

    def test_fixtures(factory, base):
        assert factory(2) == [1, 2] and base == {"a": 1}

    def test_fixtures_are_closed_each_time():
        assert seen.count("opened") == seen.count("closed") > 0

    class TestGroup:
        count = 0

        def test_method(self):
            self.count += 1
            assert self.count == 1

        def test_method_with_fixture(self, opened):
            assert opened == [2]

    class Case(unittest.TestCase):
        def setUp(self):
            self.addCleanup(seen.append, "cleaned")
            self.value = 3

        def test_case(self):
            self.assertEqual(self.value, 3)

        def test_case_fails(self):
            self.assertEqual(self.value, 4)

    def test_cases_are_cleaned_up():
        assert seen.count("cleaned") == 4
"""
HOOKED = """
    import unittest
    import pytest

    @pytest.fixture(params=[1, 2])
    def several(request):
        return request.param

    @pytest.fixture(params=[1])
    def once():
        return 1

    def test_once(once):
        assert once == 1

    @pytest.fixture
    def asks(request):
        return request.node.name

    @pytest.fixture
    async def waits():
        return 1

    def test_gets_a_coroutine(waits):
        waits.close()

    class TestOwn:
        @pytest.fixture
        def own(self):
            return 1

        def test_own(self, own):
            assert own == 1

    @pytest.mark.skip
    def test_skipped():
        assert False

    @pytest.mark.xfail
    def test_expected():
        assert False

    def test_several(several):
        assert several == 1

    def test_asks(asks):
        assert asks == "test_asks"

    def test_place(tmp_path):
        assert tmp_path.is_dir()

    class TestPrepared:
        def setup_method(self):
            self.value = 1

        def test_prepared(self):
            assert self.value == 1

    class Case(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            cls.value = 1

        def test_class(self):
            self.assertEqual(self.value, 1)

        @unittest.expectedFailure
        def test_expected(self):
            self.fail()

    class Waiting(unittest.IsolatedAsyncioTestCase):
        async def test_waits(self):
            self.assertTrue(True)
"""


def run(folder: Path, files: dict[str, str]) -> dict[str, list[object]]:
    """For each test: whether it is simple, and how it ends if called directly, and through the hooks."""
    for name, text in files.items():
        (folder / name).write_text(textwrap.dedent(text))
    argv = [sys.executable, "-c", SCRIPT, str(WORKER)]
    environment = {"PATH": "/usr/bin:/bin", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, list[object]] = json.loads(done.stderr)
    assert found
    return found


def test_simple_tests_end_as_with_the_hooks(tmp_path: Path) -> None:
    found = run(tmp_path, {"test_simple.py": SIMPLE})
    assert [name for name, (simple, *_) in found.items() if not simple] == []
    assert {name: one for name, (_, one, _) in found.items()} == {name: other for name, (*_, other) in found.items()}
    assert found["test_fails"][1][0] == "failed"  # type: ignore[index]
    assert found["test_skips"][1] == ["skipped"]
    assert found["test_cases_are_cleaned_up"][1] == ["passed"]
    assert found["test_fixtures"][1] == found["test_fixtures_are_closed_each_time"][1] == ["passed"]


def test_what_pytest_decides_is_left_to_it(tmp_path: Path) -> None:
    found = run(tmp_path, {"test_hooked.py": HOOKED})
    assert [name for name, (simple, *_) in found.items() if simple] == []


@pytest.mark.parametrize(
    "files",
    [
        {"conftest.py": "def pytest_runtest_setup(item): item.config.prepared = True\n"},
        {"conftest.py": "import pytest\n\n@pytest.fixture(autouse=True)\ndef always(request):\n    yield\n"},
        {"pytest.ini": "[pytest]\nfilterwarnings = error\n"},
    ],
    ids=["a hook", "an automatic fixture", "warnings as errors"],
)
def test_a_project_that_takes_part_in_each_test_is_left_to_pytest(tmp_path: Path, files: dict[str, str]) -> None:
    found = run(tmp_path, {"test_one.py": "def test_one():\n    assert 1 == 2\n", **files})
    assert [simple for simple, *_ in found.values()] == [False]
