"""Learns from edit histories how likely each edit of the engine `search` is.

    python -m tests.bench.edit_priors collect ARCHIVES            the last source releases of `packages.txt`
    python -m tests.bench.edit_priors examples ARCHIVES FILE      small edits, and the proposals that make them
    python -m tests.bench.edit_priors learn FILE... [--write]     coefficients, measured on packages left out

`learn --write` writes `likelihood.json`, which the engine reads. Nothing of the packages is kept there. The first two
steps take some hours; --part and --parts divide the second among processes.
"""

import argparse
import ast
import difflib
import json
import random
import sys
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

from packaging.version import Version

from assets.evals.harvest.releases import ReleaseUnavailable, fetch_archive, release_versions
from assets.executions.engines.search.operators.index import ProjectIndex
from assets.executions.engines.search.source import SourceFile, Unreadable

from .examples import example
from .history import normal, python_files, small_edits
from .learn import cross_validated, learned, read_examples

PACKAGES = Path(__file__).with_name("packages.txt")
OUT = Path(__file__).parents[3] / "assets" / "executions" / "engines" / "search" / "likelihood.json"
RELEASES = 14
_MOST_OF_A_PAIR = 60
"""Releases that change more functions a little are taken for a change of style."""
_OF_A_PAIR = 10
_INDEXED = 150_000
"""Characters of a package that the operators see beside the changed file."""


def packages() -> list[str]:
    """The packages that are learned on; none is in an eval set."""
    lines = PACKAGES.read_text(encoding="utf-8").splitlines()
    return " ".join(line for line in lines if not line.startswith("#")).split()


def collect(archives: Path) -> None:
    for package in packages():
        try:
            versions = release_versions(package)[-RELEASES:]
            for version in versions:
                fetch_archive(package, version, None, archives.parent)
        except ReleaseUnavailable as error:
            sys.stderr.write(f"{package}: {error}\n")


def releases(folder: Path) -> dict[str, list[tuple[str, Path]]]:
    """The archives by package, oldest first."""
    found: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    for one in folder.iterdir():
        name, _, version = one.name.rpartition("-")
        files = [] if name.startswith(".") else list(one.iterdir())
        if files:
            found[name].append((version, files[0]))
    return {name: sorted(some, key=lambda item: Version(item[0])) for name, some in sorted(found.items())}


def corrects(version: str) -> bool:
    """Whether a release has the number of one that corrects faults, by semantic versioning."""
    return len(parts := Version(version).release) > 2 and parts[-1] > 0


def write_examples(archives: Path, out: Path, part: int, parts: int) -> None:
    with out.open("w") as file:
        for package, some in sorted(releases(archives).items())[part::parts]:
            began, count, made, before = time.monotonic(), 0, 0, None
            for version, archive in some:
                try:
                    after = python_files(archive)
                except (OSError, EOFError, ValueError) as error:
                    sys.stderr.write(f"{package} {version}: {error}\n")
                    continue
                if before is not None and corrects(version):
                    for row in _rows(package, version, before, after):
                        count, made = count + 1, made + bool(row["made"])
                        file.write(json.dumps(row) + "\n")
                before = after
            file.flush()
            sys.stdout.write(
                f"{package}: {count} edits, {made} made by an operator, {time.monotonic() - began:.0f} s\n"
            )
            sys.stdout.flush()


def _rows(package: str, version: str, before: dict[str, bytes], after: dict[str, bytes]) -> list[dict[str, object]]:
    edits = list(small_edits(package, version, before, after))
    if len(edits) > _MOST_OF_A_PAIR:
        return []
    rows = []
    for edit in random.Random(f"{package} {version}").sample(edits, min(_OF_A_PAIR, len(edits))):  # noqa: S311
        found = example(edit, _index(edit.source, before))
        old, new = ast.unparse(normal(edit.before)).splitlines(), ast.unparse(edit.after_node).splitlines()
        found.diff = "\n".join(difflib.unified_diff(old, new, n=2, lineterm=""))
        rows.append(asdict(found))
    return rows


def _index(source: SourceFile, files: dict[str, bytes]) -> ProjectIndex:
    folder = source.path.rpartition("/")[0]
    near = [path for path in files if path.rpartition("/")[0] == folder and path != source.path]
    some, size = [source], 0
    for path in sorted(near, key=lambda one: (len(files[one]), one)):
        size += len(files[path])
        if size > _INDEXED:
            break
        try:
            some.append(SourceFile(path, files[path]))
        except Unreadable:
            continue
    return ProjectIndex(some)


def learn(files: list[Path], write: bool) -> None:
    rows = read_examples(files)
    for name, found in cross_validated(rows).items():
        sys.stdout.write(f"{name}: {found}\n")
    if write:
        OUT.write_text(json.dumps(asdict(learned(rows)), indent=1, sort_keys=True) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.edit_priors", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("collect").add_argument("archives", type=Path)
    examples = commands.add_parser("examples")
    examples.add_argument("archives", type=Path)
    examples.add_argument("out", type=Path)
    examples.add_argument("--part", type=int, default=0)
    examples.add_argument("--parts", type=int, default=1)
    learning = commands.add_parser("learn")
    learning.add_argument("files", type=Path, nargs="+")
    learning.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if options.command == "collect":
        collect(options.archives)
    elif options.command == "examples":
        write_examples(options.archives, options.out, options.part, options.parts)
    else:
        learn(options.files, options.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
