"""Lock files of uv, poetry, pdm and pipenv: which versions they choose, and the hashes of their files.

They are used as constraints: what is needed comes from the project's declarations, its versions from the lock.
"""

import hashlib
import json
import re
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from packaging.markers import InvalidMarker, Marker

from sandbox.environments.wanted import EnvironmentRefused, Lock, Requirement

from .files import Files, table, texts
from .requirement_files import inside, normal, requirement

FILES = ("uv.lock", "poetry.lock", "pdm.lock")
PIPFILE = "Pipfile.lock"
_FORMAT = 2
_MOST = 5000
_SHA256 = re.compile(r"sha256:([0-9a-f]{64})")


def find_lock(files: Files) -> Lock | None:
    """The first lock file that there is. Raises `EnvironmentRefused` for one that is broken or names a path outside
    the repository."""
    for path in FILES:
        text = files.text(path, lock=True)
        if text:
            return _remembered(files, path, text) or _remember(files, path, text)
    return None


def _place(files: Files, path: str, text: str) -> Path | None:
    digest = hashlib.sha256(f"{_FORMAT} {path}\n{text}".encode()).hexdigest()
    return files.memory / f"{digest[:32]}.json" if files.memory is not None else None


def _remembered(files: Files, path: str, text: str) -> Lock | None:
    """What was stored about a lock file with this text."""
    place = _place(files, path, text)
    try:
        stored = json.loads(place.read_text()) if place is not None else None
    except (OSError, ValueError):
        return None
    if stored is None:
        return None
    hashes = {key: frozenset(found) for key, found in stored["hashes"].items()}
    return Lock(path, stored["versions"], hashes, stored["refused"], tuple(stored["marked"]))


def _remember(files: Files, path: str, text: str) -> Lock:
    lock = _toml_lock(path, files.toml(path, lock=True))
    place = _place(files, path, text)
    if place is not None:
        place.parent.mkdir(parents=True, exist_ok=True)
        hashes = {key: sorted(found) for key, found in lock.hashes.items()}
        with tempfile.NamedTemporaryFile("w", dir=place.parent, delete=False) as file:
            stored = {"versions": lock.versions, "hashes": hashes, "refused": lock.refused, "marked": lock.marked}
            json.dump(stored, file)
        Path(file.name).replace(place)
    return lock


def _toml_lock(path: str, content: dict[str, Any]) -> Lock:
    versions: dict[str, set[str]] = defaultdict(set)
    hashes: dict[str, set[str]] = defaultdict(set)
    refused: dict[str, str] = {}
    marked: dict[str, list[str]] = defaultdict(list)
    packages = content.get("package")
    for package in packages[:_MOST] if isinstance(packages, list) else ():
        name, version = package.get("name"), package.get("version")
        if not isinstance(name, str):
            continue
        name = normal(name)
        local, elsewhere = _source(package)
        if local is not None:
            inside(local, path, f"package {name}")
            continue
        if elsewhere:
            refused[name] = f"{path} (package {name}) takes it from {elsewhere}"
        if not isinstance(version, str):
            continue
        versions[name].add(version)
        if marker := _marker(package):
            marked[name].append(f"{name}=={version} ; {marker}")
        hashes[f"{name}=={version}"].update(_SHA256.findall(json.dumps(
            [package.get("wheels"), package.get("sdist"), package.get("files")], default=str)))  # fmt: skip
    old = table(content, "metadata", "files")
    for name, listed in old.items():
        for version in versions.get(normal(name), ()):
            hashes[f"{normal(name)}=={version}"].update(_SHA256.findall(json.dumps(listed, default=str)))
    # A universal lock may have a version for each platform or Python.
    chosen = {name: next(iter(found)) for name, found in versions.items() if len(found) == 1}
    several = tuple(text for name, texts_of in sorted(marked.items()) if name not in chosen for text in texts_of)
    known = {key: frozenset(found) for key, found in hashes.items() if found}
    return Lock(path, chosen, known, refused, several)


def _marker(package: dict[str, Any]) -> str:
    """When this version of a package counts; empty for always, or when that is not said as a marker."""
    listed = texts(package.get("resolution-markers")) or texts([package.get("markers"), package.get("marker")])
    try:
        return " or ".join(f"({Marker(text)})" for text in listed)
    except (InvalidMarker, RecursionError):
        return ""


def _source(package: dict[str, Any]) -> tuple[str | None, str]:
    """The local path a package comes from (None for none), and what else is no registry ("" for a registry)."""
    source = table(package, "source")
    for key in ("editable", "virtual", "directory", "path"):
        if isinstance(source.get(key), str):
            return source[key], ""
    if isinstance(package.get("path"), str):
        return package["path"], ""
    kind, address = source.get("type"), str(source.get("url", ""))
    if kind in ("directory", "file"):
        return address, ""
    if "git" in source or "git" in package or kind == "git":
        return None, "version control"
    if kind == "url" or ("url" in source and kind is None) or isinstance(package.get("url"), str):
        return None, "an address of its own"
    return None, ""


def pipfile_lock(files: Files) -> tuple[Lock, list[Requirement], list[str]] | None:
    """`Pipfile.lock`: its lock, what it needs and local folders; None when there is none."""
    text = files.text(PIPFILE, lock=True)
    if text is None:
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EnvironmentRefused(f"what {PIPFILE} declares, which is not valid JSON", f"Repair {PIPFILE}.") from error
    versions: dict[str, str] = {}
    hashes: dict[str, frozenset[str]] = {}
    needed: list[Requirement] = []
    local: list[str] = []
    for section in ("default", "develop"):
        for name, entry in list(table(content, section).items())[:_MOST]:
            place = f"{section}.{name}"
            if isinstance(path := table(entry).get("path"), str):
                local.append(inside(path, PIPFILE, place))
                continue
            if "git" in table(entry):
                requirement(f"{name} @ git+{entry['git']}", PIPFILE, place)
            version = str(table(entry).get("version", ""))
            marker = f" ; {entry['markers']}" if isinstance(table(entry).get("markers"), str) else ""
            needed.append(requirement(f"{name}{'' if version == '*' else version}{marker}", PIPFILE, place))
            if version.startswith("=="):
                versions[normal(name)] = version[2:]
                found = frozenset(_SHA256.findall(json.dumps(entry.get("hashes"), default=str)))
                if found:
                    hashes[f"{normal(name)}=={version[2:]}"] = found
    return Lock(PIPFILE, versions, hashes), needed, local
