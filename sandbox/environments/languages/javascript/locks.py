"""Lock files: what keeps one from being installed here, and one that names the registry in use for every package."""

import json
import os
import re
from collections.abc import Iterator
from typing import Any

from sandbox.environments.languages.tree import SourceTree
from sandbox.environments.wanted import EnvironmentRefused

from .manifests import DEPENDENCIES, InstallRoot, Package, joined, texts

_VERSION_CONTROL = re.compile(
    r"^(?:git(?:\+\w+)?:|ssh:|git@|github:|gitlab:|bitbucket:|gist:|git\+|https?://[^/]*(?:github\.com|gitlab\.com|"
    r"bitbucket\.org)/|https?://.*\.git(?:#|$)|[\w.-]+/[\w.-]+(?:#.*)?$)"
)
_TARBALL = re.compile(r"https?://[^\s\"',}]+?/((?:@[^\s/\"]+(?:/|%2[fF]))?[^\s/\"@]+/-/[^\s/\"',}]+?\.tgz)")
_YARN_ENTRY = re.compile(r'^"?((?:@[^@\s"/]+/)?[^@\s"]+)@[^\n]*:\n(?:  [^\n]*\n)*?'
                         r'  (?:resolved|resolution:) "([^"\n]+)"', re.MULTILINE)  # fmt: skip
_REMEDY = "Name a released version of it in {path}, and update the lock file."


def check(root: InstallRoot, tree: SourceTree) -> None:
    """Raises `EnvironmentRefused` for a package from version control or from outside the repository."""
    for package in root.packages:
        for name, text in _fetched(package):
            _check_specifier(name, text, package.path, package.folder)
    if root.lock:
        text = tree.text(root.lock) or ""
        for name, resolved in _RESOLVED[root.manager](text, root.lock):
            if _VERSION_CONTROL.match(resolved) and "/" in resolved:
                raise EnvironmentRefused(
                    f"`{name}` from version control, which {root.lock} names ({resolved[:80]}) and which cannot be "
                    "fetched here",
                    f"Use a released version of it, or of what depends on it, and update {root.lock}.",
                )


def _fetched(package: Package) -> Iterator[tuple[str, str]]:
    for kind in DEPENDENCIES[:3]:
        yield from texts(package.content.get(kind)).items()


def _check_specifier(name: str, text: str, path: str, folder: str) -> None:
    text = re.sub(r"^(npm|patch):.*", "", text.strip())
    if text.startswith("exec:"):
        raise EnvironmentRefused(f"`{name}`, which {path} has a program make (exec:)", _REMEDY.format(path=path))
    local = re.match(r"(?:file|link|portal):(.*)", text)
    target = local[1] if local else text if text.startswith(("./", "../", "/")) else ""
    if target and os.path.normpath(joined(folder, target)).startswith(("..", "/")):
        raise EnvironmentRefused(
            f"`{name}` from a folder outside of the repository, which {path} names ({target[:80]})",
            _REMEDY.format(path=path),
        )
    if not local and not target and _VERSION_CONTROL.match(text):
        raise EnvironmentRefused(
            f"`{name}` from version control, which {path} asks for ({text[:80]}) and which cannot be fetched here",
            _REMEDY.format(path=path),
        )


def npm_lock(text: str, path: str) -> dict[str, Any]:
    """The content of a package-lock.json. Raises `EnvironmentRefused`."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EnvironmentRefused(f"what {path} locks, which is no JSON: {error}", f"Write {path} again.") from error
    return content if isinstance(content, dict) else {}


def _npm(text: str, path: str) -> Iterator[tuple[str, str]]:
    content = npm_lock(text, path)
    packages = content.get("packages")
    if isinstance(packages, dict):
        for at, entry in packages.items():
            if isinstance(entry, dict) and not entry.get("link"):
                yield at.rpartition("node_modules/")[2], str(entry.get("resolved") or "")
        return
    stack = [content.get("dependencies")]
    while stack:
        dependencies = stack.pop()
        if not isinstance(dependencies, dict):
            continue
        for name, entry in dependencies.items():
            if isinstance(entry, dict):
                yield str(name), str(entry.get("resolved") or entry.get("version") or "")
                stack.append(entry.get("dependencies"))


def _yarn(text: str, path: str) -> Iterator[tuple[str, str]]:
    for found in _YARN_ENTRY.finditer(text):
        resolved = found[2]
        berry = re.match(r"(?:@[^@/]+/)?[^@/]+@(.*)", resolved)
        resolved = berry[1] if berry and not resolved.startswith(("http", "git")) else resolved
        if resolved.startswith("exec:"):
            raise EnvironmentRefused(f"`{found[1]}`, which {path} has a program make (exec:)",
                                     _REMEDY.format(path="package.json"))  # fmt: skip
        if not resolved.startswith(("npm:", "workspace:", "patch:", "link:", "portal:", "file:", "virtual:")):
            yield found[1], resolved


def _pnpm(text: str, path: str) -> Iterator[tuple[str, str]]:
    for found in re.finditer(r"^  '?([^\s':]+?(?:@[^\n]*?)?)'?:\n    resolution: \{([^}\n]*)\}", text, re.MULTILINE):
        repository = re.search(r"repo: ([^,}]+)", found[2])
        tarball = re.search(r"tarball: ([^,}]+)", found[2])
        if repository or tarball:
            yield found[1], repository[1] if repository else tarball[1]  # type: ignore[index]


_RESOLVED = {"npm": _npm, "yarn": _yarn, "pnpm": _pnpm}


def from_registry(text: str, registry: str) -> str:
    """A lock file's text in which each address of a package's archive is the registry's."""
    return _TARBALL.sub(
        lambda found: f"{registry.rstrip('/')}/{found[1].replace('%2f', '/').replace('%2F', '/')}", text
    )
