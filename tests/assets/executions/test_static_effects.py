"""Doubts from a patch's text about effects that a function loses, errors it no longer raises, and balanced errors."""

import pytest

from assets.executions.engines.search.source import SourceFile
from assets.executions.judging.edits.doubts import static_doubts

STORE = """
import os


def late(due, paid):
    return (paid - due).days + 1


def fee(due, paid):
    days = late(due, paid)
    return days * 50


def overdue(due, today):
    return late(due, today) > 0


class Store:
    def save(self, path, text):
        scratch = path + ".tmp"
        with open(scratch, "w") as file:
            file.write(text)
        os.replace(scratch, path)
        self.told(path)

    def lines(self, texts, limit):
        found = []
        for text in texts:
            found.append(text[:limit])
        return found

    def number(self, text):
        try:
            return int(text)
        except ValueError:
            raise KeyError(text) from None
"""


LOOP = """        found = []
        for text in texts:
            found.append(text[:limit])
        return found
"""


def kinds(*edits: tuple[str, str]) -> set[str]:
    after = STORE
    for old, new in edits:
        assert after.count(old) == 1
        after = after.replace(old, new)
    sources = {"m.py": SourceFile("m.py", STORE.encode())}
    return {doubt.kind for doubt in static_doubts({"m.py": STORE}, {"m.py": after}, "", {}, sources)}


@pytest.mark.parametrize(
    ("old", "new", "lost"),
    [
        ("        self.told(path)\n", "", True),
        ("        self.told(path)\n", "        self.tell(path)\n", False),
        ("        self.told(path)\n", "        if text:\n            self.told(path)\n", False),
        ("        os.replace(scratch, path)\n", "", True),
        ("        os.replace(scratch, path)\n", "        path.last = scratch\n", False),
        (LOOP, "        return [text[:limit] for text in texts]\n", False),
    ],
)
def test_a_call_for_its_effect_that_is_gone_is_a_doubt(old: str, new: str, lost: bool) -> None:
    assert ("lost-effect" in kinds((old, new))) is lost


def test_an_effect_that_moves_to_another_function_is_kept() -> None:
    told = "        self.told(path)\n"
    assert "lost-effect" not in kinds((told, ""), ("        found = []\n", f"        found = []\n{told}"))


@pytest.mark.parametrize(
    ("new", "gone"),
    [
        ("            number = 0\n        return number\n", True),
        ("            return 0\n", True),
        ("            raise LookupError(text) from None\n", False),
    ],
)
def test_a_handler_that_no_longer_raises_is_a_doubt(new: str, gone: bool) -> None:
    assert ("removed-check" in kinds(("            raise KeyError(text) from None\n", new))) is gone


@pytest.mark.parametrize(
    ("old", "new", "doubted"),
    [
        ("    days = late(due, paid)\n", "    days = late(due, paid) - 1\n", True),
        (".days + 1", ".days", False),
        ("return days * 50", "return (days - 1) * 50", False),
        ("        found = []\n", "        limit = limit - 1\n        found = []\n", True),
        ("        found = []\n", "        limit -= 1\n        found = []\n", True),
        ("text[:limit]", "text[: limit - 1]", False),
    ],
)
def test_an_error_that_is_balanced_elsewhere_is_a_doubt(old: str, new: str, doubted: bool) -> None:
    assert ("compensation" in kinds((old, new))) is doubted


MONEY = """
class Money:
    def __init__(self, cents):
        self.cents = cents

    def __eq__(self, other):
        if type(other) is not Money:
            return False
        return self.cents == other.cents

    def plus(self, other):
        return Money(self.cents)
"""


@pytest.mark.parametrize(
    ("issue", "doubted"),
    [("Adding loses the second amount", True), ("Two amounts of the same size are not equal", False)],
)
def test_a_comparison_that_the_task_does_not_speak_of_is_no_repair(issue: str, doubted: bool) -> None:
    sources = {"m.py": SourceFile("m.py", MONEY.encode())}
    weaker = MONEY.replace("self.cents == other.cents", "self.cents <= other.cents")
    found = static_doubts({"m.py": MONEY}, {"m.py": weaker}, issue, {}, sources)
    assert ("changed-comparison" in {doubt.kind for doubt in found}) is doubted
    skipped = MONEY.replace(
        "        return self.cents ==",
        "        if self is None:\n            return True\n        return self.cents ==",
    )
    found = static_doubts({"m.py": MONEY}, {"m.py": skipped}, issue, {}, sources)
    assert ("changed-comparison" in {doubt.kind for doubt in found}) is doubted
    right = MONEY.replace("Money(self.cents)", "Money(self.cents + other.cents)")
    found = static_doubts({"m.py": MONEY}, {"m.py": right}, issue, {}, sources)
    assert "changed-comparison" not in {doubt.kind for doubt in found}


def test_a_parameter_is_changed_and_not_overwritten() -> None:
    text = "def at(cells, index):\n    if index < 0:\n        index += len(cells)\n    return cells[index]\n"
    sources = {"m.py": SourceFile("m.py", text.encode())}
    for after, doubted in (("index = len(cells)", True), ("index = index % len(cells)", False), ("index -= 1", False)):
        changed = text.replace("index += len(cells)", after)
        found = {doubt.kind for doubt in static_doubts({"m.py": text}, {"m.py": changed}, "", {}, sources)}
        assert ("unused-input" in found) is doubted, after
    local = text.replace("def at(cells, index):", "def at(cells):\n    index = -1")
    found = static_doubts({"m.py": local}, {"m.py": local.replace("index += ", "index = ")}, "", {}, sources)
    assert "unused-input" not in {doubt.kind for doubt in found}


@pytest.mark.parametrize(
    ("after", "issue", "doubted"),
    [
        ("self.port", "", True),
        ("text", "", True),
        ("self.port", "a host with a port is lost", True),
        ("self.port", "it should strip `port`", False),
        ("self.port", "it should strip self.port", False),
        ("self._LETTERS", "", False),
        ("self._digits", "", False),
        ("'0123456789'", "", False),
    ],
)
def test_a_constant_is_not_replaced_by_any_name(after: str, issue: str, doubted: bool) -> None:
    text = "class Host:\n    def digits(self, text):\n        return text.strip(self._DIGITS)\n"
    sources = {"m.py": SourceFile("m.py", text.encode())}
    changed = text.replace("self._DIGITS", after)
    found = {doubt.kind for doubt in static_doubts({"m.py": text}, {"m.py": changed}, issue, {}, sources)}
    assert ("replaced-constant" in found) is doubted


@pytest.mark.parametrize(
    ("after", "doubted"),
    [
        ("n + 0", True),
        ("n * 1", True),
        ("1 * n", True),
        ("n + 2", False),
        ("n * 0", False),
        ("n - 1", False),
        ("n", False),
    ],
)
def test_an_operation_that_changes_nothing_is_a_doubt(after: str, doubted: bool) -> None:
    text = "def after(n):\n    return n + 1\n"
    sources = {"m.py": SourceFile("m.py", text.encode())}
    found = static_doubts({"m.py": text}, {"m.py": text.replace("n + 1", after)}, "", {}, sources)
    assert ("neutral-operation" in {doubt.kind for doubt in found}) is doubted


def test_an_operation_that_changes_nothing_and_was_there_is_no_doubt() -> None:
    text = "def after(n, m):\n    return n + 0 + m\n"
    sources = {"m.py": SourceFile("m.py", text.encode())}
    found = static_doubts({"m.py": text}, {"m.py": text.replace("+ m", "- m")}, "", {}, sources)
    assert "neutral-operation" not in {doubt.kind for doubt in found}
