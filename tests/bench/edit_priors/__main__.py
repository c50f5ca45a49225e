"""`python -m tests.bench.edit_priors examples ARCHIVES OUT`: see the package's docstring."""

import argparse
import ast
import difflib
import json
import random
import sys
import time
from collections import defaultdict
from pathlib import Path

from packaging.version import Version

from assets.executions.engines.search.operators.index import ProjectIndex
from assets.executions.engines.search.source import SourceFile, Unreadable

from .examples import example
from .history import normal, python_files, small_edits

_MOST_OF_A_PAIR = 60
"""Releases that change more functions a little are taken for a change of style."""
_OF_A_PAIR = 10


def _corrects(version: str) -> bool:
    """Whether a release has the number of one that corrects faults, by semantic versioning."""
    return len(parts := Version(version).release) > 2 and parts[-1] > 0


def releases(folder: Path) -> dict[str, list[tuple[str, Path]]]:
    """The archives by package, oldest first."""
    found: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    for one in folder.iterdir():
        name, _, version = one.name.rpartition("-")
        files = [] if name.startswith(".") else list(one.iterdir())
        if files:
            found[name].append((version, files[0]))
    return {name: sorted(some, key=lambda item: Version(item[0])) for name, some in sorted(found.items())}


def write_examples(archives: Path, out: Path, only: list[str], part: int, parts: int) -> None:
    every = sorted(releases(archives).items())
    with out.open("w") as file:
        for package, some in every[part::parts]:
            if only and package not in only:
                continue
            began, count, reached = time.monotonic(), 0, 0
            files = None
            for version, archive in some:
                try:
                    now = python_files(archive)
                except Exception as error:
                    sys.stderr.write(f"{package} {version}: {error}\n")
                    continue
                if files is not None and _corrects(version):
                    edits = list(small_edits(package, version, files, now))
                    if len(edits) <= _MOST_OF_A_PAIR:
                        for edit in random.Random(f"{package} {version}").sample(edits, min(_OF_A_PAIR, len(edits))):
                            found = example(edit, _index(edit.source, files))
                            old, new = ast.unparse(normal(edit.before)), ast.unparse(edit.after_node)
                            found.diff = "\n".join(
                                difflib.unified_diff(old.splitlines(), new.splitlines(), n=2, lineterm="")
                            )
                            count += 1
                            reached += bool(found.made)
                            file.write(json.dumps(found.row()) + "\n")
                files = now
            file.flush()
            sys.stdout.write(f"{package}: {count} edits, {reached} reached, {time.monotonic() - began:.0f} s\n")
            sys.stdout.flush()


_INDEXES: dict[str, ProjectIndex] = {}


def _index(source: SourceFile, files: dict[str, bytes]) -> ProjectIndex:
    folder = source.path.rpartition("/")[0]
    near = [path for path in files if path.rpartition("/")[0] == folder and path != source.path]
    some, size = [source], 0
    for path in sorted(near, key=lambda one: len(files[one])):
        size += len(files[path])
        if size > 150_000:
            break
        try:
            some.append(SourceFile(path, files[path]))
        except Unreadable:
            continue
    return ProjectIndex(some)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.edit_priors", description=__doc__)
    parser.add_argument("archives", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--package", action="append", default=[])
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    options = parser.parse_args()
    write_examples(options.archives, options.out, options.package, options.part, options.parts)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
