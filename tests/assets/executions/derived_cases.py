"""Texts of issues with the claims that are read from them: the golden cases of `test_derived.py`."""

from typing import NamedTuple

from assets.executions.engines.search.source import SourceFile

SOURCES = {
    "pkg/__init__.py": "from .core import f, chunk, Box\n",
    "pkg/core.py": "class PkgError(Exception):\n    pass\n\ndef f(n):\n    return n * 2\n\n"
    "def chunk(xs, n):\n    return []\n\n"
    "class Box:\n    def __init__(self, n):\n        self.n = n\n",
    "pkg/__main__.py": "import sys\nprint(sys.argv[1])\n",
}


def files() -> dict[str, SourceFile]:
    return {path: SourceFile(path, text.encode()) for path, text in SOURCES.items()}


class Case(NamedTuple):
    """A text, and (source, subject or command, expected, actual, shown) of each claim, None for what is not stated."""

    name: str
    text: str
    claims: tuple[tuple[str, str, str | None, str | None, str | None], ...]


def block(code: str, language: str = "python") -> str:
    return f"Title\n\n```{language}\n{code}\n```\n"


TRACEBACK = """Traceback (most recent call last):
  File "run.py", line 1, in <module>
    f(None)
  File "/x/site-packages/pkg/core.py", line 5, in f
    return n * 2
TypeError: unsupported operand"""

CASES = (
    Case("a comment says what should be", block("f(2)  # should be 3"), (("snippet", "f(2)", "3", None, None),)),
    Case("a comment says both", block("f(2)  # expected: 3, got 4"), (("snippet", "f(2)", "3", "4", None),)),
    Case("an arrow does not say which", block("f(2)  # -> 3"), (("snippet", "f(2)", None, None, "3"),)),
    Case(
        "an arrow to an expression",
        block("f(2)  # -> f(1) + 1"),
        (("snippet", "f(2)", None, None, "f(1) + 1"),),
    ),
    Case("an arrow to words", block("f(2)  # -> what it was before"), ()),
    Case(
        "a bracket within quotation marks",
        block("f(2)") + "\nThis returns `['a]', 1]` instead of `[2]`.",
        (("snippet", "f(2)", "[2]", "['a]', 1]", None),),
    ),
    Case(
        "a comment says another value first",
        block("f(2)  # -> 4, should be 3"),
        (("snippet", "f(2)", "3", "4", None),),
    ),
    Case(
        "all names of a module of the project",
        block("from pkg.core import *\nchunk([1], 2)  # should be [[1]]"),
        (("snippet", "chunk([1], 2)", "[[1]]", None, None),),
    ),
    Case(
        "all names of another module, with one that is not known here",
        block("from math import *\nf(floor(2.5))  # should be 3"),
        (("snippet", "f(floor(2.5))", "3", None, None),),
    ),
    Case(
        "a comment on the next line",
        block("print(f(2))\n# should be 3"),
        (("snippet", "print(f(2))", "3", None, None),),
    ),
    Case("an assertion", block("from pkg import f\nassert f(2) == 3"), (("snippet", "f(2)", "3", None, None),)),
    Case(
        "pytest.raises",
        block("with pytest.raises(ValueError):\n    f(2)"),
        (("snippet", "f(2)", "ValueError", None, None),),
    ),
    Case(
        "a test function",
        block("def test_f():\n    x = 2\n    assert f(x) == 3"),
        (("snippet", "f(x)", "3", None, None),),
    ),
    Case("a sentence below", block("f(2)") + "\nThis returns 4 instead of 3.", (("snippet", "f(2)", "3", "4", None),)),
    Case("sections", block("f(2)") + "\n### Expected\n\n3\n\n### Actual\n\n4", (("snippet", "f(2)", "3", "4", None),)),
    Case(
        "bold labels",
        block("f(2)") + "\n**Expected behavior**: `3`\n\n**Actual:** `4`",
        (("snippet", "f(2)", "3", "4", None),),
    ),
    Case("returns but should", "T\n\n`f(2)` returns 4 but should return 3.", (("sentence", "f(2)", "3", "4", None),)),
    Case(
        "expected and got",
        "T\n\nexpected `[1]` from `f([1])`, got `[2]`",
        (("sentence", "f([1])", "[1]", "[2]", None),),
    ),
    Case(
        "raises instead of",
        "T\n\n`f('x')` raises KeyError instead of returning None",
        (("sentence", "f('x')", "None", "KeyError", None),),
    ),
    Case(
        "an empty list",
        "T\n\n`chunk([1], 0)` raises ZeroDivisionError. It should give an empty list.",
        (("sentence", "chunk([1], 0)", "[]", "ZeroDivisionError", None),),
    ),
    Case(
        "should raise",
        "T\n\n`f(-1)` should raise a ValueError, not return -2",
        (("sentence", "f(-1)", "ValueError", "-2", None),),
    ),
    Case(
        "two calls in a sentence",
        "T\n\n`f(2)` returns 4 but should return 3, and `f(5)` should be 1.",
        (("sentence", "f(2)", "3", "4", None), ("sentence", "f(5)", "1", None, None)),
    ),
    Case("no value", "T\n\n`f(2)` should be 3 times faster", ()),
    Case("a message that is wrong", "T\n\n`f('x')` raises ValueError with a confusing message", ()),
    Case("a session", "T\n\n>>> f(2)\n3\n", (("example", "f(2)", None, None, "3"),)),
    Case("a session of IPython", block("In [1]: f(2)\nOut[1]: 3", "ipython"), (("example", "f(2)", None, None, "3"),)),
    Case(
        "a session that shows the wrong output",
        "T\n\n>>> f(2)\n4\n\nIt should be 3.",
        (("example", "f(2)", "3", "4", None),),
    ),
    Case(
        "a table",
        "T\n\nCalling `f`:\n\n| n | expected | actual |\n|---|---|---|\n| 2 | 3 | 4 |\n| `5` | `'a'` | 10 |",
        (("table", "f(2)", "3", "4", None), ("table", "f(5)", "'a'", "10", None)),
    ),
    Case(
        "a table of calls",
        "T\n\n| call | should be |\n|---|---|\n| `f(2)` | 3 |",
        (("table", "f(2)", "3", None, None),),
    ),
    Case("a traceback with its call", block(TRACEBACK, ""), (("traceback", "f(None)", None, "TypeError", None),)),
    Case(
        "a command",
        block("$ python -m pkg 3\n6", "console") + "\nIt should print `3`.",
        (("command", "python -m pkg 3", "3", "6", None),),
    ),
    Case("a command of the shell", block("$ python -m pkg 3 | sh\n6", "console"), ()),
    Case("another's command", block("$ python -m http.server 3\n6", "console"), ()),
    Case("no call", "T\n\nPlease add a dark mode.", ()),
    Case("another's names", block("client.get('/')  # should be 3"), ()),
    Case("a process", block("import os\nfrom pkg import f\nos.system('id')\nf(2)  # should be 3"), ()),
    Case("a way out", block("f(2).__class__.__subclasses__()  # should be 3"), ()),
)
