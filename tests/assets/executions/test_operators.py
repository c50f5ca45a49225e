"""Each operator family makes the edit that its kind of bug needs, and leaves everything around it as it was."""

import ast
import textwrap

import pytest

from assets.executions.engines.search.operators import Site, families, proposals
from assets.executions.engines.search.operators.index import ProjectIndex
from assets.executions.engines.search.source import SourceFile, apply_edits
from assets.executions.engines.search.symptoms import Symptoms, read_symptoms
from assets.executions.trial.baseline import Failure


def results(before: str, symptoms: Symptoms | None = None, *others: str) -> dict[str, float]:
    """Every text that some operator makes of a file, with its best weight. Texts that do not parse are left out, as the
    worker does."""
    sources = [SourceFile("mod.py", before.encode())]
    sources += [SourceFile(f"other{n}.py", textwrap.dedent(text).encode()) for n, text in enumerate(others)]
    index = ProjectIndex(sources)
    found: dict[str, float] = {}
    for statements in sources[0].statements.values():
        for statement in statements:
            for proposal in proposals(Site(sources[0], statement, index, symptoms or Symptoms())):
                try:
                    text = apply_edits(sources[0].text, proposal.edits)
                    ast.parse(text)
                except (SyntaxError, ValueError):
                    continue
                found[text] = max(found.get(text, 0.0), proposal.weight)
    return found


def same(one: str, other: str) -> bool:
    return ast.dump(ast.parse(one)) == ast.dump(ast.parse(other))


BODY = "def f(a, b, items, key=None, data=None, text=''):\n"

PAIRS = [
    # comparisons and conditions
    ("if a < b:\n    return 1", "if a <= b:\n    return 1"),
    ("if a == None:\n    return 1", "if a is None:\n    return 1"),
    ("return a and b", "return a or b"),
    ("if not a:\n    return 1", "if a:\n    return 1"),
    ("if not a:\n    return 1", "if a is None:\n    return 1"),
    ("if a:\n    return 1", "if a is not None:\n    return 1"),
    ("return a or b", "return a if a is not None else b"),
    ("if a > 1:\n    return b", "if a > 1 and b is not None:\n    return b"),
    ("return a or b and key", "return (a or b) and key"),
    ("return a if b else key", "return key if b else a"),
    ("if a and b and key:\n    return 1", "if a and key:\n    return 1"),
    ("if 0 < a < b:\n    return 1", "if 0 <= a < b:\n    return 1"),
    # numbers
    ("return items[a + 1]", "return items[a]"),
    ("return a - b", "return b - a"),
    ("return a // b", "return a / b"),
    ("return a / 1 + b / 100", "return a / (1 + b / 100)"),
    ("return (a + b) * 2", "return a + b * 2"),
    ("return items[:a]", "return items[:a + 1]"),
    ("return items[1:]", "return items[:]"),
    ("return items[0]", "return items[-1]"),
    ("return [x for x in range(a)]", "return [x for x in range(a + 1)]"),
    ("return [x for x in range(1, a)]", "return [x for x in range(1, a + 1)]"),
    ("return a // 60", "return a // 3600"),
    ("return int(a / b)", "return round(a / b)"),
    ("return a // b", "return -(-a // b)"),
    ("return [(i, x) for i, x in enumerate(items)]", "return [(i, x) for i, x in enumerate(items, start=1)]"),
    ("return -a", "return a"),
    ("return text.strip('\"')", "return text[1:-1]"),
    ("return text.rstrip('/')", "return text[:-1]"),
    ("return text.strip('**')", "return text.removeprefix('**').removesuffix('**')"),
    # names and order
    ("return a + a", "return a + b"),
    ("return (a, b)", "return (b, a)"),
    ("data[a] += data[b]", "data[b] += data[a]"),
    ("return items[a][b]", "return items[b][a]"),
    # calls
    ("return g(a, b)", "return g(b, a)"),
    ("return g(a)", "return g(a, b)"),
    ("return g(key=data, data=a)", "return g(key=key, data=a)"),
    ("return max(items)", "return min(items)"),
    ("return any(items)", "return all(items)"),
    ("return sorted(items)", "return sorted(items, reverse=True)"),
    ("return sorted(items, key=lambda x: x.age)", "return sorted(items, key=lambda x: -x.age)"),
    ("return text.lstrip()", "return text.strip()"),
    ("return text == key", "return text.lower() == key"),
    ("return a + text", "return str(a) + text"),
    ("return text.split(',')", "return text.split(',', 1)"),
    ("items.append(a)", "items.extend(a)"),
    ("return items.pop()", "return items.pop(0)"),
    ("return (a - b).seconds", "return (a - b).total_seconds()"),
    ("return abs(a)", "return a"),
    ("return a.time()", "return a.timetz()"),
    # values
    ("return data[key]", "return data.get(key)"),
    ("return data[key]", "return data.get(key, 0)"),
    ("return data.get(key)", "return data[key]"),
    ("return True", "return False"),
    ("return data", "return dict(data)"),
    ("return items", "return items.copy()"),
    ("return [[0] * a] * b", "return [[0] * a for _ in range(b)]"),
    ("return [x for x in items]", "return [x for x in items if x is not None]"),
    ("return sorted([x for x in items])", "return sorted({x for x in items})"),
    ("return (x for x in items)", "return [x for x in items]"),
    # strings and formats
    ("return f'{a:>5}'", "return f'{a:>+5}'"),
    ("return f'{a:.1f}'", "return f'{a:.2f}'"),
    ("return '{a} items'", "return f'{a} items'"),
    ("return 'it is: f{a}'", "return f'it is: {a}'"),
    ("return {'z': '[0-9]{2}(:?[0-9])?(:?[0-9])?'}", "return {'z': '[0-9]{2}(?::?[0-9])?(?::?[0-9])?'}"),
    ("return re.match(r'\\d+', text)", "return re.match(r'\\d+$', text)"),
    ("return re.sub(r'<.*>', '', text)", "return re.sub(r'<.*?>', '', text)"),
    ("return a.strftime('%Y-%d-%m')", "return a.strftime('%Y-%m-%d')"),
    # guards
    ("return sum(items) / len(items)", "if not items:\n    return 0\nreturn sum(items) / len(items)"),
    ("return a / b", "if b == 0:\n    return 0\nreturn a / b"),
    ("return data.name", "return data.name if data is not None else None"),
    ("g(a)\nh(b)", "g(a)\nif b is None:\n    b = ''\nh(b)"),
    ("for x in items:\n    x.go()", "for x in items:\n    if x is None:\n        continue\n    x.go()"),
    ("return max(items)", "return max(items) if items else None"),
    ("return a - b", "return max(a - b, 0)"),
    # statements
    ("for x in items:\n    if x:\n        break\n    g(x)", "for x in items:\n    if x:\n        continue\n    g(x)"),
    ("for x in items:\n    g(x)\n    return a", "for x in items:\n    g(x)\nreturn a"),
    ("for x in items:\n    a = 0\n    a += x\nreturn a", "a = 0\nfor x in items:\n    a += x\nreturn a"),
    ("for x in items:\n    g(x)\na += 1\nreturn a", "for x in items:\n    g(x)\n    a += 1\nreturn a"),
    ("total = a\ntotal = b", "total = a\ntotal += b"),
    ("g(a)\ng(b)", "g(b)\ng(a)"),
    ("out = []\nfor x in items:\n    out.append(x)", "out = []\nfor x in items:\n    out.append(x)\nreturn out"),
    ("while a:\n    a // 2", "while a:\n    a //= 2"),
    ("a == b\nreturn a", "a = b\nreturn a"),
    ("items.clear\nreturn a", "items.clear()\nreturn a"),
    ("f(a, b, items)", "return f(a, b, items)"),
    ("text.strip()\nreturn text", "text = text.strip()\nreturn text"),
    ("if a:\n    g(a)\nif b:\n    g(b)", "if a:\n    g(a)\nelif b:\n    g(b)"),
    ("g(a)\nreturn b", "return b"),
    ("out = []\nout.extend(a[key:])\nreturn out", "out = []\nout.extend(a[key:])\nout.extend(b[key:])\nreturn out"),
    ("best = 0\nfor x in items:\n    best = x", "best = 0\nfor x in items:\n    best = max(best, x)"),
    ("while a < b:\n    g(a)\n    a = 1", "while a < b:\n    g(a)\n    a += 1"),
    # exceptions
    ("try:\n    return int(a)\nexcept TypeError:\n    return 0",
    "try:\n    return int(a)\nexcept (TypeError, ValueError):\n    return 0"),
    ("try:\n    return int(a)\nexcept ValueError:\n    pass", "try:\n    return int(a)\nexcept ValueError:\n    raise"),
    ("raise TypeError(a)", "raise ValueError(a)"),
    # definitions
    ("return [lambda: x for x in items]", "return [lambda x=x: x for x in items]"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_the_edit_that_the_bug_needs_is_among_the_candidates(before: str, after: str) -> None:
    made = results(BODY + textwrap.indent(before, "    ") + "\n")
    wanted = BODY + textwrap.indent(after, "    ") + "\n"
    assert any(same(text, wanted) for text in made)


WHOLE = [
    ("def f(x, into=[]):\n    into.append(x)\n    return into\n",
     "def f(x, into=None):\n    if into is None:\n        into = []\n    into.append(x)\n    return into\n"),
    ("class A:\n    seen = []\n\n    def __init__(self, n):\n        self.n = n\n",
     "class A:\n\n    def __init__(self, n):\n        self.seen = []\n        self.n = n\n"),
    ("class B:\n    def __init__(self, n):\n        self.n = n\n\nclass A(B):\n    def __init__(self, n, m):\n        self.m = m\n",  # noqa: E501
     "class B:\n    def __init__(self, n):\n        self.n = n\n\nclass A(B):\n    def __init__(self, n, m):\n"
     "        super().__init__(n)\n        self.m = m\n"),
    ("async def g():\n    return 1\n\nasync def f():\n    x = g()\n    return x\n",
    "async def g():\n    return 1\n\nasync def f():\n    x = await g()\n    return x\n"),
    ("class A:\n    def __init__(self):\n        self.count = 0\n\n    def add(self):\n        count = 1\n",
     "class A:\n    def __init__(self):\n        self.count = 0\n\n    def add(self):\n        self.count = 1\n"),
    ("class A:\n    def __init__(self):\n        self.items = []\n\n    def clear(self):\n        return None\n",
     "class A:\n    def __init__(self):\n        self.items = []\n\n    def clear(self):\n        self.items = []\n        return None\n"),  # noqa: E501
    ("import copy\n\ndef f(rows):\n    return [row for row in rows]\n",
    "import copy\n\ndef f(rows):\n    return [copy.copy(row) for row in rows]\n"),
    ("LIMIT = 10\nSIZE = 5\n\ndef f(a):\n    return a > SIZE\n",
    "LIMIT = 10\nSIZE = 5\n\ndef f(a):\n    return a > LIMIT\n"),
    ("class A:\n    def make(cls):\n        return cls()\n",
    "class A:\n    @classmethod\n    def make(cls):\n        return cls()\n"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), WHOLE)
def test_edits_of_definitions_and_classes_are_among_the_candidates(before: str, after: str) -> None:
    assert any(same(text, after) for text in results(before))


def test_a_missing_import_is_added_when_a_name_is_unknown() -> None:
    symptoms = read_symptoms([Failure("NameError", "name 'math' is not defined")], [], "")
    made = results("import os\n\ndef f(x):\n    return math.floor(x) + len(os.sep)\n", symptoms)
    assert any(text.startswith(("import math\nimport os\n", "import os\nimport math\n")) for text in made)


def test_a_name_of_another_file_is_imported_from_there() -> None:
    symptoms = read_symptoms([Failure("NameError", "name 'helper' is not defined")], [], "")
    made = results("def f(x):\n    return helper(x)\n", symptoms, "def helper(x):\n    return x\n")
    assert any("from other0 import helper" in text for text in made)


def test_the_difference_between_strings_is_made_in_the_literal() -> None:
    failure = Failure("AssertionError", "", compare=("==", "'Hello,Ann'", "'Hello, Ann'", "str", "str"))
    made = results("def f(name):\n    return f'Hello,{name}'\n", read_symptoms([failure], [], ""))
    assert any(same(text, "def f(name):\n    return f'Hello, {name}'\n") for text in made)


def test_an_expected_exception_is_raised_under_a_condition() -> None:
    failure = Failure("Failed", "DID NOT RAISE <class 'ValueError'>")
    symptoms = read_symptoms([failure], ["with pytest.raises(ValueError):\n    f(-1)"], "")
    made = results("def f(count):\n    return count * 2\n", symptoms)
    assert any("if count < 0:\n        raise ValueError(" in text for text in made)


def test_a_wrong_attribute_is_replaced_by_one_that_the_class_has() -> None:
    failure = Failure("AttributeError", "'Cart' object has no attribute 'item'")
    source = "class Cart:\n    def __init__(self):\n        self.items = []\n\n    def size(self):\n        return len(self.item)\n"  # noqa: E501
    made = results(source, read_symptoms([failure], [], ""))
    right = source.replace("self.item)", "self.items)")
    assert made[right] == max(made.values())


def test_symptoms_raise_the_operators_that_fit_them() -> None:
    plain = results("def f(data, key):\n    return data[key]\n")
    missing = read_symptoms([Failure("KeyError", "'x'")], [], "")
    hinted = results("def f(data, key):\n    return data[key]\n", missing)
    wanted = "def f(data, key):\n    return data.get(key)\n"
    assert hinted[wanted] > plain[wanted]


def test_an_unused_parameter_is_preferred() -> None:
    made = results("def f(price, factor, other):\n    return price * price + other\n")
    used = "def f(price, factor, other):\n    return price * factor + other\n"
    unused = "def f(price, factor, other):\n    return price * other + other\n"
    assert made[used] > made[unused]


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_line_ends_and_comments_stay_as_they_are(newline: str) -> None:
    source = newline.join(["def f(a, b):  # é keeps", "    # sum", "    return (a  +  b)  # done", ""])
    for text in results(source):
        assert text.startswith("def f(a, b):  # é keeps" + newline)
        assert text.count("\n") == text.count(newline)


def test_columns_are_found_behind_wide_characters() -> None:
    made = results("def f(a):\n    return 'é€😀', a < 1\n")
    assert "def f(a):\n    return 'é€😀', a <= 1\n" in made


def test_operators_can_be_narrowed_to_families() -> None:
    source = SourceFile("mod.py", b"def f(a, b):\n    if a < b + 1:\n        return a\n    return b\n")
    function = source.tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    site = Site(source, function.body[0], ProjectIndex([source]), Symptoms())
    every = {proposal.edits for proposal in proposals(site)}
    parts = [{proposal.edits for proposal in proposals(site, {family})} for family in families()]
    assert set().union(*parts) == every
    assert sum(bool(part) for part in parts) > 2 and not list(proposals(site, ()))


def test_a_conversion_of_the_project_may_be_meant_by_a_builtin_one() -> None:
    before = "def as_text(value, quote='x'):\n    return value\n\n\ndef f(a):\n    return str(a)\n"
    made = results(before)
    wanted = before.replace("str(a)", "as_text(a)")
    assert any(same(text, wanted) for text in made)
    two = before.replace("value, quote='x'", "value, quote")
    assert not any(same(text, two.replace("str(a)", "as_text(a)")) for text in results(two))


def test_a_local_variable_gets_a_value_sooner_where_a_failure_shows_none() -> None:
    before = "def f(a):\n    b = a.find()\n    return g(b)\n"
    wanted = "def f(a):\n    b = a.find()\n    if b is None:\n        b = ''\n    return g(b)\n"
    failure = Failure("AssertionError", "assert 'x None' == 'x '", (), "call")
    weights = [
        next(weight for text, weight in results(before, symptoms).items() if same(text, wanted))
        for symptoms in (Symptoms(), read_symptoms([failure], [], ""))
    ]
    assert weights[0] < weights[1]


def test_a_path_may_come_as_an_object_where_the_file_knows_os() -> None:
    before = "import os\n\n\ndef f(place):\n    return place.split(os.sep)\n"
    wanted = before.replace("    return", "    place = os.fspath(place)\n    return")
    assert any(same(text, wanted) for text in results(before))
    assert not any("fspath" in text for text in results(before.replace("import os", "import sys as os_")))


def test_a_hash_is_made_of_what_equality_compares() -> None:
    head = "class Tag:\n    def __eq__(self, other):\n        return self.text == other.text{}\n\n"
    before = head + "    def __hash__(self):\n        return hash(id(self))\n"
    for more, value in (("", "self.text"), (" and self.kind == other.kind", "(self.text, self.kind)")):
        wanted = before.format(more).replace("hash(id(self))", f"hash({value})")
        assert results(before.format(more)).get(wanted, 0.0) == 0.9
    other = before.format("").replace("__eq__", "same")
    assert not any("hash(self.text)" in text for text in results(other) if "id(self)" not in text)


def test_a_check_of_a_class_also_means_its_siblings_from_the_same_module() -> None:
    before = (
        "import nodes\n\n\nclass Writer:\n    def visit_Group(self, n):\n        return '{}'\n\n"
        "    def part(self, n):\n        if isinstance(n, nodes.Items):\n            return 1\n"
        "        return nodes.Blank\n"
    )
    read = read_symptoms([], ["def test_group_in_items():\n    assert 1"], "A group in parentheses is lost")
    found = results(before, read)
    for name, likely in (("Group", 0.3), ("Blank", 0.09)):
        text = before.replace("nodes.Items)", f"(nodes.Items, nodes.{name}))")
        assert found.get(text) == pytest.approx(likely), name
    assert not any("nodes.part" in text for text in found)
