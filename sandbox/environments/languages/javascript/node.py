"""The Node.js of this machine that a repository's tests run with, and npm beside it. None is downloaded."""

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.environments.languages.protocol import INSIDE, Toolchain
from sandbox.environments.languages.tree import SourceTree
from sandbox.environments.wanted import EnvironmentRefused
from sandbox.protocol import Mount

from .manifests import InstallRoot, joined
from .semver import Version, satisfies, version_of

_SECONDS = 20.0
_OLDEST: Version = (18, 15, 0)
"""The first with reporters for its own test runner."""
_USUAL = ("/usr/bin/node", "/usr/bin/nodejs", "/usr/local/bin/node")
_FOLDERS = ("~/.nvm/versions/node/*/bin/node", "~/.local/share/fnm/node-versions/*/installation/bin/node",
            "~/.volta/tools/image/node/*/bin/node", "~/.asdf/installs/nodejs/*/bin/node",
            "~/.local/share/mise/installs/node/*/bin/node", "/opt/node*/bin/node",
            "/usr/local/lib/nodejs/*/bin/node")  # fmt: skip
_INSTALL = "Install it (https://nodejs.org/en/download, or the packages nodejs and npm)."


@dataclass(frozen=True)
class Node:
    """A Node.js; `prefix` is the folder that holds it, and `npm` the file of npm that node runs, None without npm."""

    version: Version
    program: Path
    prefix: Path
    npm: Path | None

    @property
    def name(self) -> str:
        return "Node.js " + ".".join(map(str, self.version))


def wanted_version(tree: SourceTree, roots: list[InstallRoot]) -> tuple[str, str, str, str]:
    """A range that the version must be in and where it stands, and a version that is preferred and where it stands."""
    wanted, where, preferred, preferred_from = "", "", "", ""
    for root in roots:
        engines = root.package.content.get("engines")
        text = engines.get("node") if isinstance(engines, dict) else None
        if isinstance(text, str) and text.strip() and not wanted:
            wanted, where = text.strip(), f"{root.package.path} (engines.node)"
        for name in (".nvmrc", ".node-version"):
            path = joined(root.folder, name)
            lines = (tree.text(path) or "").split()
            if lines and not preferred and version_of(lines[0]):
                preferred, preferred_from = lines[0][:40], path
        volta = root.package.content.get("volta")
        if not preferred and isinstance(volta, dict) and version_of(str(volta.get("node", ""))):
            preferred, preferred_from = str(volta["node"])[:40], f"{root.package.path} (volta.node)"
    return wanted, where, preferred, preferred_from


def choose_node(wanted: str, where: str, preferred: str, preferred_from: str) -> Node:
    """The preferred one where it is there, else the newest that fits. Raises `EnvironmentRefused`."""
    there = [node for node in installed_nodes() if node.npm is not None]
    if not there:
        asked = f"Node.js {wanted or preferred}".strip() + (
            f" ({where or preferred_from})" if where or preferred else ""
        )
        alone = installed_nodes()
        why = "there is no `npm` beside the `node` of this machine" if alone else "there is no `node` on this machine"
        raise EnvironmentRefused(f"{asked}, and {why}", _INSTALL)
    listed = ", ".join(node.name.removeprefix("Node.js ") for node in there)
    fits = [node for node in there if not wanted or satisfies(node.version, wanted) is not False]
    if not fits:
        raise EnvironmentRefused(f"Node.js {wanted} ({where}), and this machine has {listed}",
                                 f"Install such a Node.js, or change {where}.")  # fmt: skip
    asked_version = version_of(preferred)
    same = [node for node in fits if asked_version and node.version[0] == asked_version[0]]
    node = max(same or fits, key=lambda one: one.version)
    if node.version < _OLDEST:
        raise EnvironmentRefused(f"Node.js 18.15 or newer, and this machine has {listed}", _INSTALL)
    return node


def note_about(node: Node, preferred: str, preferred_from: str) -> str:
    """What people should know when another version is used than the repository's developers use; empty for nothing."""
    asked = version_of(preferred)
    if asked is None or asked[0] == node.version[0]:
        return ""
    return f"{preferred_from} names Node.js {preferred}, which is not on this machine: {node.name} is used."


def toolchain_of(node: Node) -> Toolchain:
    system = node.prefix.is_relative_to("/usr")
    path = f"{INSIDE}/penstock/bin:{node.program.parent}:/usr/local/bin:/usr/bin:/bin"
    variables = {"PATH": path, "npm_config_nodedir": str(node.prefix)}
    return Toolchain(node.name, () if system else (Mount(node.prefix, str(node.prefix)),), variables, (node.prefix,))


@functools.cache
def installed_nodes() -> tuple[Node, ...]:
    """Every Node.js on this machine, the newest first."""
    found = {node.program: node for place in _places() if (node := _node(place)) is not None}
    return tuple(sorted(found.values(), key=lambda node: node.version, reverse=True))


def _places() -> Iterator[Path]:
    named = shutil.which("node")
    for place in (named, *_USUAL):
        if place:
            yield Path(place)
    for pattern in _FOLDERS:
        path = Path(pattern).expanduser()
        start = path.parents[len(path.parts) - 1 - next(i for i, part in enumerate(path.parts) if "*" in part)]
        yield from start.glob(str(path.relative_to(start)))


def _node(place: Path) -> Node | None:
    try:
        done = subprocess.run([place, "-p", "process.version + ' ' + process.execPath"], capture_output=True, text=True,
                              check=True, timeout=_SECONDS, cwd="/",
                              env={"PATH": os.defpath, "HOME": "/nonexistent"})  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    number, _, path = done.stdout.strip().partition(" ")
    version = version_of(re.sub(r"-.*", "", number))
    program = Path(path).resolve()
    if version is None or not program.is_file() or program.parent.name != "bin":
        return None
    return Node(version, program, program.parent.parent, _npm(place, program))


def _npm(place: Path, program: Path) -> Path | None:
    """npm's own file, beside this node: distributions keep it at different places."""
    for folder in (place.parent, program.parent):
        npm = (folder / "npm").resolve()
        if npm.is_file() and npm.suffix == ".js":
            return npm
    usual = program.parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
    return usual if usual.is_file() else None
