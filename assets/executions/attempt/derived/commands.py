"""Claims from commands with their output: `$ python -m pkg arg`, where the command is a module or console script of the
project. It runs inside the test's process, without a shell."""

import configparser
import re
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path

from assets.executions.attempt.derived.beside import stated_beside
from assets.executions.attempt.derived.claims import Claim, Kind, Stated
from assets.executions.attempt.derived.markdown import Block
from assets.executions.attempt.derived.reading import Reading

MOST_ARGUMENTS = 20
MOST_OUTPUT = 2_000
_PROMPT = re.compile(r"^\s*(?:\$|%|C:\\[^>\n]{0,80}>)\s+(\S.{0,400})$")
_ENTRY = re.compile(r"([\w.]{1,200}):([A-Za-z_]\w{0,100})")
_SHELL = re.compile(r"[|;&<>`$*?\n\\]")


def is_console(block: Block) -> bool:
    return block.code and any(_PROMPT.match(line) for line in block.text.split("\n"))


def claims_of_console(reading: Reading, at: int, scripts: Mapping[str, str]) -> list[Claim]:
    """The claims of the commands in the block at this position. `scripts` maps console scripts to their functions, as
    `module:function`."""
    block = reading.blocks[at]
    runs = _runs(block.text)
    found: list[Claim] = []
    group = reading.group()
    for line, output in runs[:5]:
        call = _call(reading, line, scripts)
        if call is None:
            continue
        imports, statement = call
        roles = stated_beside(reading, at) if len(runs) == 1 else None
        expected = _output(roles.expected) if roles else None
        actual = _output(roles.actual) if roles else None
        shown = _shown(output)
        if block.role == "expected":
            expected, shown = expected or shown, None
        elif block.role == "actual" or (expected is not None and shown is not None):
            actual, shown = actual or shown, None
        claim = Claim("command", statement, "", expected, None if actual == expected else actual, shown, imports, group,
                      command=line)  # fmt: skip
        if expected or actual or shown:
            found.append(claim)
    return found


def console_scripts(root: Path) -> dict[str, str]:
    """The console scripts that a project declares, as `module:function` by name. Unreadable files have none."""
    found: dict[str, str] = {}
    try:
        declared = tomllib.loads(_text(root / "pyproject.toml"))
        tables = [declared.get("project", {}).get("scripts", {}),
                  declared.get("tool", {}).get("poetry", {}).get("scripts", {})]  # fmt: skip
        for table in tables:
            found |= {str(name): str(entry) for name, entry in table.items() if _ENTRY.fullmatch(str(entry))}
    except (tomllib.TOMLDecodeError, AttributeError, TypeError, RecursionError):
        pass  # another tool tells the author
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(_text(root / "setup.cfg"))
        lines = parser.get("options.entry_points", "console_scripts", fallback="").split("\n")
    except configparser.Error:
        lines = []
    for line in lines:
        name, _, entry = (part.strip() for part in line.partition("="))
        if _ENTRY.fullmatch(entry):
            found[name] = entry
    return dict(list(found.items())[:100])


def merged(claims: list[Claim]) -> list[Claim]:
    """Commands that the issue shows twice, once with the right and once with the wrong output, as one claim each."""
    found: dict[str, Claim] = {}
    for claim in claims:
        known = found.get(claim.command)
        if known is None:
            found[claim.command] = claim
            continue
        expected, actual = known.expected or claim.expected, known.actual or claim.actual
        shown = known.shown or claim.shown
        if shown is not None and expected is not None and actual is None and shown != expected:
            shown, actual = None, shown
        found[claim.command] = Claim(known.source, known.subject, "", expected, actual, shown if not expected else None,
                                     known.imports, known.group, known.command)  # fmt: skip
    return list(found.values())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")[:500_000] if path.is_file() else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _runs(text: str) -> list[tuple[str, str]]:
    """(command, output) of each command of a console."""
    found: list[tuple[str, list[str]]] = []
    for line in text.split("\n"):
        if match := _PROMPT.match(line):
            found.append((match[1].strip(), []))
        elif found:
            found[-1][1].append(line)
    return [(command, "\n".join(output).strip()) for command, output in found]


def _call(reading: Reading, line: str, scripts: Mapping[str, str]) -> tuple[tuple[str, ...], str] | None:
    """The imports and the statement that do what a command does; None when it is not the project's own."""
    if _SHELL.search(line):
        return None
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    if not words or len(words) > MOST_ARGUMENTS:
        return None
    usual = ("import sys", "from contextlib import suppress", "from unittest.mock import patch")
    if re.fullmatch(r"(?:python(?:3(?:\.\d+)?)?|py)", words[0]) and len(words) > 2 and words[1] == "-m":
        module, arguments = words[2], words[3:]
        if module not in reading.names.modules or not _plain(arguments):
            return None
        run = f'runpy.run_module({module!r}, run_name="__main__")'
        return (("import runpy", *usual), _statement([module, *arguments], run))
    entry = _ENTRY.fullmatch(scripts.get(words[0], ""))
    if entry is None or entry[1] not in reading.names.modules or not _plain(words[1:]):
        return None
    imports = (f"from {entry[1]} import {entry[2]} as command", *usual)
    return imports, _statement(words, "command()")


def _statement(words: list[str], run: str) -> str:
    return f"with patch.object(sys, 'argv', {words!r}), suppress(SystemExit):\n    {run}"


def _plain(arguments: list[str]) -> bool:
    """Whether arguments name no place outside the work tree and no address."""
    return not any(a.startswith(("/", "~")) or ".." in a or "://" in a or "=/" in a for a in arguments)


def _shown(output: str) -> Stated | None:
    if "Traceback (most recent call last)" in output:
        last = output.strip().split("\n")[-1].partition(":")[0].strip()
        return Stated(Kind.RAISES, last) if re.fullmatch(r"[A-Za-z_][\w.]{0,120}", last) else None
    return Stated(Kind.OUTPUT, output) if output and len(output) <= MOST_OUTPUT else None


def _output(stated: Stated | None) -> Stated | None:
    if stated is None or stated.kind is Kind.RAISES:
        return stated
    text = stated.text
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    return Stated(Kind.OUTPUT, text)
