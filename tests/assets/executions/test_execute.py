"""One attempt from end to end, in a real sandbox: what is repaired, what is refused, and what is said about it."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from assets.executions.attempt.state import Stopped
from assets.executions.engines.open_engine import EngineChoice, UnknownEngine, open_engine
from assets.executions.judging.gate import judge
from assets.executions.repository.checkout import open_checkout
from assets.executions.repository.settings import RepositorySettingsError
from core.settings import Settings
from core.work import Execution, VerdictKind
from sandbox.protocol import Sandbox

from .conftest import Files, applied

Repair = Callable[..., Execution]

CART = '''
"""A cart."""


class Cart:
    def __init__(self):
        self.lines = []

    def add(self, name, price, quantity=1):
        self.lines.append((name, price, quantity))

    def total(self):
        return sum(price * quantity for _, price, quantity in self.lines)

    def cheapest(self):
        return max(self.lines, key=lambda line: line[1])[0]


def pages(count, size):
    return count // size
'''
TESTS = """
from cart import Cart, pages


def filled():
    cart = Cart()
    cart.add("pen", 2)
    cart.add("ink", 7, 3)
    return cart


def test_total():
    assert filled().total() == 23


def test_cheapest():
    assert filled().cheapest() == "pen"
    other = Cart()
    other.add("apple", 9, 2)
    other.add("mat", 1, 5)
    other.add("zoo", 5, 9)
    assert other.cheapest() == "mat"


def test_pages():
    assert pages(10, 5) == 2
"""
SHOP: Files = {"cart.py": CART, "tests/test_cart.py": TESTS}
ISSUE = "cheapest() gives the dearest article\n\nWith a pen for 2 and ink for 7, `cheapest()` says ink."


def test_a_bug_is_repaired_with_complete_evidence(repair: Repair, tmp_path: Path) -> None:
    recorded: list[str] = []
    done = repair(SHOP, ISSUE, record=lambda kind, body: recorded.append(kind))
    assert done.patch is not None and "+        return min(self.lines" in done.patch.diff
    verdict = judge(done.evidence, done.patch)
    assert verdict.verdict is VerdictKind.PASS, verdict.reasons
    assert done.evidence.target_tests == ("tests/test_cart.py::test_cheapest",)
    counts = done.evidence.candidates
    assert counts.generated >= counts.tried >= counts.passed_failing_tests >= counts.passed_whole_suite == 1
    assert done.evidence.suspicious[0].path == "cart.py"
    assert {"baseline", "localise", "search", "verify", "total"} <= set(done.evidence.timings)
    assert recorded[:2] == ["begin", "reproduce"] and recorded[-1] == "end" and "verify" in recorded
    assert "return min" in (applied(SHOP, done.patch.diff, tmp_path / "applied") / "cart.py").read_text()


def test_gvisor_repairs_it_too(repair: Repair, gvisor: Sandbox) -> None:
    done = repair(SHOP, ISSUE, sandbox=gvisor)
    assert done.patch is not None and done.evidence.sandbox == "gvisor"


def test_unittest_cases_are_repaired_by_their_own_command(repair: Repair) -> None:
    tests = """
    import unittest
    from cart import Cart

    class CartTest(unittest.TestCase):
        def setUp(self):
            self.cart = Cart()
            self.cart.add("pen", 2)
            self.cart.add("ink", 7, 3)

        def test_cheapest(self):
            for attempt in range(2):
                with self.subTest(attempt=attempt):
                    self.assertEqual(self.cart.cheapest(), "pen")

        def test_total(self):
            self.assertEqual(self.cart.total(), 23)
    """
    done = repair(
        {"cart.py": CART, "tests/test_cart.py": tests}, ISSUE, test_command="python -m unittest discover -s tests -t ."
    )
    assert done.patch is not None and "min(self.lines" in done.patch.diff
    assert done.evidence.after is not None and done.evidence.after.command[:3] == ("python", "-m", "unittest")


def test_a_black_box_command_decides(repair: Repair) -> None:
    files = {**SHOP, "run.sh": "set -e\npython -m pytest -q tests\n"}
    done = repair(files, ISSUE, test_command="sh run.sh && true")
    assert done.patch is not None
    assert done.evidence.before is not None and done.evidence.before.outcomes["$ sh run.sh && true"] == "failed"
    assert done.evidence.after is not None and done.evidence.after.outcomes["$ sh run.sh && true"] == "passed"


def test_two_places_with_the_same_fault_are_repaired_together(repair: Repair) -> None:
    program = """
    def first(xs, size):
        return xs[:size - 1]

    def both(xs, ys, size):
        return first(xs, size) + ys[:size - 1]
    """
    tests = """
    from mod import both
    def test_both():
        assert both([1, 2, 3], [4, 5, 6], 2) == [1, 2, 4, 5]
    def test_empty():
        assert both([], [], 1) == []
    """
    done = repair({"mod.py": program, "test_mod.py": tests}, "both() gives one element too few of each")
    assert done.patch is not None and done.patch.diff.count("\n+") >= 2


def test_a_repository_without_tests_ends_with_a_clear_summary(repair: Repair) -> None:
    done = repair({"cart.py": CART}, ISSUE)
    assert done.patch is None and done.summary.startswith("No tests found")
    assert judge(done.evidence, done.patch).verdict is VerdictKind.FAIL


def test_a_suite_in_which_nothing_fails_is_not_reproduced(repair: Repair) -> None:
    done = repair({"cart.py": CART, "tests/test_cart.py": "def test_fine():\n    assert True\n"}, ISSUE)
    assert done.patch is None and done.summary.startswith("Not reproduced: none of the 1 tests fails")
    assert done.evidence.reproduction == "none"


def test_an_example_in_the_issue_reproduces_when_no_test_does_and_gives_a_draft(repair: Repair) -> None:
    issue = "pages() forgets the last page\n\n```\n>>> pages(11, 5)\n3\n>>> pages(10, 5)\n2\n```\n"
    tests = "from cart import pages\n\ndef test_even():\n    assert pages(10, 5) == 2\n\ndef test_none():\n    assert pages(0, 5) == 0\n"  # noqa: E501
    done = repair({"cart.py": CART, "tests/test_cart.py": tests}, issue)
    assert done.patch is not None and done.evidence.reproduction == "issue"
    assert judge(done.evidence, done.patch).verdict is VerdictKind.DRAFT
    assert (
        "+    assert pages(11, 5) == 3" in done.patch.diff
        and "+    assert repr(pages(10, 5)) == '2'" in done.patch.diff
    )


def test_a_test_that_hangs_is_a_failure_that_can_be_repaired(repair: Repair) -> None:
    program = """
    def halve(n):
        steps = 0
        while n > 1:
            n // 2
            steps += 1
        return steps
    """
    tests = "from mod import halve\n\ndef test_halve():\n    assert halve(8) == 3\n\ndef test_one():\n    assert halve(1) == 0\n"  # noqa: E501
    done = repair({"mod.py": program, "test_mod.py": tests}, "halve(8) hangs forever", seconds=150)
    assert done.patch is not None, done.summary
    assert any("did not end within the time there was" in note for note in done.evidence.notes)
    verdict = judge(done.evidence, done.patch)
    assert verdict.verdict is VerdictKind.PASS, verdict.reasons


def test_a_test_that_fails_for_another_reason_is_left_alone_and_named(repair: Repair) -> None:
    other = "def test_server():\n    assert {'port': 80}['port'] == 8080\n"
    done = repair({**SHOP, "tests/test_server.py": other}, ISSUE)
    assert done.patch is not None
    assert done.evidence.target_tests == ("tests/test_cart.py::test_cheapest",)
    assert "Not about this task, and as before fails: tests/test_server.py::test_server." in done.evidence.notes
    assert judge(done.evidence, done.patch).verdict is VerdictKind.PASS


def test_a_flaky_test_is_excluded_and_noted(repair: Repair) -> None:
    flaky = """
    from pathlib import Path

    def test_flaky():
        mark = Path(__file__).with_name("mark")
        seen = mark.exists()
        mark.write_text("x")
        assert seen
    """
    done = repair({**SHOP, "tests/test_flaky.py": flaky}, ISSUE)
    assert done.patch is not None
    assert done.evidence.flaky == ("tests/test_flaky.py::test_flaky",)
    assert judge(done.evidence, done.patch).verdict is VerdictKind.DRAFT


def test_an_import_that_fails_is_repaired(repair: Repair) -> None:
    files: Files = {
        "shop/__init__.py": "", "shop/prices.py": "RATE = 0.2\n\ndef gross(net):\n    return net * (1 + RATE)\n",
        "shop/cart.py": "from shop.prices import gros\n\ndef total(nets):\n    return sum(gros(net) for net in nets)\n",
        "tests/test_cart.py": "from shop.cart import total\n\ndef test_total():\n    assert total([10, 10]) == 24\n",
        "tests/test_prices.py": "from shop.prices import gross\n\ndef test_gross():\n    assert gross(10) == 12\n",
    }  # fmt: skip
    done = repair(files, "ImportError: cannot import name 'gros' when importing shop.cart")
    assert done.patch is not None, done.summary
    assert judge(done.evidence, done.patch).verdict is VerdictKind.PASS


def test_files_that_do_not_decode_are_skipped_with_a_note_and_line_ends_kept(repair: Repair, tmp_path: Path) -> None:
    crlf = CART.replace("\n", "\r\n").rstrip().encode()
    files: Files = {
        "cart.py": crlf,
        "tests/test_cart.py": TESTS,
        "old.py": b"# -*- coding: no-such-encoding -*-\nNAME = '\xe9'\n",
    }
    done = repair(files, ISSUE)
    assert done.patch is not None
    new = (applied(files, done.patch.diff, tmp_path / "applied") / "cart.py").read_bytes()
    assert new == crlf.replace(b"return max(self.lines", b"return min(self.lines")


def test_a_suspicious_file_that_does_not_decode_is_named(repair: Repair) -> None:
    files: Files = {
        "mod.py": b"NAME = '\xe9'\n\ndef f(a, b):\n    return a - b\n",
        "test_mod.py": "import pathlib\n\ndef f(a, b):\n    text = pathlib.Path('mod.py').read_bytes().decode('latin-1')\n"  # noqa: E501
        "    names = {}\n    exec(compile(text, str(pathlib.Path('mod.py').resolve()), 'exec'), names)\n"
        "    return names['f'](a, b)\n\ndef test_f():\n    assert f(1, 2) == 3\n",
    }
    done = repair(files, "test_f fails: f(1, 2) subtracts", seconds=20)
    assert done.patch is None
    assert any(note.startswith("mod.py is left out: it is not UTF-8") for note in done.evidence.notes)


def test_only_paths_that_the_repository_allows_are_changed(repair: Repair) -> None:
    done = repair({**SHOP, "penstock.toml": 'paths = ["other/"]\n'}, ISSUE)
    assert done.patch is None and done.evidence.allowed_paths == ()


def test_a_wrong_setting_is_refused_by_name(repair: Repair) -> None:
    with pytest.raises(RepositorySettingsError, match="unknown key 'path'"):
        repair({**SHOP, "penstock.toml": 'path = "x"\n'}, ISSUE)


def test_set_up_commands_run_in_the_sandbox_and_their_failure_is_reported(repair: Repair) -> None:
    done = repair({**SHOP, "penstock.toml": 'setup = "echo no compiler >&2; exit 3"\n'}, ISSUE)
    assert done.patch is None and "no compiler" in done.summary


def test_the_candidate_budget_is_honoured_and_the_summary_says_what_was_tried(repair: Repair) -> None:
    files: Files = {
        "mod.py": "def f(a):\n    return a\n",
        "test_mod.py": "from mod import f\n\ndef test_f():\n    assert f(1) == 'zebra 77'\n",
    }
    done = repair({**files, "penstock.toml": "[limits]\ncandidates = 60\n"}, "f(1) should be 'zebra 77'")
    assert done.patch is None and done.evidence.candidates.tried == 60
    assert "60 candidates were tried" in done.summary and "Looked at: f" in done.summary


def test_the_time_budget_is_honoured(repair: Repair) -> None:
    files: Files = {
        "mod.py": CART,
        "test_mod.py": "import mod, time\n\ndef test_f():\n    time.sleep(0.2)\n    assert mod.pages(1, 1) == 'zebra 77'\n",  # noqa: E501
    }
    done = repair(files, "pages is wrong", seconds=8)
    assert done.patch is None and done.seconds < 60


def test_tests_are_never_edited_even_when_only_they_are_wrong(repair: Repair) -> None:
    files: Files = {
        "mod.py": "",
        "tests/test_x.py": "def helper():\n    return 1\n\ndef test_x():\n    assert helper() == 2\n",
    }
    done = repair(files, "helper() gives 1", seconds=10)
    assert done.patch is None


def test_cancelling_stops_the_attempt(repair: Repair) -> None:
    polls = itertools.count()
    with pytest.raises(Stopped):
        repair(SHOP, ISSUE, should_stop=lambda: next(polls) > 0)


def test_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownEngine, match="known: search"):
        open_engine(EngineChoice("magic"), Settings(home=tmp_path))


TWO_FAULTS: Files = {
    "a.py": "def one():\n    return {}['no']\n",
    "b.py": "def two(x, y):\n    return x - y\n",
    "test_ab.py": "from a import one\nfrom b import two\n\ndef test_one():\n    assert one() == 'zebra 77'\n\n"
    "def test_two():\n    assert two(1, 2) == 3\n    assert two(4, 4) == 8\n",
}


def test_only_tests_that_represent_the_task_are_targets(repair: Repair) -> None:
    done = repair(TWO_FAULTS, "`two(1, 2)` should be 3")
    assert done.patch is not None and done.evidence.target_tests == ("test_ab.py::test_two",)
    assert judge(done.evidence, done.patch).verdict is VerdictKind.PASS
    assert done.question == ""


def test_a_request_that_no_failing_test_is_about_ends_with_a_question(repair: Repair) -> None:
    done = repair(TWO_FAULTS, "Please add a dark mode")
    assert done.patch is None and done.evidence.candidates.tried == 0
    assert done.summary.startswith("Is the task about a test that fails?")
    assert done.question == done.summary


def test_an_issue_that_nothing_reproduces_ends_with_a_question_that_the_summary_has(repair: Repair) -> None:
    done = repair({"a.py": "x = 1\n", "test_a.py": "def test_a():\n    pass\n"}, "It is wrong somewhere")
    assert done.patch is None
    assert done.question.startswith("The issue shows no call of the program")
    assert done.summary.endswith(done.question)


def test_a_dirty_working_tree_is_neither_read_nor_touched(tmp_path: Path, checkout: Callable[[Files], object]) -> None:
    checkout(SHOP)
    repository = tmp_path / "repository"
    (repository / "cart.py").write_text("dirty")
    again = open_checkout(repository, "HEAD", tmp_path / "again")
    assert "class Cart" in (again.root / "cart.py").read_text()
    assert (repository / "cart.py").read_text() == "dirty"


@pytest.mark.parametrize(
    ("broken", "right"),
    [
        ("def add(a, b)\n    return a + b\n", "def add(a, b):\n    return a + b\n"),
        (
            "def add(a, b):\n    return sum((a, b)\n\ndef other():\n    return 1\n",
            "def add(a, b):\n    return sum((a, b))\n",
        ),
    ],
)
def test_a_file_that_does_not_parse_is_repaired(repair: Repair, broken: str, right: str) -> None:
    test = "from mod import add\n\ndef test_add():\n    assert add(1, 2) == 3\n"
    done = repair({"mod.py": broken, "tests/test_mod.py": test}, "SyntaxError in mod.py")
    assert done.patch is not None, done.summary
    assert right.split("\n")[0 if ")\n" in broken[:15] else 1] in done.patch.diff


def test_a_program_that_tests_start_as_a_process_is_repaired(repair: Repair) -> None:
    files: Files = {
        "tool/__init__.py": "",
        "tool/__main__.py": "import sys\nfrom tool.words import count\n\nprint(count(sys.argv[1]))\n",
        "tool/words.py": "def count(text):\n    return len(text.split()) + 1\n\n\ndef unused(text):\n    return text + 1\n",  # noqa: E501
        "tests/test_tool.py": """
        import subprocess
        import sys

        def run(*words):
            return subprocess.run([sys.executable, "-m", "tool", *words], capture_output=True, text=True)

        def test_count():
            assert run("a b c").stdout == "3\\n"

        def test_missing():
            assert run().returncode == 1
        """,
    }
    done = repair(files, "The tool counts one word too many")
    assert done.patch is not None, done.summary
    assert done.evidence.suspicious[0].path == "tool/words.py"
    assert "len(text.split())" in done.patch.diff


def test_a_black_box_whose_failure_no_test_shows_is_repaired_by_itself(repair: Repair) -> None:
    files: Files = {
        **SHOP,
        "tests/test_cart.py": "from cart import Cart\n\ndef test_new():\n    assert Cart().total() == 0\n",
    }
    files["check.py"] = (
        "from cart import pages\n\nassert pages(11, 5) == 3, pages(11, 5)\nassert pages(10, 5) == 2\nassert pages(0, 5) == 0\n"  # noqa: E501
    )
    done = repair(files, "pages() forgets the last page", test_command="python check.py && echo fine")
    assert done.patch is not None, done.summary
    assert any("used as one test" in note for note in done.evidence.notes)
