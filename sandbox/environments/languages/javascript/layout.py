"""Makes an environment of what a package manager installed: the folders `node_modules` of all packages in `tree`, and
Penstock's own programs in `penstock`."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from sandbox.environments.languages.protocol import INSIDE
from sandbox.environments.wanted import FetchFailed

from .semver import Version, satisfies

WORKSPACE = "/workspace"
PROGRAMS = Path(__file__).with_name("inside")
_MOST_SHIM = 1 << 16
_SCRIPTS = ("preinstall", "install", "postinstall")


def make_environment(installed: Path, made: Path, folders: list[str], node: Version) -> None:
    """Moves each `node_modules` below the folders of packages from `installed` into `made`, and writes the rest."""
    tree = made / "tree"
    tree.mkdir(exist_ok=True)
    moved = []
    for folder in sorted(set(folders)):
        source = installed / folder / "node_modules"
        if source.is_dir() and not source.is_symlink() and any(source.iterdir()):
            place = f"{folder}/node_modules".lstrip("/")
            (tree / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(source, tree / place)
            moved.append(place)
    _repair_links(tree, installed)
    _repair_shims(tree, moved, str(installed))
    own = made / "penstock"
    shutil.copytree(PROGRAMS, own, ignore=shutil.ignore_patterns("__pycache__"))
    (own / "bin").mkdir()
    for name in ("pnpm", "yarn"):
        shutil.copyfile(PROGRAMS / "manager.cjs", own / "bin" / name)
        (own / "bin" / name).chmod(0o755)
    (own / "folders.json").write_text(json.dumps(moved))
    scripted, newer = _read_packages(tree, moved, node)
    (own / "scripted.json").write_text(json.dumps(sorted(scripted, key=lambda at: -at.count("/"))))
    (own / "newer.json").write_text(json.dumps(newer[:50]))


def _repair_links(tree: Path, installed: Path) -> None:
    """Links to packages of the repository lead to the workspace; those to installed ones stay as they are."""
    for path in _links(tree):
        target = str(path.readlink())
        if target.startswith("/"):
            if not Path(target).is_relative_to(installed):
                raise FetchFailed(f"{path.relative_to(tree)} is a link to {target}, outside of the repository")
            place = os.path.relpath(target, installed)
        else:
            place = os.path.relpath(os.path.normpath(path.parent / target), tree)
        if place.startswith(".."):
            raise FetchFailed(f"{path.relative_to(tree)} is a link to {target}, outside of the repository")
        inside = place.split("/")
        if "node_modules" in inside:
            wanted = os.path.relpath(tree / place, path.parent)
        else:
            wanted = WORKSPACE if place == "." else f"{WORKSPACE}/{place}"
        if wanted != target:
            path.unlink()
            path.symlink_to(wanted)


def _links(folder: Path) -> Iterator[Path]:
    stack = [str(folder)]
    while stack:
        with os.scandir(stack.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    yield Path(entry.path)
                elif entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)


def _repair_shims(tree: Path, folders: list[str], old: str) -> None:
    """Programs that pnpm writes as shell scripts name the folder in which they were made."""
    for folder in folders:
        store = tree / folder / ".pnpm"
        for found in ((tree / folder / ".bin").glob("*"), store.glob("*/node_modules/*/node_modules/.bin/*"),
                      store.glob("*/node_modules/@*/*/node_modules/.bin/*")):  # fmt: skip
            for path in found:
                if path.is_symlink() or not path.is_file() or path.stat().st_size > _MOST_SHIM:
                    continue
                content = path.read_bytes()
                if old.encode() in content:
                    path.write_bytes(content.replace(old.encode(), f"{INSIDE}/tree".encode()))


def _read_packages(tree: Path, folders: list[str], node: Version) -> tuple[list[str], list[str]]:
    """The folders, relative to `tree`, of installed packages that have install scripts or native code; and what those
    ask for that need another Node.js."""
    scripted, newer = [], []
    for folder in folders:
        for package in _packages(tree / folder):
            try:
                content = json.loads((package / "package.json").read_text("utf-8", errors="replace"))
                scripts = content.get("scripts") or {}
                own = any(isinstance(scripts.get(name), str) for name in _SCRIPTS)
                wanted = str((content.get("engines") or {}).get("node") or "*")
            except (OSError, ValueError, AttributeError, RecursionError):
                continue
            if own or (package / "binding.gyp").is_file():
                scripted.append(str(package.relative_to(tree)))
            if satisfies(node, wanted) is False:
                newer.append(f"{content.get('name')} {content.get('version')} ({wanted[:60]})")
    return scripted, newer


def _packages(modules: Path) -> Iterator[Path]:
    """The packages in a node_modules, with those inside of them and in pnpm's store."""
    stack = [modules]
    while stack:
        for entry in os.scandir(stack.pop()):
            if entry.is_symlink() or not entry.is_dir(follow_symlinks=False):
                continue
            path = Path(entry.path)
            if entry.name == ".pnpm":
                stack += [one / "node_modules" for one in path.iterdir() if (one / "node_modules").is_dir()]
            elif entry.name.startswith("@"):
                stack.append(path)
            elif not entry.name.startswith("."):
                yield path
                if (path / "node_modules").is_dir():
                    stack.append(path / "node_modules")
