"""Reads the scripts of a package.json as far as needed: which runners a `test` script starts, and what builds before.

A script is split at `&&`, `||`, `;` and `&`; what runs other scripts is replaced by them. Nothing is run here.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["runner", "build", "delegate", "other"]
_MOST_STEPS = 60
_DEEPEST = 8
_WRAPPERS = ("c8", "nyc", "cross-env", "cross-env-shell", "env", "npx", "dotenv", "dotenvx", "time", "env-cmd", "bnx",
             "with-env", "npx-run", "exec", "xvfb-run", "dotenv-flow", "pnpx", "dlx")  # fmt: skip
RUNNERS = ("jest", "vitest", "mocha", "_mocha", "ava", "tap", "tape", "borp", "react-scripts", "ts-mocha",
           "mocha-parallel-tests", "uvu")  # fmt: skip
NODES = ("node", "tsx", "ts-node", "esr", "esmo", "babel-node")
_DELEGATES = ("turbo", "lerna", "nx", "wsrun", "ultra", "rush", "moon", "preconstruct")
_CHECKS = ("eslint", "prettier", "xo", "standard", "semistandard", "tsd", "dtslint", "biome", "oxlint", "stylelint",
           "publint", "attw", "size-limit", "knip", "depcheck", "cspell", "husky", "lefthook", "git", "echo", "flow",
           "commitlint", "type-coverage", "tstyche", "codecov", "coveralls", "is-ci", "exit", "lint-staged", "true",
           "bundlesize", "bundlewatch", "expect-type", "madge", "remark", "markdownlint", "changeset", "ls-engines",
           "evalmd", "auto-changelog", "npmignore", "safe-publish-latest", "in-publish", "not-in-publish", "aud",
           "playwright", "cypress", "wdio", "jscs", "jshint", "tslint", "vue-tsc", "karma", "typedoc", "check-dts",
           "installed-check", "sort-package-json", "simple-git-hooks", "lint", "dprint", "npmPkgJsonLint", "hint",
           "eclint", "ls-lint", "skott", "dependency-check", "license-checker", "snazzy", "test", "cd", "date",
           "opener")  # fmt: skip
"""Programs that check or publish: no test needs what they do."""
_CHECKING_SCRIPT = re.compile(
    r"^(pre|post)?(lint|format|fmt|prettier|eslint|typecheck|type-?check|check|coverage|cover|report|audit|size|"
    r"test[:-](lint|types?|ts|tsd|dts|format|size|flow|browser|e2e|bench\w*|perf|types-.*))\b|[:-]lint$|benchmark"
)


@dataclass(frozen=True)
class Step:
    """One command of a script. `text` is as it stands there, `words` what the shell makes of it, without wrappers and
    `variables`."""

    kind: Kind
    text: str
    words: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    script: str = ""
    """The name of the script that it is in."""


def steps_of(scripts: Mapping[str, str], name: str) -> list[Step]:
    """What `npm run NAME` does, with its `pre` and `post` scripts."""
    found: list[Step] = []
    for step in _script(scripts, name, (), {}, 0):
        if len(found) >= _MOST_STEPS:
            break
        found.append(step)
    return found


def _script(
    scripts: Mapping[str, str], name: str, arguments: tuple[str, ...], given: Mapping[str, str], depth: int
) -> Iterator[Step]:
    if depth > _DEEPEST:
        return
    for part in (f"pre{name}", name, f"post{name}"):
        if part not in scripts or _CHECKING_SCRIPT.search(part):
            continue
        commands = split_commands(scripts[part][:5000])
        for i, text in enumerate(commands):
            more = " ".join(map(shlex.quote, arguments)) if part == name and i == len(commands) - 1 else ""
            yield from _step(scripts, f"{text} {more}".strip(), part, given, depth)


def split_commands(script: str) -> list[str]:
    """The commands of a script, split where the shell splits them; quotes are kept."""
    found, current, quote, i = [], "", "", 0
    while i < len(script):
        char = script[i]
        if char == "\\" and quote != "'":
            current, i = current + script[i : i + 2], i + 2
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "&|;\n" and not (char == "&" and script[i - 1 : i] == ">") and not _is_pipe(script, i):
            found.append(current)
            current, i = "", i + (2 if script[i : i + 2] in ("&&", "||") else 1)
            continue
        current, i = current + char, i + 1
    return [text.strip() for text in [*found, current] if text.strip()]


def _is_pipe(script: str, i: int) -> bool:
    return script[i] == "|" and "||" not in (script[i : i + 2], script[i - 1 : i + 1])


def _step(scripts: Mapping[str, str], text: str, script: str, given: Mapping[str, str], depth: int) -> Iterator[Step]:
    words, own = _words(text)
    variables = {**given, **own}
    if not words:
        return
    named = _named_scripts(words, scripts)
    if named is not None:
        names, arguments = named
        for name in names:
            yield from _script(scripts, name, arguments, variables, depth + 1)
        return
    for inner in _concurrent(words):
        yield from _step(scripts, inner, script, variables, depth + 1)
    if words[0].endswith("concurrently"):
        return
    words = _manager_binary(words)
    kind = _kind(words, text)
    yield Step(kind, text, tuple(words), variables, script)


def _words(text: str) -> tuple[list[str], dict[str, str]]:
    """The words of a command without its wrappers, and the variables that it sets."""
    try:
        words = shlex.split(text)
    except ValueError:
        return [], {}
    words = [word.strip("()") if word[:1] == "(" or word[-1:] == ")" else word for word in words]
    variables: dict[str, str] = {}
    for _ in range(10):
        while words and (found := re.fullmatch(r"([A-Za-z_]\w*)=(.*)", words[0], re.DOTALL)):
            variables[found[1]] = found[2]
            words = words[1:]
        if not words:
            break
        program = words[0].rpartition("/")[2]
        if program in ("npx", "pnpx", "bunx") or (words[:2] in (["pnpm", "exec"], ["yarn", "exec"], ["npm", "exec"])):
            words = words[1:] if program.endswith("x") else words[2:]
            while words and words[0].startswith("-"):
                words = words[1:]
        elif program in _WRAPPERS:
            start = next((i for i, word in enumerate(words[1:], 1) if _starts_command(word)), 0)
            if not start:
                break
            for word in words[1:start]:
                if found := re.fullmatch(r"([A-Za-z_]\w*)=(.*)", word, re.DOTALL):
                    variables[found[1]] = found[2]
            words = words[start:]
        elif program == "node" and _wraps(words):
            words = words[2:]
        else:
            break
    return words, variables


def _wraps(words: list[str]) -> bool:
    """Whether a script of the repository is given a runner with its arguments to start."""
    own = len(words) > 2 and re.search(r"\.[cm]?js$", words[1]) and "node_modules/" not in words[1]
    return bool(own) and words[2].rpartition("/")[2] in (*RUNNERS, *_WRAPPERS)


def _starts_command(word: str) -> bool:
    name = word.rpartition("/")[2]
    return name in (*RUNNERS, *NODES, *_WRAPPERS, "npm", "yarn", "pnpm", "npm-run-all", "run-s", "run-p", "turbo",
                    "lerna", "nx", "tsc", "rollup", "webpack", "babel", "tsup", "xo", "eslint")  # fmt: skip


def _named_scripts(words: list[str], scripts: Mapping[str, str]) -> tuple[list[str], tuple[str, ...]] | None:
    """The scripts that a command runs, and the arguments that it gives them; None when it runs none."""
    program = words[0].rpartition("/")[2]
    if program in ("run-s", "run-p", "npm-run-all", "npm-run-all2"):
        patterns = [word for word in words[1:] if not word.startswith("-")]
        return [name for one in patterns for name in _matching(one.partition(" ")[0], scripts)], ()
    if program not in ("npm", "yarn", "pnpm", "bun"):
        return None
    rest = [word for word in words[1:] if word not in ("-s", "--silent", "-q", "--if-present")]
    if not rest or any(word in ("-r", "--recursive", "-w", "-ws", "--workspaces", "--workspace", "--filter", "-F",
                                "workspaces", "workspace", "--prefix", "--dir", "-C", "--cwd")
                       or word.startswith(("--filter=", "--workspace=", "--prefix="))
                       for word in rest[: rest.index("--") if "--" in rest else None]):  # fmt: skip
        return None
    first = rest[0]
    if first in ("run", "run-script", "rum") and len(rest) > 1:
        name, rest = rest[1], rest[2:]
    elif first in ("test", "t", "tst"):
        name, rest = "test", rest[1:]
    elif program != "npm" and first in scripts:
        name, rest = first, rest[1:]
    else:
        return None
    rest = rest[1:] if rest[:1] == ["--"] else rest
    found = _matching(name, scripts)
    return (found, tuple(rest)) if found or (first in ("run", "run-script") and program == "npm") else None


def _matching(pattern: str, scripts: Mapping[str, str]) -> list[str]:
    """A script's name, or a pattern: `test:*` of npm-run-all, `/^test:/` of pnpm."""
    if pattern in scripts:
        return [pattern]
    if len(pattern) > 2 and pattern.startswith("/") and pattern.endswith("/") and len(pattern) < 60:
        inner = pattern[1:-1]
        simple = re.fullmatch(r"(\^?)([\w:-]*)(\.\*|\.\+)?(\$?)", inner)
        if simple is None:
            return []
        start = simple[2]
        return [name for name in scripts if (name.startswith(start) if simple[1] else start in name)]
    if "*" in pattern:
        glob = re.compile(re.escape(pattern).replace(r"\*\*", ".*").replace(r"\*", "[^:]*"))
        return [name for name in scripts if glob.fullmatch(name)]
    return []


def _concurrent(words: list[str]) -> Iterator[str]:
    if words[0].endswith("concurrently"):
        for word in words[1:]:
            if word.startswith("npm:"):
                yield f"npm-run-all {word.removeprefix('npm:')}"
            elif " " in word:
                yield word


def _manager_binary(words: list[str]) -> list[str]:
    """`yarn jest` and `pnpm run jest` start a program where no script has that name."""
    if words[0] in ("yarn", "pnpm") and len(words) > 1:
        rest = words[2:] if words[1] in ("run", "exec") else words[1:]
        if rest and _starts_command(rest[0]):
            return rest
    return words


def _kind(words: list[str], text: str) -> Kind:
    program = words[0].rpartition("/")[2]
    if program == "node" and (script := next((w for w in words[1:] if "node_modules/" in w), "")):
        program = next((name for name in RUNNERS if f"/{name}" in script), program)
    if program in RUNNERS and not (program == "react-scripts" and "test" not in words):
        return "runner"
    if program in NODES and "--test" in words:
        return "runner"
    if program in _DELEGATES or program in ("npm", "yarn", "pnpm", "bun"):
        return "delegate"
    if program in _CHECKS or (program == "tsc" and re.search(r"(?i)-noemit\b", text)):
        return "other"
    if program in ("nyc", "c8") or "audit" in words[1:2]:
        return "other"
    return "build"
