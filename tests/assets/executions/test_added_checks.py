"""Checks, special methods and variants: edits that the failures or the rest of the project suggest."""

import pytest

from assets.executions.engines.search.special_methods import missing_protocols, used_protocols
from assets.executions.engines.search.symptoms import Symptoms, read_symptoms
from assets.executions.trial.baseline import Failure
from tests.assets.executions.test_operators import results, same

NOT_RAISED = Failure("Failed", "DID NOT RAISE <class 'ValueError'>")
RAISES = "with pytest.raises(ValueError):\n    f(1)"


def refused(issue: str = "") -> Symptoms:
    return read_symptoms([NOT_RAISED], [RAISES], issue)


def made(before: str, after: str, symptoms: Symptoms, *others: str) -> bool:
    """Whether an edit leads from `before` to `after`; the text of an exception does not matter if it is MESSAGE."""
    found = results(before, symptoms, *others)
    if "MESSAGE" not in after:
        return any(same(text, after) for text in found)
    head, tail = after.split("MESSAGE")
    return any(text.startswith(head) and text.endswith(tail) for text in found)


def test_a_limit_that_the_issue_names_is_checked_on_what_is_converted() -> None:
    before = "def f(text):\n    low = text[2:]\n    total = int(low) * 60\n    return total\n"
    after = before.replace("    total", "    if int(low) >= 60:\n        raise ValueError(MESSAGE)\n    total")
    assert made(before, after, refused("An offset with 60 or more minutes is accepted"))
    assert not made(before, after, refused("An offset with more minutes is accepted"))
    quiet = read_symptoms([Failure("AssertionError", "assert 1 == 2")], [], "60 or more minutes")
    assert not made(before, after, quiet)


def test_an_index_is_checked_against_both_ends_of_the_container_itself() -> None:
    before = (
        "class Row:\n    def __len__(self):\n        return 3\n\n"
        "    def at(self, index):\n        if index < 0:\n            index += len(self)\n"
        "        return self.cells(index)\n"
    )
    after = before.replace(
        "        return self.cells",
        "        if index < 0 or index >= len(self):\n            raise ValueError(MESSAGE)\n        return self.cells",
    )
    assert made(before, after, refused())
    assert not made(before.replace("__len__", "length"), after.replace("__len__", "length"), refused())


HELPER = (
    "def check_names(*names):\n    for name in names:\n        if name[0] == '_':\n            raise ValueError(name)\n"
)


def test_a_validator_of_another_file_is_called_and_imported() -> None:
    before = "from os import path\n\n\ndef f(names):\n    return [path.join('a', n) for n in names]\n"
    after = before.replace("def f", "def f").replace(
        "from os import path\n", "from os import path\nfrom other0 import check_names\n"
    )
    after = after.replace("    return [", "    check_names(*names)\n    return [")
    assert made(before, after, refused(), HELPER)
    returning = HELPER + "    return names\n"
    assert not made(before, after, refused(), returning)


def test_a_name_joins_the_import_from_its_module() -> None:
    before = "from other0 import (\n    one,\n    two,\n)\n\n\ndef f(names):\n    return one(names), two\n"
    after = before.replace("two,\n)", "two, check_names,\n)").replace(
        "    return", "    check_names(*names)\n    return"
    )
    assert made(before, after, refused(), HELPER + "\n\ndef one(x):\n    return x\n")


def test_a_validating_method_of_a_base_class_is_called() -> None:
    before = (
        "class Base:\n    def _check(self, size):\n        if size < 1:\n            raise ValueError(size)\n\n\n"
        "class Box(Base):\n    def cut(self, size):\n        return [size]\n"
    )
    after = before.replace("        return [size]", "        self._check(size)\n        return [size]")
    assert made(before, after, refused())


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("unsupported operand type(s) for |=: 'Bag' and 'dict'", {("Bag", "__ior__")}),
        ("unsupported operand type(s) for +: 'int' and 'Sum'", {("Sum", "__radd__"), ("int", "__add__")}),
        ("object of type 'Bag' has no len()", {("Bag", "__len__")}),
        ("unhashable type: 'Point'", {("Point", "__hash__")}),
        ("'Bag' object is not subscriptable", {("Bag", "__getitem__")}),
        ("nothing of the kind", set()),
    ],
)
def test_messages_name_the_special_method_that_is_missing(message: str, wanted: set[tuple[str, str]]) -> None:
    assert wanted <= missing_protocols(message)
    assert bool(wanted) == bool(missing_protocols(message))


def test_operations_in_tests_name_special_methods() -> None:
    assert used_protocols("    a |= b\n") == {"__ior__"}
    assert used_protocols("copy.deepcopy(x)") == {"__deepcopy__", "__reduce__"}
    assert used_protocols("def broken(:") == set()


BAG = (
    "class Bag(dict):\n    def __init__(self):\n        self.order = []\n\n"
    "    def update(self, other):\n        self.order.extend(other)\n"
)


def test_an_operator_in_place_is_written_with_the_method_of_its_meaning() -> None:
    symptoms = read_symptoms([Failure("AssertionError", "assert 1 == 2")], ["bag = Bag()\nbag |= {'a': 1}"], "")
    after = BAG + "\n    def __ior__(self, other):\n        self.update(other)\n        return self\n"
    assert made(BAG, after, symptoms)
    elsewhere = read_symptoms([Failure("AssertionError", "assert 1 == 2")], ["total = 0\ntotal |= 3"], "")
    assert not made(BAG, after, elsewhere), "the test does not speak of the class"


def test_a_hash_agrees_with_what_is_compared() -> None:
    before = (
        "class Point:\n    def __init__(self, x, y, note):\n        self.x = x\n        self.y = y\n"
        "        self.note = note\n\n"
        "    def __eq__(self, other):\n        return self.x == other.x and self.y == other.y\n"
    )
    after = before + "\n    def __hash__(self):\n        return hash((self.x, self.y))\n"
    assert made(before, after, read_symptoms([Failure("TypeError", "unhashable type: 'Point'")], [], ""))


def test_a_copy_keeps_the_state_that_the_class_knows_how_to_give() -> None:
    before = (
        "class Bag(dict):\n    def __getstate__(self):\n        return list(self)\n\n"
        "    def __setstate__(self, state):\n        self.clear()\n"
    )
    after = before + "\n    def __reduce__(self):\n        return (self.__class__, (), self.__getstate__())\n"
    assert made(before, after, read_symptoms([Failure("AssertionError", "")], ["copy.copy(Bag())"], ""))


VARIANTS = [
    ("def f(a):\n    if a.startswith('def '):\n        return 1\n",
     "def f(a):\n    if a.startswith(('def ', 'async def ')):\n        return 1\n", "'async def ' is not seen"),
    ("def f(a):\n    return a in ('x', 'y') or any(k for k in ['p', 'q'])\n",
     "def f(a):\n    return a in ('x', 'y') or any(k for k in ['p', 'q', 'z'])\n", "'z' is missing"),
    ("def f(a):\n    return isinstance(a, list)\n",
     "def f(a):\n    return isinstance(a, (list, tuple))\n", "a tuple is refused"),
    ("def f(a):\n    if a[:2] == '__':\n        return 1\n",
     "def f(a):\n    if a[:2] == '__' and a[-2:] == '__':\n        return 1\n", ""),
    ("def f(a, b):\n    if b and not a.startswith('www.'):\n        return 1\n",
     "def f(a, b):\n    if b and not a.startswith('www.') and not a.startswith('@'):\n        return 1\n",
     "'@' at the start"),
    ("class A:\n    def copy(self):\n        return A(self.x)\n",
     "class A:\n    def copy(self):\n        return type(self)(self.x)\n", ""),
    ("class A:\n    @classmethod\n    def make(cls, x):\n        return A(x)\n",
     "class A:\n    @classmethod\n    def make(cls, x):\n        return cls(x)\n", ""),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "issue"), VARIANTS)
def test_variants_of_what_stands_there(before: str, after: str, issue: str) -> None:
    assert made(before, after, read_symptoms([Failure("AssertionError", "")], [], issue))


def test_an_attribute_that_a_copy_lacks_is_carried_over() -> None:
    before = "def twin(first):\n    made = build(first.code, first.name)\n    made.doc = first.doc\n    return made\n"
    after = before.replace("    made.doc", "    made.__kwdefaults__ = first.__kwdefaults__\n    made.doc")
    assert made(before, after, read_symptoms([], [], "The copy's `__kwdefaults__` are None."))
    assert not made(before, after, read_symptoms([], [], "The copy has no defaults."))
