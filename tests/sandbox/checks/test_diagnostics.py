"""What checkers print, read into one model."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.checks import diagnostics
from sandbox.checks.diagnostics import Diagnostic

RUFF = [
    {
        "filename": "/workspace/a/b.py",
        "location": {"row": 3, "column": 5},
        "code": "F821",
        "message": "Undefined name `x`",
    },
    {"filename": "/workspace/a/c.py", "location": {"row": 1, "column": 1}, "code": None, "message": "Expected `)`"},
]
ESLINT = [
    {
        "filePath": "/workspace/src/a.js",
        "messages": [
            {"line": 2, "column": 7, "severity": 2, "ruleId": "no-undef", "message": "'x' is not defined."},
            {"line": 4, "column": 1, "severity": 1, "ruleId": None, "message": "Parsing"},
        ],
    }
]
PYRIGHT = {
    "generalDiagnostics": [
        {
            "file": "/workspace/a.py",
            "severity": "error",
            "rule": "reportCallIssue",
            "message": "No parameter",
            "range": {"start": {"line": 6, "character": 4}},
        }
    ]
}
CARGO = {
    "reason": "compiler-message",
    "message": {
        "level": "error",
        "code": {"code": "E0425"},
        "message": "cannot find value",
        "spans": [
            {"is_primary": False, "file_name": "other.rs"},
            {"is_primary": True, "file_name": "src/lib.rs", "line_start": 9, "column_start": 2},
        ],
    },
}
SARIF = {
    "runs": [
        {
            "results": [
                {
                    "ruleId": "R1",
                    "level": "error",
                    "message": {"text": "bad"},
                    "locations": [
                        {
                            "physicalLocation": {
                                "artifactLocation": {"uri": "file:///workspace/a%20b.c"},
                                "region": {"startLine": 8},
                            }
                        }
                    ],
                }
            ]
        }
    ]
}


@pytest.mark.parametrize(("reader", "output", "expected"), [
    (diagnostics.ruff, json.dumps(RUFF), [
        Diagnostic("t", "a/b.py", 3, 5, "warning", "F821", "Undefined name `x`"),
        Diagnostic("t", "a/c.py", 1, 1, "error", "", "Expected `)`")]),
    (diagnostics.eslint, json.dumps(ESLINT), [
        Diagnostic("t", "src/a.js", 2, 7, "error", "no-undef", "'x' is not defined."),
        Diagnostic("t", "src/a.js", 4, 1, "warning", "", "Parsing")]),
    (diagnostics.pyright, json.dumps(PYRIGHT), [
        Diagnostic("t", "a.py", 7, 5, "error", "reportCallIssue", "No parameter")]),
    (diagnostics.cargo, json.dumps(CARGO), [
        Diagnostic("t", "src/lib.rs", 9, 2, "error", "E0425", "cannot find value")]),
    (diagnostics.sarif, json.dumps(SARIF), [Diagnostic("t", "a b.c", 8, 0, "error", "R1", "bad")]),
    (diagnostics.lines, "a/b.py:3:5: error: Name \"x\" is not defined  [name-defined]\nFound 1 error", [
        Diagnostic("t", "a/b.py", 3, 5, "error", "name-defined", 'Name "x" is not defined')]),
    (diagnostics.lines, "src/a.ts(12,7): error TS2304: Cannot find name 'x'.", [
        Diagnostic("t", "src/a.ts", 12, 7, "error", "TS2304", "Cannot find name 'x'.")]),
    (diagnostics.lines, "# example.com/p\n./p.go:4:2: x declared and not used\nvet: ./p.go:9:1: bad", [
        Diagnostic("t", "p.go", 4, 2, "error", "", "x declared and not used"),
        Diagnostic("t", "p.go", 9, 1, "error", "", "bad")]),
    (diagnostics.lines, "Main.java:3: error: cannot find symbol\nx.c:7:3: fatal error: y.h: No such file", [
        Diagnostic("t", "Main.java", 3, 0, "error", "", "cannot find symbol"),
        Diagnostic("t", "x.c", 7, 3, "error", "", "y.h: No such file")]),
    (diagnostics.unformatted, "would reformat a/b.py\nOh no!\nsrc/a b.ts\n/workspace/c.rs\n1 file left.", [
        Diagnostic("t", "a/b.py", 0, 0, "warning", "", "not formatted as t formats it"),
        Diagnostic("t", "src/a b.ts", 0, 0, "warning", "", "not formatted as t formats it"),
        Diagnostic("t", "c.rs", 0, 0, "warning", "", "not formatted as t formats it")]),
    (diagnostics.maven, "[INFO] x\n[ERROR] /workspace/one/src/A.java:[4,20] error: cannot find symbol\n"
     "[WARNING] /workspace/B.java:[7] deprecated\n[ERROR] Failed to execute goal", [
        Diagnostic("t", "one/src/A.java", 4, 20, "error", "", "cannot find symbol"),
        Diagnostic("t", "B.java", 7, 0, "warning", "", "deprecated")]),
])  # fmt: skip
def test_output_of_a_checker_is_read(reader: diagnostics.Reader, output: str, expected: list[Diagnostic]) -> None:
    assert reader("t", output, "") == expected


def test_paths_are_those_of_the_repository_and_none_leads_out() -> None:
    output = "p.go:4:2: one\n../../etc/passwd.x:1:1: two\n/etc/x.c:1:1: three\n/workspace/q.go:5:1: four"
    found = diagnostics.lines("t", output, "api")
    assert [one.path for one in found] == ["api/p.go", "q.go"]


READERS = [
    diagnostics.ruff,
    diagnostics.eslint,
    diagnostics.pyright,
    diagnostics.cargo,
    diagnostics.sarif,
    diagnostics.lines,
    diagnostics.unformatted,
    diagnostics.maven,
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from([
            "filename", "location", "row", "messages", "filePath", "generalDiagnostics", "range", "start", "message",
            "spans", "is_primary", "file_name", "runs", "results", "locations",
            "physicalLocation", "artifactLocation", "uri", "line",
        ]),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@given(value=JSON, noise=st.text(max_size=40))
def test_no_output_breaks_a_reader(reader: diagnostics.Reader, value: object, noise: str) -> None:
    for output in (json.dumps(value), json.dumps([value]), f"{noise}\n{json.dumps(value)}", noise):
        for one in reader("t", output, "api"):
            assert not one.path.startswith("/")
            assert ".." not in one.path.split("/")
            assert one.line >= 0


def test_a_flood_is_cut() -> None:
    output = "\n".join(f"a.c:{n}:1: error: m{n}" for n in range(1, 5 * diagnostics.MOST))
    assert len(diagnostics.lines("t", output, "")) == diagnostics.MOST
