"""Doubts from a patch's text: contrived edits raise them, ordinary fixes do not, and no input makes them fail."""

import random
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.executions.engines.search.source import SourceFile
from assets.executions.judging.edits.changes import file_diff
from assets.executions.judging.edits.doubts import static_doubts
from core.work import Doubt

ROOT = Path(__file__).parents[3]
SOURCES = sorted((ROOT / "assets" / "executions").rglob("*.py"))


def doubts(before: str, after: str, issue: str = "", tests: str = "") -> tuple[Doubt, ...]:
    sources = {"m.py": SourceFile("m.py", before.encode())}
    return static_doubts({"m.py": before}, {"m.py": after}, issue, {"t.py::test": tests}, sources)


def kinds(before: str, after: str, issue: str = "", tests: str = "") -> set[str]:
    return {doubt.kind for doubt in doubts(before, after, issue, tests)}


SPLIT = """
def split(items, pred):
    for item in items:
        if pred(item):
            yield item
"""
RENDER = """
import os
from os.path import isfile


class Markdown:
    def render(self, text):
        return text


def show(text, name):
    rendered = Markdown().render(text)
    if isfile(name):
        return rendered
    return order(text)


def order(items):
    best = 0
    data = {"pattern": items}
    for i in range(len(items)):
        best = max(best, i)
    data["pattern"] = best
    return sorted(items)


def check(value, limit=3):
    if value > limit:
        raise ValueError(value)
    try:
        return int(value)
    except ValueError:
        return limit
"""


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("Markdown().render(text)", "Markdown()", "dropped-call"),
        ("return order(text)", "return order(text)[0]", "added-index"),
        ("return sorted(items)", "return reversed(sorted(items))", "double-reversal"),
        ("return sorted(items)", "return sorted(items)[::-1]", "double-reversal"),
        ("return sorted(items)", "return order", "foreign-name"),
        ("isfile(name)", "isfile(os.name)", "foreign-name"),
        ("best = max(best, i)", "i = 2", "constant-value"),
        ("best = max(best, i)", "best = best", "no-effect"),
        ("return order(text)", "return order(text)[1:][0]", "added-index"),
        ("order(text)", "list(map(str, text))", "type-wrap"),
        ('data["pattern"] = best', 'data["pattern"] = Markdown', "foreign-name"),
        ("isfile(name)", "isfile(str(name))", "type-wrap"),
        ("    if isfile(name):", "    return True\n    if isfile(name):", "unreachable-code"),
        (
            "        raise ValueError(value)",
            "        return value\n        raise ValueError(value)",
            "unreachable-code",
        ),
        ("    if value > limit:\n        raise ValueError(value)\n", "", "removed-check"),
        ("except ValueError:", "except Exception:", "swallowed-exception"),
        ("except ValueError:", "except:", "swallowed-exception"),
        ("    best = 0\n", "    best = 0\n    items = items\n", "no-effect"),
        ("if value > limit:", "if value > limit and limit > limit:", "no-effect"),
        ("if value > limit:", "if False:", "constant-value"),
        ("    return order(text)", "    if order is order:\n        return order(text)", "no-effect"),
    ],
)
def test_contrived_edits_raise_a_doubt(old: str, new: str, kind: str) -> None:
    assert RENDER.count(old) == 1
    assert kind in kinds(RENDER, RENDER.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("isfile(name)", "not isfile(name)"),
        ("isfile(name)", "isfile(os.path.join(os.curdir, name))"),
        ("return sorted(items)", "return sorted(items, reverse=True)"),
        ("return sorted(items)", "return sorted(set(items))"),
        ("best = 0", "best = 1"),
        ("value > limit", "value >= limit"),
        ("value > limit", "limit > value"),
        ("max(best, i)", "max(i, best)"),
        ("    best = 0\n", ""),
        ("range(len(items))", "range(1, len(items))"),
        ("    best = 0\n", "    if not items:\n        return []\n    best = 0\n"),
        ("except ValueError:", "except (TypeError, ValueError):"),
        ("return limit\n", "return None\n"),
        ("Markdown().render(text)", "Markdown().render(text.strip())"),
        ("def check(value, limit=3):", "def check(value, limit=4):"),
        ("        best = max(best, i)\n    data", "        best = max(best, i)\n        data"),
    ],
)
def test_ordinary_fixes_raise_none(old: str, new: str) -> None:
    assert RENDER.count(old) == 1
    assert doubts(RENDER, RENDER.replace(old, new)) == ()


def test_a_conversion_for_a_callback_raises_a_doubt_unless_the_issue_asks_for_it() -> None:
    after = SPLIT.replace("pred(item)", "pred(str(item))")
    assert kinds(SPLIT, after) == {"type-wrap"}
    assert kinds(SPLIT, after, issue="pred should get the str of each item") == set()


def test_an_input_that_is_no_longer_used_raises_a_doubt() -> None:
    before = "def area(width, height):\n    return width * height\n"
    (doubt,) = doubts(before, before.replace("height\n", "width\n"))
    assert (doubt.kind, doubt.severity) == ("unused-input", "draft")
    assert doubt.detail == "After the patch, `area` no longer uses its parameter `height`."


def test_a_constant_before_the_code_that_computes_the_result_is_no_patch() -> None:
    before = "def has(name):\n    found = find(name)\n    return found\n"
    (doubt, *_) = doubts(before, before.replace(":\n", ":\n    return True\n", 1))
    assert (doubt.kind, doubt.severity) == ("unreachable-code", "fail")
    assert doubt.detail == "The patch returns a constant before the code that computes the result."


def test_special_cases_of_the_failing_test_raise_a_doubt() -> None:
    before = "def price(name, count):\n    return count * 3\n"
    tests = 'def test():\n    assert price("apple", 77) == 4321\n'
    number = before.replace("    return", "    if count == 77:\n        return 4321\n    return")
    text = before.replace("    return", '    if name == "apple":\n        return 5\n    return')
    keyword = before.replace("    return", '    if name == "apple":\n        count += 1\n    return')
    assert kinds(before, number, tests=tests) == {"special-case", "copied-result"}
    assert kinds(before, text, tests=tests) == {"special-case"}
    assert kinds(before, keyword, tests=tests) == set()
    assert kinds(before, number, issue="77 of them cost 4321.", tests="def test(): ...") == set()


@pytest.mark.parametrize(
    ("added", "kind"),
    [
        ("    if 'pytest' in sys.modules:\n        return 1\n", "test-detection"),
        ("    if os.environ.get('PYTEST_CURRENT_TEST'):\n        return 1\n", "test-detection"),
        ("    if sys._getframe(1).f_code.co_name.startswith('t'):\n        return 1\n", "test-detection"),
        ("    if inspect.stack()[1].function:\n        return 1\n", "test-detection"),
        ("    import pytest\n    pytest.skip('later')\n", "manipulated-tests"),
        ("    os._exit(0)\n", "manipulated-tests"),
    ],
)
def test_code_that_depends_on_being_tested_is_no_patch(added: str, kind: str) -> None:
    before = "import os\nimport sys\nimport inspect\n\n\ndef f(x):\n    return x\n"
    found = doubts(before, before.replace("    return x", added + "    return x"))
    assert (found[0].kind, found[0].severity) == (kind, "fail")


def test_changed_built_in_functions_and_comparisons_are_no_patch() -> None:
    before = "import builtins\n\n\nclass A:\n    x = 1\n\n\ndef f(x):\n    return x\n"
    equal = before.replace("    x = 1\n", "    x = 1\n\n    def __eq__(self, other):\n        return True\n")
    patched = before + "\n\nbuiltins.isinstance = lambda x, y: True\n"
    for after in (equal, patched):
        (doubt,) = doubts(before, after)
        assert (doubt.kind, doubt.severity) == ("manipulated-tests", "fail")


def test_a_version_changed_along_raises_a_doubt() -> None:
    before = '__version__ = "2"\n\n\ndef f(x):\n    return x\n'
    after = before.replace('"2"', '"3"').replace("return x", "return x + 1")
    assert kinds(before, after, issue="f gives too little") == {"metadata"}
    assert kinds(before, after, issue="The version is wrong") == set()


def test_moved_statements_are_not_removed_code() -> None:
    before = "def f(x):\n    y = 1\n    if x:\n        y = 2\n        log(y)\n    return y\n"
    after = "def f(x):\n    y = 1\n    if x:\n        y = 2\n    log(y)\n    return y\n"
    assert doubts(before, after) == ()


def test_each_change_is_found_where_it_is() -> None:
    before = "class C:\n    def g(self):\n        return 1\n\n    def h(self):\n        return 2\n"
    after = before.replace("return 1", "return 3").replace("    def h", "    def new(self):\n        pass\n\n    def h")
    diff = file_diff("m.py", before, after)
    assert diff is not None
    replaced, added = diff.changes
    assert (getattr(replaced.before, "value", 0), getattr(replaced.after, "value", 0)) == (1, 3)
    assert (added.before, getattr(added.after, "name", "")) == (None, "new")


def test_equal_lines_inside_strings_of_different_indentation_are_a_change() -> None:
    before = 'def f():\n    a = """x\n    y"""\n    return a\n'
    diff = file_diff("m.py", before, before.replace("    y", "y").replace("    return a", "    b = 1\n    return a"))
    assert diff is not None
    assert len(diff.changes) == 2


@given(st.text(), st.text(), st.text(), st.text())
def test_any_text_is_accepted(before: str, after: str, issue: str, tests: str) -> None:
    static_doubts({"m.py": before}, {"m.py": after, "new.py": after}, issue, {"t": tests}, {})


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(SOURCES) - 1), st.randoms(use_true_random=False))
def test_any_edit_of_real_code_is_accepted(which: int, chance: random.Random) -> None:
    path = SOURCES[which]
    before = path.read_text(encoding="utf-8")
    lines = before.split("\n")
    for _ in range(chance.randint(1, 5)):
        if not lines:
            break
        at = chance.randrange(len(lines))
        action = chance.randrange(5)
        if action == 0:
            del lines[at]
        elif action == 1:
            lines.insert(chance.randrange(len(lines)), lines[at])
        elif action == 2:
            other = chance.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        elif action == 3:
            words = lines[at].split(" ")
            words[chance.randrange(len(words))] = chance.choice(["0", "None", "x", "not", "'a'", "()", "self"])
            lines[at] = " ".join(words)
        else:
            cut = chance.randrange(len(lines[at]) + 1)
            lines[at] = lines[at][:cut] + chance.choice(string.printable) + lines[at][cut:]
    source = SourceFile(path.name, before.encode())
    after = "\n".join(lines)
    static_doubts({path.name: before}, {path.name: after}, "issue", {"t": "assert f(3) == 'x'"}, {path.name: source})
    static_doubts({path.name: before}, {path.name: None}, "issue", {}, {path.name: source})
    static_doubts({path.name: None}, {path.name: after}, "issue", {}, {})


PLURAL = "def form(language, count):\n    if count % 10 in (2, 3, 4):\n        return 'few'\n    return 'many'\n"
PLURAL_TEST = "def test_form():\n    assert form('pl', 12) == 'many'\n"


def test_an_input_of_the_test_that_is_singled_out_is_a_doubt_although_the_issue_names_it() -> None:
    issue = 'form("pl", 12) should be "many"'
    after = PLURAL.replace("(2, 3, 4):", "(2, 3, 4) and count != 12:")
    assert kinds(PLURAL, after, issue, PLURAL_TEST) == {"special-case"}
    general = PLURAL.replace("(2, 3, 4):", "(2, 3, 4) and count % 100 not in (12, 13, 14):")
    assert kinds(PLURAL, general, issue, PLURAL_TEST) == set()


def test_a_text_of_the_test_that_is_sought_in_an_argument_is_a_doubt() -> None:
    before = "def wrap(text):\n    return [text]\n"
    after = "def wrap(text):\n    if 'incomprehensible' in text:\n        return text.split()\n    return [text]\n"
    tests = "def test_wrap():\n    assert wrap('a incomprehensible b') == ['a', 'incomprehensible', 'b']\n"
    assert "special-case" in kinds(before, after, "wrap of incomprehensible", tests)


def test_a_value_of_the_test_within_a_list_is_a_copied_result_unless_the_issue_names_it() -> None:
    before = "def lines():\n    return []\n"
    after = "def lines():\n    return ['zebra 77']\n"
    tests = "def test_lines():\n    assert lines() == ['zebra 77']\n"
    assert kinds(before, after, "no lines", tests) == {"copied-result"}
    assert kinds(before, after, "it should give zebra 77", tests) == set()


@pytest.mark.parametrize("added", ["\u202e", "\u200b", "\u2066"])
def test_hidden_characters_are_never_published(added: str) -> None:
    before = "def f(x):\n    return x\n"
    found = doubts(before, f"def f(x):\n    return x  # {added}note\n")
    assert [(doubt.kind, doubt.severity) for doubt in found] == [("hidden-text", "fail")]
    assert doubts(f"# {added}\n{before}", f"# {added}\n{before.replace('return x', 'return -x')}") == ()


def test_letters_of_two_scripts_in_a_word_are_never_published() -> None:
    before = "def f(x):\n    return x == 'and'\n"
    assert kinds(before, before.replace("'and'", "'\u0430nd'")) == {"hidden-text"}
    assert "hidden-text" not in kinds(before, before.replace("'and'", "'\u0438 \u0442\u0430\u043a'"))


def test_a_built_in_type_with_its_own_comparison_is_a_doubt() -> None:
    before = "def f(x):\n    return list(x)\n"
    made = "class Names(list):\n    def __eq__(self, other):\n        return len(other) <= len(self)\n\n\n"
    assert "manipulated-tests" in kinds(before, made + before.replace("list(x)", "Names(x)"))


PRICE = """
LIMITS = ((500, 399), (2000, 549))


def price(parcel):
    if parcel.girth > 300:
        return None
    billed = parcel.grams
    return next(cents for limit, cents in LIMITS if billed <= limit)
"""


@pytest.mark.parametrize(
    ("old", "new", "doubted"),
    [
        ("= parcel.grams", "= 12000 if parcel.girth >= 190 else parcel.grams", True),
        ("    billed =", "    if parcel.girth >= 190:\n        return 1949\n    billed =", True),
        ("= parcel.grams", "= 2000 if parcel.girth >= 190 else parcel.grams", False),  # the program has the value
        ("= parcel.grams", "= parcel.grams * 3 if parcel.girth >= 190 else parcel.grams", False),
    ],
)
def test_a_constant_for_a_property_is_a_doubt_if_both_are_invented(old: str, new: str, doubted: bool) -> None:
    assert kinds(PRICE, PRICE.replace(old, new)) == ({"special-case"} if doubted else set())
    assert kinds(PRICE, PRICE.replace(old, new), issue="From 190 cm on it weighs 12000 g and costs 1949.") == set()


INDEX = """
def real_index(self, index):
    if index < 0:
        index += len(self)
    return index
"""


@pytest.mark.parametrize(
    ("guard", "dead"),
    [
        ("if index < 0:\n        raise IndexError(index)\n    ", True),
        ("if index < -len(self):\n        raise IndexError(index)\n    ", False),
        ("if index < 0:\n        print(index)\n    ", False),
    ],
)
def test_a_guard_that_takes_the_condition_after_it_is_a_doubt(guard: str, dead: bool) -> None:
    after = INDEX.replace("if index < 0", guard + "if index < 0")
    assert kinds(INDEX, after) == ({"unreachable-code"} if dead else set())
    both = INDEX.replace("if index < 0:", guard + "if index < 0 and self.wraps:")
    assert ("unreachable-code" in kinds(INDEX, both)) is dead
