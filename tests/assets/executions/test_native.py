"""Attempts on repositories in other languages than Python: their own runner reproduces, tries and verifies."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assets.executions.engines.model.engine import ModelEngine
from assets.executions.engines.model.options import ModelOptions
from assets.executions.engines.protocol import Candidate, FileChange, Problem
from assets.executions.judging.gate import judge
from assets.executions.repository.checkout import Checkout
from assets.executions.repository.languages import chosen_language
from assets.executions.repository.protected_paths import is_test_path, steers_tests
from assets.executions.repository.test_command import TestCommand
from assets.executions.repository.test_text import test_text
from assets.executions.trial.baseline import Allowance, measure
from core.chat import open_chat_spec
from core.work import Execution, Outcome, VerdictKind
from sandbox.environments.prepare import Options
from sandbox.environments.wanted import EnvironmentRefused

from .conftest import needs_go
from .scripted_engine import ScriptedEngine

CODE = """package basket

func Total(prices []int, percent int) int {
	sum := 0
	for _, p := range prices {
		sum += p
	}
	return sum
}
"""
TESTS = """package basket

import "testing"

func TestDiscountIsTakenFromTheTotal(t *testing.T) {
	if got := Total([]int{100, 100}, 25); got != 150 {
		t.Fatalf("Total = %d, want 150", got)
	}
}

func TestEmptyBasket(t *testing.T) {
	if Total(nil, 0) != 0 {
		t.Fatal("not empty")
	}
}
"""
OTHER = """package other

import (
	"testing"

	"example.com/shop/basket"
)

func TestNoDiscount(t *testing.T) {
	if got := basket.Total([]int{4}, 0); got != 4 {
		t.Fatalf("Total = %d, want 4", got)
	}
}
"""
FILES = {"go.mod": "module example.com/shop\n\ngo 1.18\n", "basket/basket.go": CODE, "basket/basket_test.go": TESTS}
ISSUE = (
    "Discount is not taken from the total\nTotal of two items at 100 with 25 percent discount gives 200 instead of 150."
)
RIGHT = CODE.replace("return sum\n", "return sum * (100 - percent) / 100\n")


class Deliberate(ScriptedEngine):
    deliberate = any_language = True

    def start(self, problem: Problem) -> "Deliberate":
        started = Deliberate(self._script, problem)
        started.observed = self.observed
        return started


def proposing(*texts: str, path: str = "basket/basket.go") -> Deliberate:
    def script(problem: Problem) -> Iterator[Candidate]:
        for text in texts:
            yield Candidate((), "scripted", 1.0, 1.0, path, 1, (), (FileChange(path, CODE, text),))

    return Deliberate(script)


@pytest.fixture(scope="module")
def options(shared_cache: Path) -> Options:
    needs_go()
    return Options(cache=shared_cache, scope="test")


@pytest.mark.parametrize("backend", ["bubblewrap", "gvisor"])
def test_a_go_repository_is_repaired(
    repair: Callable[..., Execution], options: Options, backend: str, request: pytest.FixtureRequest
) -> None:
    sandbox = request.getfixturevalue(backend)
    broken = CODE.replace("return sum", "return summe")
    wrong = CODE.replace("return sum", "return 150")
    engine = proposing(broken, wrong, RIGHT)
    done = repair(FILES, ISSUE, engine=engine, environments=options, sandbox=sandbox)
    assert [o.status for o in engine.observed][:1] == ["compile"], done.summary
    assert "undefined: summe" in engine.observed[0].message
    assert done.patch is not None, done.summary
    assert "(100 - percent)" in done.patch.diff
    assert done.evidence.target_tests == ("basket/basket_test.go::TestDiscountIsTakenFromTheTotal",)
    assert done.evidence.before is not None
    assert done.evidence.after is not None
    assert done.evidence.before.outcomes["basket/basket_test.go::TestEmptyBasket"] is Outcome.PASSED
    assert done.evidence.after.outcomes["basket::(build)"] is Outcome.PASSED
    assert done.evidence.packages is not None
    assert done.evidence.packages.language.startswith("Go 1.")
    verdict = judge(done.evidence, done.patch)
    assert verdict.verdict is VerdictKind.DRAFT, verdict
    assert "which tests execute it is not measured" in " ".join(verdict.reasons)


def test_a_patch_that_breaks_another_package_is_refused(repair: Callable[..., Execution], options: Options) -> None:
    engine = proposing(CODE.replace("return sum", "return sum * 3 / 4"))
    done = repair({**FILES, "other/other_test.go": OTHER}, ISSUE, engine=engine, environments=options)
    assert done.patch is None
    assert engine.observed[-1].status == "rejected"
    assert "other/other_test.go::TestNoDiscount" in engine.observed[-1].broken


def test_an_engine_says_before_anything_runs_that_it_cannot_repair_a_language(repair: Callable[..., Execution]) -> None:
    files = {
        "Cargo.toml": '[package]\nname = "two"\nversion = "0.1.0"\nedition = "2018"\n',
        "src/lib.rs": "pub fn two() -> i32 { 3 }\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn is_two() {}\n}\n",
    }
    done = repair(files, ISSUE, environments=Options(cache=Path("/nonexistent"), scope="test"))
    assert done.patch is None
    assert "`--engine model`" in done.summary
    assert (
        "The tests are in Rust, and the engine `search` repairs Python, Go, JavaScript and TypeScript:" in done.summary
    )


def test_the_language_is_the_one_of_most_tests_or_the_one_that_is_named(
    checkout: Callable[[dict[str, str]], Checkout],
) -> None:
    both = {**FILES, "tool/test_it.py": "def test_it():\n    assert True\n"}
    made = checkout(both)
    chosen, notes = chosen_language(made)
    assert chosen is not None
    assert chosen[0].name == "go"
    assert "tests in go and python" in notes[0]
    assert chosen_language(made, "python -m pytest")[0] is None
    named = chosen_language(made, "FOO=1 go test ./basket")[0]
    assert named is not None
    assert named[0].name == "go"


def test_tests_inside_of_sources_count_for_rust(checkout: Callable[[dict[str, str]], Checkout]) -> None:
    inline = "pub fn two() -> i32 { 2 }\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn is_two() {}\n}\n"
    made = checkout({
        "Cargo.toml": '[package]\nname = "two"\nversion = "0.1.0"\nedition = "2018"\n',
        "src/lib.rs": inline, "scripts/test_it.py": "def test_it(): pass\n",
    })  # fmt: skip
    chosen = chosen_language(made)[0]
    assert chosen is not None
    assert chosen[0].name == "rust"


@pytest.mark.parametrize(("language", "expected"), [("python", None), ("go", "go")])
def test_penstock_toml_names_the_language(
    checkout: Callable[[dict[str, str]], Checkout], language: str, expected: str | None
) -> None:
    made = checkout({**FILES, "penstock.toml": f'[environment]\nlanguage = "{language}"\n'})
    chosen = chosen_language(made)[0]
    assert (chosen[0].name if chosen else None) == expected


def test_what_is_declared_for_python_is_not_ignored_in_silence(
    checkout: Callable[[dict[str, str]], Checkout],
) -> None:
    made = checkout({**FILES, "penstock.toml": '[environment]\nextras = ["test"]\npython = "3.12"\n'})
    chosen, notes = chosen_language(made)
    assert chosen is not None
    (note,) = notes
    assert note == "penstock.toml: python, extras under [environment] is about Python, and not used for tests in Go."


def test_a_suite_that_its_time_limit_ended_is_not_whole() -> None:
    class Cut:
        def ask(self, operation: str, timeout: float, **fields: Any) -> dict[str, Any]:
            if operation == "open":
                return {"tests": ["a"], "unittest": None, "errors": {}, "broken": None, "seconds": 0.0}
            return {"outcomes": {"a": "passed"}, "failures": {}, "seconds": {"a": 1.0}, "unfinished": [], "ended": True}

    measured = measure(Cut(), TestCommand("native", (), ("go", "test")), Allowance(5.0))  # type: ignore[arg-type]
    assert not measured.run.complete
    assert measured.notes[0].startswith("The time limit ended the tests")


def test_a_language_without_tests_is_refused_with_those_there_are(
    checkout: Callable[[dict[str, str]], Checkout],
) -> None:
    made = checkout({"test_it.py": "", "penstock.toml": '[environment]\nlanguage = "go"\n'})
    with pytest.raises(EnvironmentRefused, match=r"tests in go \(penstock.toml, environment.language\).*python, go"):
        chosen_language(made)


@pytest.mark.parametrize("path", ["basket/basket_test.go", "basket/testdata/in.json"])
def test_tests_of_go_are_protected(path: str) -> None:
    assert is_test_path(path)


@pytest.mark.parametrize("path", ["go.mod", "tools/go.sum"])
def test_what_decides_about_modules_is_protected(path: str) -> None:
    assert steers_tests(path)


def test_sources_of_go_are_not_protected() -> None:
    assert not is_test_path("basket/basket.go")
    assert not steers_tests("basket/basket.go")


def test_the_text_of_a_test_ends_with_its_block() -> None:
    found = test_text(TESTS, "TestDiscountIsTakenFromTheTotal")
    assert found.startswith("func TestDiscountIsTakenFromTheTotal")
    assert found.endswith("}")
    assert "TestEmptyBasket" not in found
    one = "  it('adds up', () => {\n    expect(1).toBe(1)\n  })"
    script = f"describe('cart', () => {{\n{one}\n  it('is empty', () => {{}})\n}})\n"
    assert test_text(script, "cart > adds up") == one
    assert test_text(script, "no such test") == ""


@pytest.fixture
def model(chat_server: Any) -> Callable[..., ModelEngine]:
    """The engine `model`, whose model makes the given calls, one in each answer, and then gives up."""

    def make(*answers: tuple[str, dict[str, Any]]) -> ModelEngine:
        def script(request: Any) -> Any:
            call = answers[request.answers] if request.answers < len(answers) else ("give_up", {})
            return chat_server.reply(calls=(call,))

        chat_server.script = script
        return ModelEngine(open_chat_spec(chat_server.spec()), ModelOptions())

    return make


def test_a_model_works_on_go_and_is_shown_what_the_compiler_and_vet_say(
    repair: Callable[..., Execution], options: Options, model: Callable[..., ModelEngine], chat_server: Any
) -> None:
    edit = {"path": "basket/basket.go", "old": "\treturn sum\n"}
    engine = model(
        ("edit", {**edit, "new": '\tfmt.Printf("%d")\n\treturn sum\n'}),
        ("check", {}),
        ("edit", {"path": "basket/basket.go", "old": '\tfmt.Printf("%d")\n', "new": ""}),
        ("edit", {**edit, "new": "\treturn sum * (100 - percent) / 100\n"}),
        ("check", {}),
        ("run_tests", {}),
    )
    done = repair(FILES, ISSUE, engine=engine, environments=options)
    assert done.patch is not None, done.summary
    assert done.model is not None
    assert "v3/system" in done.model.prompts
    first = chat_server.requests[0].turns
    assert "written in Go" in first[0][1]
    assert "basket/basket.go" in first[1][1]
    said = [text for role, text in chat_server.requests[-1].turns if role == "tool"]
    assert "basket/basket.go:8: error: undefined: fmt (go vet)" in said[1], said[1]
    assert said[4] == "No new from go vet, gofmt."


def test_tests_of_go_cannot_be_changed_by_a_model(
    repair: Callable[..., Execution], options: Options, model: Callable[..., ModelEngine], chat_server: Any
) -> None:
    repair(FILES, ISSUE, environments=options, engine=model(
        ("edit", {"path": "basket/basket_test.go", "old": "got != 150", "new": "false"}),
        ("write", {"path": "basket/other_test.go", "content": "package basket\n"}),
        ("edit", {"path": "go.mod", "old": "1.18", "new": "1.19"}),
    ))  # fmt: skip
    said = [text for role, text in chat_server.requests[-1].turns if role == "tool"]
    assert "belongs to the tests" in said[0]
    assert "belongs to the tests" in said[1]
    assert "decides how tests are run" in said[2]


@pytest.mark.parametrize(
    ("path", "protected"),
    [
        ("openapi/spec/loader.py", False),
        ("spec/loader.go", False),
        ("web/src/cart.test.ts", True),
        ("web/__tests__/cart.js", True),
        ("src/test/java/shop/CartTest.java", True),
        ("src/main/java/shop/Cart.java", False),
        ("tests/cart.rs", True),
        ("src/cart.rs", False),
    ],
)
def test_the_rules_of_a_language_are_for_its_files(path: str, protected: bool) -> None:
    assert is_test_path(path) is protected


def test_an_unknown_language_is_named(checkout: Callable[[dict[str, str]], Checkout]) -> None:
    made = checkout({"test_it.py": "", "penstock.toml": '[environment]\nlanguage = "cobol"\n'})
    with pytest.raises(EnvironmentRefused, match=r"'cobol' .*not known.*python, go"):
        chosen_language(made)


def test_a_package_whose_tests_are_not_found_is_named(repair: Callable[..., Execution], tmp_path: Path) -> None:
    files = {"go.mod": "module example.com/shop\n\ngo 1.18\n", "basket/basket.go": CODE}
    done = repair(files, ISSUE, environments=Options(cache=tmp_path, scope="test"))
    assert "go.mod is there, but no *_test.go files are found" in done.summary


def test_registries_can_be_set_for_every_language() -> None:
    from core.settings import LANGUAGES as SETTABLE
    from sandbox.environments.languages import LANGUAGES

    assert set(SETTABLE) == {language.name for language in LANGUAGES}
