"""Requirements in pip's format: `requirements.txt` and its kin, with the files that they include.

https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Parsed

from sandbox.environments.wanted import EnvironmentRefused, Requirement

from .files import Files

_MOST_FILES = 40
_MOST_LINES = 5000
_HASH = re.compile(r"--hash[= ]sha256:([0-9a-fA-F]{64})")
_VERSION_CONTROL = ("git+", "hg+", "svn+", "bzr+")


@dataclass
class Listed:
    """What requirement files list. `local` are folders of the repository with the extras wanted of them."""

    requirements: list[Requirement] = field(default_factory=list)
    constraints: list[Requirement] = field(default_factory=list)
    local: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    hashes: dict[str, frozenset[str]] = field(default_factory=dict)
    notes: list[str] | None = None
    """Where what cannot be fetched is noted instead of refused; None to refuse it."""


def normal(name: str) -> str:
    """A distribution's name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def name_of(text: str) -> str:
    """The normalised name of the distribution that a requirement asks for."""
    return normal(re.split(r"[\[<>=!~;@\s(]", text.strip(), maxsplit=1)[0])


def requirement_file(files: Files, path: str, notes: list[str] | None = None) -> Listed:
    """Everything that a requirements file lists. A line that cannot be fetched is left out with a note in `notes`;
    without them, raises `EnvironmentRefused`, which names the line."""
    listed = Listed(notes=notes)
    _read(files, path, listed, [], constraints=False)
    return listed


def requirement_lines(files: Files, lines: list[tuple[str, str, str]], notes: list[str]) -> Listed:
    """The same for (line, file, field) of other files; what cannot be fetched is noted."""
    listed = Listed(notes=notes)
    for line, file, field_name in lines:
        _line(files, line, file, field_name, listed, [file], constraints=False)
    return listed


def _read(files: Files, path: str, listed: Listed, seen: list[str], *, constraints: bool) -> None:
    if path in seen:
        return
    seen.append(path)
    if len(seen) > _MOST_FILES:
        raise EnvironmentRefused(f"more than {_MOST_FILES} requirements files, which {seen[0]} includes",
                                 f"Include fewer files in {seen[0]}.")  # fmt: skip
    text = files.text(path)
    if text is None:
        includer = seen[max(len(seen) - 2, 0)]
        raise EnvironmentRefused(f"the requirements file {path}, which does not exist",
                                 f"Add {path}, or remove the line of {includer} that includes it.")  # fmt: skip
    for number, line in _lines(text):
        _line(files, line, path, f"line {number}", listed, seen, constraints=constraints)


def _line(
    files: Files, line: str, path: str, place: str, listed: Listed, seen: list[str], *, constraints: bool
) -> None:
    """Follows one line: a requirement, a local folder or an included file; other options are the platform's to set."""
    try:
        found = re.fullmatch(r"(-[rce]|--requirement|--constraint|--editable)[\s=]*(.*)", line)
        if found is None:
            if not line.startswith("-"):
                _add(line, path, place, listed, constraints=constraints)
            return
        option, value = found[1], found[2].strip()
        if option in ("-e", "--editable"):
            _add(value, path, place, listed, constraints=constraints)
            return
        inner = posixpath.normpath(posixpath.join(posixpath.dirname(path), value))
        if inner.startswith(("..", "/")) or "://" in value:
            raise _outside(path, place, value)
        _read(files, inner, listed, seen, constraints=constraints or option in ("-c", "--constraint"))
    except EnvironmentRefused as refusal:
        if listed.notes is None:
            raise
        listed.notes.append(f"Left out: {refusal.missing}.")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The logical lines without comments, with the number of the first physical line of each."""
    held, began = "", 0
    for number, line in enumerate(text.splitlines()[:_MOST_LINES], start=1):
        began = began or number
        held += line
        if held.endswith("\\"):
            held = held[:-1] + " "
            continue
        stripped = re.sub(r"(^|\s)#.*$", "", held).strip()
        if stripped:
            yield began, stripped
        held, began = "", 0


def _add(line: str, path: str, place: str, listed: Listed, *, constraints: bool) -> None:
    """Adds one requirement or local folder."""
    hashes = frozenset(found.lower() for found in _HASH.findall(line))
    text = re.split(r"\s--", line, maxsplit=1)[0].strip()
    if folder := local_folder(text):
        if constraints:
            return
        listed.local.append((inside(folder[0], path, place), folder[1]))
        return
    found = requirement(text, path, place)
    if constraints:
        listed.constraints.append(found)
        return
    listed.requirements.append(found)
    parsed = Parsed(found.text)
    versions = [s.version for s in parsed.specifier if s.operator == "=="]
    if hashes and versions:
        listed.hashes[f"{normal(parsed.name)}=={versions[0]}"] = hashes


def local_folder(text: str) -> tuple[str, tuple[str, ...]] | None:
    """The path and extras of a requirement that is a local path; None for any other."""
    found = re.fullmatch(r"(?:file:(?://)?)?((?:\.{1,2}|/)[^\[;@]*?|[\w.-]+/[\w./-]*?)\s*(?:\[([^\]]*)\])?", text)
    if found is None or "://" in text.removeprefix("file://"):
        return None
    extras = tuple(word.strip() for word in (found[2] or "").split(",") if word.strip())
    return found[1], extras


def inside(folder: str, path: str, place: str) -> str:
    """A local path of a declaration, relative to the root. As with pip, it is relative to the root, not to the file.
    Raises `EnvironmentRefused` for one outside the repository."""
    normalised = posixpath.normpath(folder)
    if normalised.startswith(("/", "..")):
        raise _outside(path, place, folder)
    return "" if normalised == "." else normalised


def _outside(path: str, place: str, value: str) -> EnvironmentRefused:
    return EnvironmentRefused(
        f"`{value}`, which {path} ({place}) names and which is outside the repository",
        "Publish it to a package registry, or commit a copy and name that.",
    )


def requirement(text: str, path: str, place: str) -> Requirement:
    """A requirement from a registry. Raises `EnvironmentRefused` for one that is invalid or from anywhere else."""
    if text.startswith(_VERSION_CONTROL) or re.search(r"@\s*(git|hg|svn|bzr)\+", text):
        name = re.split(r"\s*@", text)[0] if "@" in text and not text.startswith(_VERSION_CONTROL) else text
        raise EnvironmentRefused(
            f"`{name[:100]}` from version control, which {path} ({place}) asks for and which cannot be fetched here",
            "Name a released version of it under `[environment] requirements` in penstock.toml.",
        )
    try:
        parsed = Parsed(text)
    except (InvalidRequirement, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise EnvironmentRefused(f"`{text[:100]}`, which {path} ({place}) asks for and which is no valid requirement "
                                 f"({reason})", "Repair it, or list the requirements under `[environment] "
                                 "requirements` in penstock.toml.") from error  # fmt: skip
    if parsed.url is not None:
        raise EnvironmentRefused(
            f"`{parsed.name}` from an address of its own, which {path} ({place}) asks for and which is no registry",
            "Name a released version of it under `[environment] requirements` in penstock.toml.",
        )
    return Requirement(str(parsed), path, place)
