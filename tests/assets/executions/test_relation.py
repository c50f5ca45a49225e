"""Failing tests are targets only when the task is about them: what relates both, and what does not."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.executions.trial.baseline import Failure
from assets.executions.trial.relation.facts import Corpus, TestFacts
from assets.executions.trial.relation.measure import PLAUSIBLE, THRESHOLD, TaskMeasure
from assets.executions.trial.relation.requests import failing_tests_request, names_test
from assets.executions.trial.relation.terms import MOST_TEXT, Text, operations, roots, values
from assets.executions.trial.targets import test_source as source_of
from core.work import Relation, TaskText

FUNCTIONS = {
    "shop/cart.py::Cart.add_item": "def add_item(self, name, price, quantity):\n    self.items[name] = price, quantity",
    "shop/cart.py::Cart.total": "def total(self):\n    return sum(map(mul, self.items.values())) - self.discount",
    "shop/cart.py::Cart.apply_coupon": "def apply_coupon(self, coupon):\n    self.discount = COUPONS[coupon]",
    "shop/stock.py::Stock.reserve": "def reserve(self, name, amount):\n    self.reserved[name] += amount",
    "shop/stock.py::Stock.release": "def release(self, name, amount):\n    self.reserved[name] -= amount",
    "shop/mail.py::render_receipt": "def render_receipt(cart, language):\n    return TEMPLATES[language].format(cart)",
    "shop/mail.py::send_receipt": "def send_receipt(cart, address):\n    send(address, render_receipt(cart, 'en'))",
}
ADD, TOTAL, COUPON, RESERVE, RELEASE, RENDER, SEND = FUNCTIONS
BACKGROUND = [
    TestFacts(f"tests/{file}.py::test_{name}", f"def test_{name}():\n    {body}", frozenset(executed))
    for file, name, body, executed in [
        ("test_cart", "total_of_one_item", "cart.add_item('pear', 2, 1)\n    assert cart.total() == 2", {ADD, TOTAL}),
        ("test_cart", "total_of_two_items", "cart.add_item('plum', 3, 2)\n    assert cart.total() == 6", {ADD, TOTAL}),
        ("test_cart", "empty_cart_costs_nothing", "assert Cart().total() == 0", {TOTAL}),
        ("test_cart", "unknown_coupon", "raises(KeyError, cart.apply_coupon, 'FREE')", {COUPON}),
        ("test_stock", "reserved_is_not_free", "stock.reserve('pear', 4)\n    assert stock.free == 6", {RESERVE}),
        ("test_stock", "reserve_too_much", "raises(OutOfStock, stock.reserve, 'pear', 400)", {RESERVE}),
        ("test_stock", "release_again", "stock.release('pear', 4)\n    assert stock.free == 10", {RESERVE, RELEASE}),
        ("test_stock", "nothing_reserved", "assert stock.reserved == {}", set()),
        ("test_mail", "receipt_in_english", "assert 'Thank you' in render_receipt(cart, 'en')", {RENDER, ADD}),
        ("test_mail", "receipt_in_german", "assert 'Danke' in render_receipt(cart, 'de')", {RENDER, ADD}),
        ("test_mail", "receipt_is_sent", "send_receipt(cart, 'a@example.org')\n    assert outbox", {SEND, RENDER, ADD}),
        ("test_mail", "bad_address", "raises(ValueError, send_receipt, cart, 'nobody')", {SEND}),
        ("test_cli", "usage_is_shown", "assert main(['--help']) == 0", set()),
        ("test_cli", "unknown_command", "assert main(['sell']) == 2", set()),
    ]
]  # fmt: skip
CORPUS = Corpus(BACKGROUND, FUNCTIONS)
FAILING = TestFacts(
    "tests/test_cart.py::TestCoupons::test_coupon_is_taken_off_once",
    "def test_coupon_is_taken_off_once(self):\n    cart.add_item('quince', 1999, 1)\n"
    "    cart.apply_coupon('SPRING-25')\n    cart.apply_coupon('SPRING-25')\n    assert cart.total() == 1499",
    frozenset({ADD, TOTAL, COUPON}),
    (Failure("AssertionError", "assert 999 == 1499", (("tests/test_cart.py", 31, "test_coupon_is_taken_off_once"),)),),
)
ISSUE = (
    "Coupon is taken off twice\n\nWhen the same coupon is applied twice to a cart, its total loses the discount twice."
)
UNRELATED = [
    "Please add a dark mode\n\nA dark theme would be easier on the eyes at night.",
    "Fix typo in readme\n\nThe second paragraph says 'recieve'.",
    "Update test dependencies\n\nThe pinned versions of pytest and coverage are a year old.",
    "Refactor the parser\n\nThe module is too long and should be split into several files.",
    "Docs: explain how to contribute\n\nA section on how the tests are run would help new people.",
    "Improve performance\n\nIt is slow for large inputs, please make it faster.",
    "Add logging\n\nIt would be nice to see what happens at debug level.",
    "Support Python 3.14",
    "Licence file is missing\n\nPlease put the text of the licence into the source distribution.",
    "Add a CI badge to the readme\n\nSo that people see whether the build passes.",
    "Translate the messages into Portuguese",
    "Rename the package\n\nThe name is taken on other systems and hard to remember.",
    "Add type hints",
    "Drop the setup.py file in favour of pyproject.toml",
]
HANG = TestFacts(
    "tests/test_stock.py::test_wait", "def test_wait():\n    stock.wait()", frozenset(), (Failure("Hang", ""),)
)


def task(text: str) -> TaskText:
    title, _, body = text.partition("\n")
    return TaskText(title=title, body=body.strip())


def relation(text: str, test: TestFacts = FAILING, corpus: Corpus = CORPUS) -> Relation:
    return TaskMeasure(task(text), corpus).relation(test)


def failing_with(failure: Failure) -> TestFacts:
    return TestFacts(FAILING.id, FAILING.source, FAILING.executed, (failure,))


def test_a_description_of_the_problem_is_related() -> None:
    found = relation(ISSUE)
    assert found.related and found.score >= THRESHOLD
    assert any("coupon" in phrase for phrase in found.shared)


@pytest.mark.parametrize("text", UNRELATED)
def test_a_request_for_something_else_is_unrelated(text: str) -> None:
    found = relation(text)
    assert not found.related and found.score < PLAUSIBLE


@pytest.mark.parametrize(
    "text",
    [
        "tests/test_cart.py::TestCoupons::test_coupon_is_taken_off_once does not work",
        "Look at this\n\nIt is TestCoupons::test_coupon_is_taken_off_once that I mean.",
        "Look at this\n\nSee `test_coupon_is_taken_off_once`.",
        "test_coupon_is_taken_off_once fails",
    ],
)
def test_a_task_that_names_the_test_is_about_it(text: str) -> None:
    found = relation(text)
    assert found.score > THRESHOLD and found.shared[0].startswith("the task names the test")


@pytest.mark.parametrize(
    "text",
    [
        "Dark mode\n\ntest_coupon_is_taken_off_once_more exists too.",
        "Dark mode\n\ntests/test_stock.py::test_coupon_is_taken_off_once is in another file.",
        "Dark mode\n\nPlease ignore test_coupon_is_taken_off_once, it is a known failure.",
        "Dark mode\n\nUnrelated to tests/test_cart.py::TestCoupons::test_coupon_is_taken_off_once.",
    ],
)
def test_another_test_and_one_that_is_set_aside_are_not_named(text: str) -> None:
    assert names_test(task(text), FAILING) == ""


@pytest.mark.parametrize(
    "text",
    [
        "The suite is red",
        "CI fails on main",
        "Fix the failing tests",
        "Tests are broken since the last release",
        "Please make the tests pass again",
        "Help\n\nTwo tests fail on master. It began yesterday.",
        "The coupon tests fail",
    ],
)
def test_a_request_for_the_failing_tests_means_them(text: str) -> None:
    found = relation(text)
    assert found.score > THRESHOLD and found.shared[0].startswith("the task asks for the failing tests")


@pytest.mark.parametrize(
    "text",
    [
        "Please add a test for the cart",
        "Add support for unittest",
        "Update test dependencies",
        "Skip failing tests",
        "Remove the broken tests",
        "Run the tests",
        "Document how the tests are run",
        "Failing payments are not logged",
        "The build is slow",
        "Add a dark mode\n\nThe tests fail too, but that is unrelated.",
        "The dark mode fails when the tests run in a browser",
    ],
)
def test_other_requests_that_speak_of_tests_do_not_mean_the_failing_ones(text: str) -> None:
    request = failing_tests_request(task(text))
    assert request is None or not request.means(FAILING)
    assert relation(text).score < THRESHOLD


@pytest.mark.parametrize("text", ["Skip failing tests", "Remove the broken tests", "Add a failing test"])
def test_work_on_the_tests_themselves_is_no_request_for_the_failing_ones(text: str) -> None:
    assert failing_tests_request(task(text)) is None


def test_a_request_for_the_failing_tests_of_one_part_means_only_those() -> None:
    assert not relation("The stock tests fail").related


def test_a_traceback_that_ends_where_the_tests_does_relates_both() -> None:
    frames = (("tests/test_cart.py", 31, "test_x"), ("shop/mail.py", 88, "_encode"))
    test = failing_with(Failure("LookupError", "", frames))
    text = 'Crash\n\nTraceback (most recent call last):\n  File "{}", line {}, in {}\n    raise LookupError'
    same = relation(text.format("/home/me/venv/shop/mail.py", 88, "_encode"), test)
    moved = relation(text.format("C:\\work\\shop\\mail.py", 91, "_encode"), test)
    other = relation(text.format("/home/me/venv/shop/stock.py", 88, "_encode"), test)
    assert any("traceback" in phrase for phrase in same.shared) and any("traceback" in p for p in moved.shared)
    assert not any("traceback" in phrase for phrase in other.shared)
    assert same.score >= THRESHOLD > PLAUSIBLE > other.score


def test_the_message_of_an_exception_relates_both() -> None:
    test = failing_with(Failure("ValueError", "cannot combine two offers at 0x7f00dd"))
    text = "Exception at the checkout\n\nI get: ValueError: Cannot combine\n two offers at 0x0042"
    assert relation(text, test).score >= THRESHOLD
    assert any("both report ValueError" in phrase for phrase in relation(text, test).shared)
    assert relation(text).score < relation(text, test).score - 5


def test_a_hang_relates_to_a_report_of_one() -> None:
    text = "Waiting for stock never returns"
    assert any("hang" in phrase for phrase in relation(text, HANG).shared)
    assert not any("hang" in phrase for phrase in relation("Waiting for stock returns nothing", HANG).shared)
    ended = TestFacts(HANG.id, HANG.source)
    assert relation(text, HANG).score > relation(text, ended).score + 2


def test_a_rare_value_counts_more_than_a_common_one() -> None:
    rare = relation("Wrong result\n\nI get 999 for 1999 with 'SPRING-25'.")
    common = relation("Wrong result\n\nI get 1 for 'pear' with 2.")
    assert rare.score > common.score + 5
    assert any("'SPRING-25'" in phrase for phrase in rare.shared)
    assert rare.score >= PLAUSIBLE > common.score


def test_a_problem_that_a_passing_test_matches_better_is_never_proven() -> None:
    """Which of the cart's tests is meant is open when the words fit one that passes."""
    text = (
        "An unknown coupon raises KeyError\n\n`apply_coupon('FREE')` raises KeyError: say that the coupon is unknown."
    )
    assert relation(text).score < THRESHOLD
    without = Corpus([test for test in BACKGROUND if "coupon" not in test.id], FUNCTIONS)
    assert relation(text, corpus=without).score > THRESHOLD
    assert not relation("The receipt says Danke twice\n\nThe receipt of a cart in German has this line twice.").related


@settings(max_examples=30, deadline=None)
@given(st.permutations(BACKGROUND), st.permutations(list(FUNCTIONS.items())), st.sampled_from([ISSUE, *UNRELATED[:4]]))
def test_the_order_of_tests_and_functions_changes_nothing(
    tests: list[TestFacts], functions: list[tuple[str, str]], text: str
) -> None:
    assert relation(text, corpus=Corpus(tests, dict(functions))) == relation(text)


ASIDES = [
    "The weather was fine when I noticed this.",
    "I am on Ubuntu 24.04 with Python 3.12.",
    "Thanks for the great work!",
    "Maybe the font could be larger as well.",
    "My colleague saw it too, on Windows.",
    "See the screenshot below.",
    "This would help our accessibility team a lot.",
    "I could open a pull request if you like.",
]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(UNRELATED), st.lists(st.sampled_from(ASIDES), min_size=1, max_size=8))
def test_sentences_about_something_else_never_make_an_unrelated_test_a_target(text: str, asides: list[str]) -> None:
    assert relation(f"{text}\n\n{' '.join(asides)}").score < THRESHOLD


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400), st.text(max_size=2000))
def test_any_text_gets_a_finite_score(title: str, body: str) -> None:
    for test in (FAILING, HANG, TestFacts("")):
        found = TaskMeasure(TaskText(title=title, body=body), CORPUS).relation(test)
        assert abs(found.score) < 1e4
        assert found.related == (found.score >= PLAUSIBLE)


PIECES = [
    "a", "a ", "a. ", "A", "aB", "é", "`", "/", ".py/", "a.py ", "::", "a::", "test_", "_", "1.", "-1", '"', 'File "',
    "0x", "(", "x.y(", "\n", "never ", "fail tests ", f"{FAILING.function} ", 'File "a.py", line 1, in a\n',
]  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_a_hostile_long_text_is_measured_in_bounded_time(piece: str) -> None:
    """A body of 256 KiB, and a title of that size that names the test. Processor time, which does not depend on the
    machine's load: a search that is quadratic in the text takes seconds for each test."""
    body = (piece * (1 << 18))[: 1 << 18]
    tests = [TestFacts(f"{FAILING.id}[{n}]", FAILING.source, FAILING.executed, FAILING.failures) for n in range(5)]
    for title in ("Dark mode", FAILING.function + body):
        began = time.process_time()
        measure = TaskMeasure(TaskText(title=title, body=body), CORPUS)
        assert len([measure.relation(test) for test in tests]) == 5
        assert time.process_time() - began < 5


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    text = f"{UNRELATED[0]}{' filler' * MOST_TEXT}"
    assert relation(f"{text} {FAILING.id} {ISSUE}") == relation(text)


@pytest.mark.parametrize(
    "sentence",
    [
        "in 1,999 steps",
        "in 1_999 steps",
        "after nineteen hundred ninety-nine steps",
        "after 1999s",
    ],
)
def test_a_number_is_a_value_however_it_is_written(sentence: str) -> None:
    assert Text(sentence).shows(1999) and Text(sentence).shows(1999.0)
    assert not Text(sentence).shows(19)


def test_a_word_or_article_is_no_value_unless_it_is_written_as_one() -> None:
    assert not Text("a cart from the shop").shows("a") and not Text("a cart from the shop").shows("from the")
    assert Text('gives "a" from the shop').shows("a") and Text("a cart: apply('a')").shows("a")


def test_a_quoted_value_counts_more_than_one_in_a_sentence() -> None:
    def score(text: str) -> float:
        return relation(f"Totals are wrong\n\nIt happens with {text} twice.").score

    assert score("SPRING-25") < score('"SPRING-25"')


def test_a_time_or_version_within_a_string_is_a_value_and_a_word_or_decimal_is_not() -> None:
    found = values("assert week() == 'mon: 8:00-12:00, v3.14.1 costs 3.50 in re-use'")
    assert {"8:00", "12:00", "v3.14.1"} <= found
    assert not {"3.50", "re-use", "costs", "mon:"} & found


def test_tests_that_show_parts_of_a_problem_are_scored_together() -> None:
    text = "Levels\n\nThe warn level counts too little, and lines that are loud pass for entries of a known level."
    loud = TestFacts("tests/test_mail.py::test_loud", "def test_loud():\n    assert known('loud') is None")
    warn = TestFacts("tests/test_mail.py::test_warn", "def test_warn():\n    assert counts('warn') == 4")
    other = TestFacts("tests/test_mail.py::test_pear", "def test_pear():\n    assert weight('pear') == 4")
    measure = TaskMeasure(task(text), CORPUS)
    alone = {test.id: measure.relation(test).score for test in (loud, warn, other)}
    together = {test: found.score for test, found in measure.relations([loud, warn, other]).items()}
    best = max(alone, key=lambda test: alone[test])
    assert together[best] > alone[best]
    assert {test: together[test] for test in alone if test != best} == {t: alone[t] for t in alone if t != best}
    apart = measure.relations([warn if best == warn.id else loud, other])
    assert apart[best].score == alone[best]


def test_the_end_of_a_number_is_no_word() -> None:
    assert roots("the 29th of 0x1f, 5ms and x2th") == roots("x2th")


def test_a_line_of_a_longer_string_is_a_value() -> None:
    source = 'assert shown == """<?xml version=1?>\n  <item price=1999 number=3 />\n</x>"""'
    assert "<item price=1999 number=3 />" in values(source)
    assert "</x>" not in values(source)
    test = TestFacts(FAILING.id, source, FAILING.executed)
    assert (
        "both use the value '<item price=1999 number=3 />'"
        in relation("Wrong\n\nIt should be `<item price=1999 number=3 />`", test).shared
    )


def test_a_parameter_with_colons_is_not_part_of_the_name(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("class TestA:\n    def test_address(self, text):\n        pass\n")
    test = TestFacts("test_a.py::TestA::test_address[http://[2a01::4]-x::y]")
    assert test.function == "test_address"
    assert source_of(tmp_path, test.id).startswith("def test_address")
    assert names_test(task("test_address is red"), test) == "test_address"


def test_only_words_that_are_whole_in_the_task_name_a_test() -> None:
    short = TestFacts("tests/test_a.py::test_x", "def test_x():\n    pass")
    assert names_test(task("test_x fails"), short) == "test_x"
    assert names_test(task("latest_x fails"), short) == names_test(task("my program has a test_x"), short) == ""
    assert re.fullmatch(r"the task names the test `test_x`", relation("test_x fails", short).shared[0])


def test_a_keyword_argument_with_its_value_is_one_value() -> None:
    found = values("cache.put('a', 1, ttl=0, mode='x', other=name, **rest)")
    assert {"ttl=0", "mode='x'", 'mode="x"'} <= found
    assert not [value for value in found if str(value).startswith(("other", "None"))]
    assert Text("`put(..., ttl=0)` keeps the entry").shows("ttl=0")
    assert not Text("`put(..., maxttl=0)` keeps the entry, as does ttl=01").shows("ttl=0")


def test_an_operator_in_place_relates_both() -> None:
    merged = TestFacts("tests/test_cart.py::test_ior", "def test_ior():\n    one |= other\n    assert one == [1, 2]")
    plain = TestFacts("tests/test_cart.py::test_ior", "def test_ior():\n    one.join(other)\n    assert one == [1, 2]")
    task = TaskText(title="`|=` breaks a cart", body="`cart |= other` leaves a cart that is not usable.")
    measure = TaskMeasure(task, CORPUS)
    assert measure.relation(merged).score > measure.relation(plain).score + 2
    assert "both use the operator `|=`" in measure.relation(merged).shared
    assert operations("`a|=b`, `x **= 2`, a <= b, c != d, k=1, a == b") == {"|=", "**="}


def test_both_compared_values_in_the_task_tell_more_than_one() -> None:
    text = "Orders go to the wrong shop\n\nIt went to Berta although {} was free."
    wrong = failing_with(Failure("AssertionError", "assert 'berta' == 'otto'"))
    both, one = relation(text.format("Otto"), wrong), relation(text.format("Emil"), wrong)
    assert (
        both.score > one.score
        and both.score < THRESHOLD
        and any("'berta' and 'otto'" in phrase for phrase in both.shared)
    )
    small = failing_with(Failure("AssertionError", "assert 1 == 2"))
    assert not any("compares" in phrase for phrase in relation("Orders\n\nIt is 1 and not 2.", small).shared)


def test_a_series_of_numbers_in_the_order_of_the_failure_is_telling() -> None:
    text = "Bills\n\nThey came on 31 January, 29 February, and then on the 29th of March and 29 April."
    shown = failing_with(Failure("AssertionError", "Lists differ: [31, 29, 29, 29] != [31, 29, 31, 30]"))
    turned = failing_with(Failure("AssertionError", "Lists differ: [29, 31, 29, 29] != [31, 29, 31, 30]"))
    assert relation(text, turned).score < relation(text, shown).score < THRESHOLD
    counted = failing_with(Failure("AssertionError", "assert [1, 2, 3] == [2, 3, 4]"))
    assert not any("order" in phrase for phrase in relation("Steps\n\n1 then 2 then 3.", counted).shared)
