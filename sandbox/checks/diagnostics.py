"""One model for what linters, type checkers and compilers say, and a reader for each kind of output.

Readers take untrusted output: what does not have the expected form is left out, and no more than `MOST` are read.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote

Severity = Literal["error", "warning", "note"]
MOST = 2_000
_MOST_TEXT = 600
_WORKSPACE = "/workspace/"


@dataclass(frozen=True)
class Diagnostic:
    """One finding. `path` is relative to the repository's root; `line` and `column` count from 1, 0 for unknown; `code`
    is the tool's name for the rule, empty for none."""

    tool: str
    path: str
    line: int
    column: int
    severity: Severity
    code: str
    message: str

    @property
    def text(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        code = f" [{self.code}]" if self.code else ""
        return f"{place}: {self.severity}: {self.message} ({self.tool}{code})"

    @property
    def same(self) -> tuple[str, str, str, str]:
        """What stays the same when lines are moved."""
        return self.tool, self.path, self.code, self.message


Reader = Callable[[str, str, str], list[Diagnostic]]
"""From a tool's name, its output, and the folder of the repository in which it ran ("" for the root)."""


def _made(
    tool: str, folder: str, path: object, line: object, column: object, severity: object, code: object, message: object
) -> Diagnostic | None:
    place = str(path).removeprefix("file://").removeprefix(_WORKSPACE).removeprefix("./")
    if not place or place.startswith("/") or ".." in place.split("/"):
        return None
    if folder and not str(path).removeprefix("file://").startswith(_WORKSPACE):
        place = f"{folder}/{place}"
    grade: Severity = "error" if severity == "error" else "note" if severity in ("note", "info", "help") else "warning"
    text = " ".join(str(message).split())[:_MOST_TEXT]
    return Diagnostic(tool, place[:500], _number(line), _number(column), grade, str(code or "")[:100], text)


def _number(value: object) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _kept(found: Iterable[Diagnostic | None]) -> list[Diagnostic]:
    kept: dict[Diagnostic, None] = {}
    for one in found:
        if one is not None:
            kept[one] = None
        if len(kept) >= MOST:
            break
    return list(kept)


def _json(text: str) -> Any:
    """The JSON value in an output, which may be preceded by other lines; None for none."""
    for start in (0, text.find("\n["), text.find("\n{")):
        if start >= 0:
            try:
                return json.loads(text[start:])
            except (ValueError, RecursionError):
                continue
    return None


def _rows(value: Any) -> list[dict[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _part(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def ruff(tool: str, output: str, folder: str) -> list[Diagnostic]:
    """`ruff check --output-format json`."""
    return _kept(
        _made(tool, folder, row.get("filename"), _part(row, "location", "row"), _part(row, "location", "column"),
              "error" if row.get("code") is None else "warning", row.get("code"), row.get("message"))
        for row in _rows(_json(output))
    )  # fmt: skip


def eslint(tool: str, output: str, folder: str) -> list[Diagnostic]:
    """`eslint --format json`."""
    return _kept(
        _made(tool, folder, row.get("filePath"), one.get("line"), one.get("column"),
              "error" if one.get("severity") == 2 else "warning", one.get("ruleId"), one.get("message"))
        for row in _rows(_json(output)) for one in _rows(row.get("messages"))
    )  # fmt: skip


def pyright(tool: str, output: str, folder: str) -> list[Diagnostic]:
    """`pyright --outputjson`, whose lines count from 0."""

    def one_more(value: Any) -> object:
        return value + 1 if isinstance(value, int) else 0

    return _kept(
        _made(tool, folder, row.get("file"), one_more(_part(row, "range", "start", "line")),
              one_more(_part(row, "range", "start", "character")), row.get("severity"), row.get("rule"),
              row.get("message"))
        for row in _rows(_part(_json(output), "generalDiagnostics"))
    )  # fmt: skip


def cargo(tool: str, output: str, folder: str) -> list[Diagnostic]:
    """`cargo check` or `cargo clippy` with `--message-format json`: one object in each line."""
    return _kept(_cargo(tool, output, folder))


def _cargo(tool: str, output: str, folder: str) -> Iterator[Diagnostic | None]:
    for line in output.splitlines():
        message = _part(_json(line), "message") if line.startswith("{") else None
        spans = _rows(_part(message, "spans"))
        span = next((row for row in spans if row.get("is_primary")), None)
        if span is not None:
            yield _made(tool, folder, span.get("file_name"), span.get("line_start"), span.get("column_start"),
                        _part(message, "level"), _part(message, "code", "code"), _part(message, "message"))  # fmt: skip


def sarif(tool: str, output: str, folder: str) -> list[Diagnostic]:
    """SARIF 2.1.0 (OASIS), section 3.27: results with their first location."""
    return _kept(_sarif(tool, output, folder))


def _sarif(tool: str, output: str, folder: str) -> Iterator[Diagnostic | None]:
    for run in _rows(_part(_json(output), "runs")):
        for row in _rows(run.get("results")):
            places = _rows(row.get("locations"))
            place = _part(places[0], "physicalLocation") if places else None
            path = _part(place, "artifactLocation", "uri")
            region = _part(place, "region")
            if isinstance(path, str):
                level = row.get("level", "warning")
                yield _made(tool, folder, unquote(path), _part(region, "startLine"), _part(region, "startColumn"),
                            level, row.get("ruleId"), _part(row, "message", "text"))  # fmt: skip


_UNFORMATTED = re.compile(r"^(?:[Ww]ould reformat:? )?(\S.{0,400}\.\w{1,10})$")


def unformatted(tool: str, output: str, folder: str) -> list[Diagnostic]:
    """A path in each line (gofmt -l, rustfmt -l, prettier -l), or after `would reformat` (black, ruff format)."""
    found = (_UNFORMATTED.match(line) for line in output.splitlines()[: 10 * MOST])
    return _kept(
        _made(tool, folder, one[1], 0, 0, "warning", "", f"not formatted as {tool} formats it") for one in found if one
    )


_MAVEN = re.compile(r"^\[(ERROR|WARNING)\] (/workspace/.+?\.\w+):\[(\d+)(?:,(\d+))?\] (.+)$")


def maven(tool: str, output: str, folder: str) -> list[Diagnostic]:
    """What javac says, as Maven's compiler plugin prints it: `[ERROR] path:[line,column] message`."""
    found = (_MAVEN.match(line[:2000]) for line in output.splitlines()[: 10 * MOST])
    return _kept(
        _made(tool, folder, one[2], one[3], one[4], one[1].lower(), "", one[5].removeprefix("error: "))
        for one in found if one
    )  # fmt: skip


_LINE = re.compile(
    r"^(?:vet: )?(?P<path>[^\s:()][^:()\n]*\.\w+)(?::(?P<line>\d+)(?::(?P<column>\d+))?|\((?P<at>\d+),(?P<from>\d+)\))"
    r":? (?:(?P<severity>fatal error|error|warning|note|info)(?: (?P<code>[A-Z]+\d+))?: )?(?P<message>.+?)"
    r"(?:\s+\[(?P<rule>[\w.-]+)\])?$"
)


def lines(tool: str, output: str, folder: str) -> list[Diagnostic]:
    """Lines as `path:line:column: severity: message [rule]` (gcc, clang, mypy, go vet, javac) or
    `path(line,column): severity CODE: message` (tsc)."""
    return _kept(_lines(tool, output, folder))


def _lines(tool: str, output: str, folder: str) -> Iterator[Diagnostic | None]:
    for text in output.splitlines()[: 10 * MOST]:
        found = _LINE.match(text[:2000])
        if found:
            severity = found["severity"] or "error"
            yield _made(tool, folder, found["path"], found["line"] or found["at"], found["column"] or found["from"],
                        "error" if severity == "fatal error" else severity, found["code"] or found["rule"],
                        found["message"])  # fmt: skip
