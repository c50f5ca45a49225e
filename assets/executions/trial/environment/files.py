"""Failures to find or open files: data that is not in the repository, permissions, a full disk.

A path that the program computed wrongly is a fault of the program. So a file counts as missing only where nothing
suggests that: the tests name it themselves, no file of that name exists, and no program made the path.
"""

import errno
from pathlib import PurePosixPath

from assets.executions.repository.protected_paths import is_test_path
from assets.executions.trial.environment.case import Case, Found, Rule, text_of
from assets.executions.trial.raised import Raised

_WORKSPACE = "/workspace"
_SYSTEM = (
    "etc",
    "usr",
    "var",
    "opt",
    "home",
    "root",
    "srv",
    "mnt",
    "media",
    "boot",
    "sys",
    "proc",
    "dev",
    "run",
    "lib",
)
_ELSEWHERE = "Add it to the repository, or make it with a `setup` command in penstock.toml."


def missing_file(case: Case, link: Raised) -> Found | None:
    """A data file that the tests read and the repository does not hold, or a file of the system."""
    if link.errno != errno.ENOENT or not link.file or case.decided(link):
        return None
    path = _relative(link.file)
    if path is None:
        return _system_file(case, link)
    name = PurePosixPath(path).name
    files = case.declared.files
    if path in files or any(f.rsplit("/", 1)[-1] == name for f in files) or not name:
        return None
    ignored = case.declared.is_ignored(path)
    if not (_named_by_tests(case, path) or ignored) or _written_by_program(case, name):
        return None
    # A test opens what the program should have written after it ran; what the program is given lies among the tests.
    in_test = case.in_test(link)
    if not ignored and (case.ran_program if in_test else not is_test_path(f"{path.rpartition('/')[0]}/x")):
        return None
    return Found("file", f"the file {path}, which is not in the repository", _ELSEWHERE)


def _relative(file: str) -> str | None:
    """A path inside the repository, relative to its root; None for any other."""
    if not file.startswith("/"):
        return str(PurePosixPath(file)) if ".." not in file.split("/") else None
    return file.removeprefix(_WORKSPACE + "/") if file.startswith(_WORKSPACE + "/") else None


def _named_by_tests(case: Case, path: str) -> bool:
    """Whether the failing test's file, or a conftest.py, spells the name of the file."""
    name = PurePosixPath(path).name
    folder = case.test.split("::")[0].rpartition("/")[0]
    texts = [
        case.source,
        *(text_of(case.declared.root, f"{f}conftest.py") for f in ("", f"{folder}/" if folder else "")),
    ]
    return any(name in text for text in texts)


def _written_by_program(case: Case, name: str) -> bool:
    """Whether the program spells the name too: then it may be the one that should write it."""
    return any(f.endswith(".py") for f in case.declared.mentions(name, in_tests=False))


def _system_file(case: Case, link: Raised) -> Found | None:
    parts = link.file.split("/")
    if len(parts) < 3 or parts[0] or parts[1] not in _SYSTEM or parts[1:3] in (["dev", "shm"], ["proc", "self"]):
        return None
    if link.file.startswith("/usr/share/zoneinfo/"):
        return Found("time zone", f"the time zone data {link.file}", _time_zone_remedy())
    if not case.declared.mentions(link.file) and not case.declared.mentions("/".join(parts[:-1])):
        return None
    remedy = (
        "Install what provides it on Penstock's machine (the sandbox sees /usr), or name other tests with `--test`."
    )
    return Found("system file", f"the file {link.file}, which the sandbox does not have", remedy)


def _time_zone_remedy() -> str:
    return "Install Debian's `tzdata` on Penstock's machine, or the package `tzdata` beside Penstock."


def permission(case: Case, link: Raised) -> Found | None:
    """What only another user may do, or a place that is read-only."""
    if link.errno not in (errno.EACCES, errno.EPERM, errno.EROFS) or case.decided(link):
        return None
    remedy = (
        "The sandbox runs without privileges, and only its workspace and /tmp are writable; "
        "name other tests with `--test`."
    )
    ports = [int(a.rpartition(":")[2]) for a in (link.asked,) if a.rpartition(":")[2].isdigit()]
    statement = case.statement(link.place)
    if not link.file:
        privileged = "the privileges of root, which the sandbox does not give"
        if link.errno == errno.EPERM or (ports and ports[0] < 1024) or (statement is not None and _binds(case, link)):
            return Found("permission", privileged, remedy)
        return None
    if _relative(link.file) is not None or link.file.startswith(("/tmp/", "/dev/shm/")):  # noqa: S108
        if link.errno == errno.EPERM:
            return Found("permission", "the privileges of root, which the sandbox does not give", remedy)
        return None
    parts = link.file.split("/")
    if len(parts) < 3 or parts[1] not in _SYSTEM:
        return None
    if not case.declared.mentions(link.file) and not case.declared.mentions("/".join(parts[:3])):
        return None
    return Found("permission", f"access to {link.file}, which the sandbox refuses", remedy)


def _binds(case: Case, link: Raised) -> bool:
    place = link.place
    if place is None:
        return False
    lines = text_of(case.declared.root, place.path).splitlines()
    return 0 < place.line <= len(lines) and ".bind(" in lines[place.line - 1]


def space(case: Case, link: Raised) -> Found | None:
    """A full disk, or more memory than the sandbox gives, asked for by the test itself."""
    if case.decided(link):
        return None
    if link.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return Found("disk", "more disk space than the sandbox gives", "Name smaller tests with `--test`.")
    if (link.is_a("MemoryError") or link.errno == errno.ENOMEM) and case.in_test(link):
        remedy = "Name smaller tests with `--test`: the sandbox gives 2 GiB to all processes together."
        return Found("memory", "more memory than the sandbox gives", remedy)
    return None


RULES: tuple[Rule, ...] = (missing_file, permission, space)
