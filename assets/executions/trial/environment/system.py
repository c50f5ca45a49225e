"""Failures of what the machine provides: programs, variables, locales, time zones, a display, a git folder."""

import errno
import locale
import re

from assets.executions.trial.environment.case import Case, Found, Rule, misspelt
from assets.executions.trial.raised import Raised

_STARTS = ("subprocess", "os", "asyncio.base_events", "asyncio.unix_events", "shutil", "pty", "sh")
_NOT_FOUND = re.compile(r"(?:^|[\s'\"/])(?:ba|da|z|k)?sh: (?:\d+: |line \d+: )?([\w.+/-]+): (?:command )?not found|"
                        r"env: \W?([\w.+-]+)\W?: No such file|([\w.+-]+): command not found")  # fmt: skip
_MAKE_NOT_FOUND = re.compile(r"make: ([\w.+-]+): No such file or directory")
_NO_GIT = re.compile(r"not a git repository|unable to detect version|does not appear to be a (?:git|valid) repository")
_NO_DISPLAY = re.compile(r"no display name|\$DISPLAY|couldn't connect to display|cannot open display|"
                         r"could not connect to display|NoSuchDisplay|Cannot connect to \"None\"|"
                         r"No available video device|Unable to open display")  # fmt: skip
_ZONE = re.compile(r"[A-Z][A-Za-z_]+(/[A-Z][A-Za-z_+-]*\d*){1,2}|UTC|GMT")
_LOCALE = re.compile(r"[a-z]{2,3}_[A-Z]{2}(\.(UTF-?8|utf-?8|ISO-?8859-?\d{1,2}|cp\d+))?(@\w+)?")
_SETS = re.compile(r"(?:setenv|environ\.setdefault)\(\s*['\"](\w+)|environ\[['\"](\w+)['\"]\]\s*=")
_INSTALL = "Install it on Penstock's machine in /usr or /usr/local/bin, whose programs the sandbox sees."


def program(case: Case, link: Raised) -> Found | None:
    """A program that is not on PATH."""
    if link.errno == errno.ENOENT and link.is_a("FileNotFoundError") and link.place is not None:
        started = [p.split(" ")[0] for p, _ in case.failure.around.programs]
        if link.place.module in _STARTS and link.outside and (not started or link.file in started):
            return _missing_program(case, link, link.file)
    if link.exit == 127:
        return _missing_program(case, link, _said_not_found(link.output) or link.command.split(" ")[0])
    return None


def shell_said(case: Case, link: Raised) -> Found | None:
    """A shell that did not find a program, as its output or its exit status in a failed check says."""
    if not link.is_a("AssertionError", "CalledProcessError"):
        return None
    name = _said_not_found(link.message) or _said_not_found(link.output)
    if not name and "127" in case.failure.compare[1:3] and case.failure.around.programs:
        command = case.failure.around.programs[-1][0]
        name = re.sub(r"^\S*sh -c ", "", command).split(" ")[0]
    return _missing_program(case, link, name) if name else None


def _said_not_found(text: str) -> str:
    found = _NOT_FOUND.search(text) or _MAKE_NOT_FOUND.search(text)
    return next((group for group in found.groups() if group), "") if found else ""


def _missing_program(case: Case, link: Raised, name: str) -> Found | None:
    if not name or not re.fullmatch(r"[\w.+-]+", name) or len(name) > 80:
        return None  # a path, or a whole command as the name of a program
    declared = case.declared
    if name in declared.scripts:
        return Found(
            "command",
            f"the project's own command `{name}`, which is not installed",
            "Install the project beside Penstock, or make the command with a `setup` command in penstock.toml.",
        )
    if any(f.rsplit("/", 1)[-1] in (name, f"{name}.py", f"{name}.sh") for f in declared.files):
        return None
    near = misspelt(name, (*link.near, "python", "python3", "git", "make", "bash"))
    others = [f for f in declared.mentions(name) if link.inside is None or f != link.inside.path]
    if near is not None and not others:
        return None
    return Found("program", f"the program `{name}`, which is not installed", _INSTALL)


def variable(case: Case, link: Raised) -> Found | None:
    """An environment variable that the tests' settings name, and that nothing sets here."""
    place = link.place
    if not link.is_a("KeyError") or place is None or place.module != "os" or not re.fullmatch(r"\w+", link.name):
        return None
    name = link.name
    if name in ("DISPLAY", "WAYLAND_DISPLAY"):
        return display(case, link) or Found("display", "a display, which the sandbox does not have", _display_remedy())
    declared = case.declared
    inside = link.inside.path if link.inside is not None else ""
    known = set(declared.variables) | set(_set_by_tests(case))
    if name in _set_by_tests(case) or misspelt(name, known - {name}):
        return None
    others = [path for path in declared.mentions(name) if path != inside]
    if not case.in_test(link) and not others and name not in declared.variables:
        return None
    remedy = f'Set it in the test command: `--test "{name}=VALUE python -m pytest"`, or `test` in penstock.toml.'
    return Found("variable", f"the environment variable `{name}`, which is not set", remedy)


def _set_by_tests(case: Case) -> list[str]:
    return [found[1] or found[2] for found in _SETS.finditer(case.source)]


def missing_locale(case: Case, link: Raised) -> Found | None:
    if link.type != "locale.Error" or "unsupported locale" not in link.message or case.decided(link):
        return None
    name = link.asked
    known = locale.locale_alias.get(name.split(".")[0].lower())
    if not _LOCALE.fullmatch(name) or known is None:
        return None  # not the name of any locale
    remedy = f"Install it on Penstock's machine (Debian: add {name} to /etc/locale.gen and run `locale-gen`)."
    return Found("locale", f"the locale `{name}`, which is not installed", remedy)


def time_zone(case: Case, link: Raised) -> Found | None:
    """Time zone data that is not installed; where some is, the name is wrong."""
    if not link.is_a("ZoneInfoNotFoundError", "UnknownTimeZoneError") or link.zones:
        return None
    found = re.search(r"key ['\"]?([\w/+-]+)", link.message)
    name = found[1] if found else link.message.strip("'\"")
    if not _ZONE.fullmatch(name):
        return None
    remedy = "Install Debian's `tzdata` on Penstock's machine, or the package `tzdata` beside Penstock."
    return Found("time zone", f"time zone data (it asks for {name})", remedy)


def display(case: Case, link: Raised) -> Found | None:
    if not _NO_DISPLAY.search(link.message) or case.decided(link):
        return None
    return Found("display", "a display, which the sandbox does not have", _display_remedy())


def _display_remedy() -> str:
    return 'Use a virtual one (`--test "xvfb-run python -m pytest"`), or name tests that need none.'


def git_folder(case: Case, link: Raised) -> Found | None:
    """The repository's history: the sandbox gets the files of a commit without it."""
    text = f"{link.message}\n{link.output}"
    if not _NO_GIT.search(text) or (case.decided(link) and not case.failure.around.programs):
        return None
    programs = [p for p, _ in case.failure.around.programs]
    if any(re.search(r"\bgit\b.*\b(init|clone|worktree)\b", p) for p in programs):
        return None
    if any(folder and not folder.startswith("/workspace") for p, folder in case.failure.around.programs if "git" in p):
        return None
    if not link.outside and link.is_a("AssertionError") and "git init" in case.source:
        return None
    remedy = 'Make one with `setup = ["git init -q && git add -A && git commit -qm x"]` in penstock.toml.'
    return Found("git folder", "the repository's `.git` folder, which the sandbox does not have", remedy)


RULES: tuple[Rule, ...] = (
    program, shell_said, variable, missing_locale, time_zone, display, git_folder,
)  # fmt: skip
