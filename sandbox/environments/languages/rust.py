"""Rust: `cargo fetch` fetches, `cargo test` runs. Cargo's home is read-only; what was compiled of other packages is
linked into the target folder of each workspace, and the repository's own packages are compiled there."""

import os
import re
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.environments.wanted import EnvironmentRefused, FetchFailed
from sandbox.protocol import WORKSPACE
from sandbox.reports import TestCase, unique
from sandbox.reports.cargo_test import Places, cargo_cases

from .cargo_manifests import (
    LOCK,
    MANIFEST,
    find_workspaces,
    joined,
    least_version,
    manifests,
    numbers,
    refuse_unfetchable,
    stubs,
)
from .protocol import INSIDE, SCRATCH, BuildFailed, BuildStep, FetchStep, Needs, Ran, Registry, TestPlan, Toolchain
from .rust_toolchains import choose, pinned, toolchain_for
from .tree import SourceTree, folder_of

_INDEX = "https://index.crates.io/"
_FILES = "static.crates.io"
_SPARSE = (1, 68, 0)
_TARGET = f"{SCRATCH}/target"
_HOME = f"{INSIDE}/cargo"
_TEST = re.compile(r"#\[(?:\w+::)*(?:test|rstest|test_case|quickcheck)\b|\bproptest!|^\s*//[/!] ```", re.MULTILINE)
_TEST_FILE = re.compile(
    r"(^|/)(tests?|benches)/.*\.(rs|stderr|stdout)$|(^|/)(tests?|test_\w+|\w+_tests?)\.rs$|(^|/)snapshots/.*\.snap$"
)
_STEERING = (MANIFEST, LOCK, "rust-toolchain", "rust-toolchain.toml", "build.rs", "clippy.toml")
_MOST_READ = 64 << 20
_MOST_JOBS = 4
_DOC = re.compile(r"^(.*) \(doc(?: \d+)?\)$")

_RUN = r"""
packages=$1 targets=$2 filtered=$3
shift 3
if [ "$targets" = --doc ]; then
    exec cargo test --offline --no-fail-fast $packages --doc ${filtered:+--} "$@" 2>&1
fi
if cargo test --offline --no-run --message-format=json $packages $targets 2>&1; then
    exec cargo test --offline --no-fail-fast $packages $targets ${filtered:+--} "$@" 2>&1
fi
said=/tmp/cargo-build.json
cargo build --offline --tests --keep-going --message-format=json $packages > $said 2>&1
cat $said
export LD_LIBRARY_PATH="$(rustc --print sysroot)/lib:$(rustc --print target-libdir)"
text='"\([^"]*\)"'
fields='.*"manifest_path":'$text'.*"src_path":'$text'.*"test":true},"features".*"executable":'$text'.*'
sed -n "s/$fields/\1|\2|\3/p" $said | while IFS='|' read -r manifest source program; do
    printf '     Running %s (%s)\n' "$source" "$program"
    (cd "${manifest%/*}" && CARGO_MANIFEST_DIR="${manifest%/*}" "$program" "$@" < /dev/null) 2>&1 || printf \
        "error: test failed, to rerun pass it\n  process didn't exit successfully: (exit status: %s)\n" $?
done
[ "$filtered" ] || cargo test --offline --doc --no-fail-fast $packages 2>&1
"""
"""Compiles, then runs. If a target does not compile, the test programs of all others are run one by one, as cargo runs
none then."""
_PREPARE = """
from=$1
shift
if [ -d "$from/target" ] && ! [ -d "$TARGET" ]; then
    mkdir -p "${TARGET%/*}" && cp -rs "$from/target" "$TARGET" && cd "$from/target" &&
    find . -type f ! -name '*.rlib' ! -name '*.rmeta' ! -name '*.so' ! -name '*.a' -print0 |
    xargs -0 -r cp -p --parents --remove-destination -t "$TARGET"
fi
cd /workspace
for lock; do
    if [ -f "$from/locks/$lock" ]; then cp --remove-destination "$from/locks/$lock" "$lock"; fi
done
"""
"""Links libraries, which compilers replace, and copies the files that cargo writes to."""


class Rust:
    name = "rust"
    title = "Rust"
    suffixes: tuple[str, ...] = (".rs",)
    programs: tuple[str, ...] = ("cargo",)

    def is_test(self, path: str) -> bool:
        """Test code inside of other sources is told apart by `rust_inline_tests`."""
        return _TEST_FILE.search(path) is not None

    def steers(self, path: str) -> bool:
        name = path.rpartition("/")[2]
        return name in _STEERING or re.search(r"(^|/)(\.cargo/config|\.config/nextest)[^/]*$", path) is not None

    def find(self, tree: SourceTree) -> Needs | None:
        workspaces, left = find_workspaces(tree)
        if not any(workspace.members for workspace in workspaces) or not _has_tests(tree):
            return None
        vendored = [workspace.folder for workspace in workspaces if _is_vendored(tree, workspace.folder)]
        for workspace in workspaces:
            if workspace.folder not in vendored:
                refuse_unfetchable(tree, workspace)
        version, where = least_version(tree, workspaces)
        folders = tuple(workspace.folder for workspace in workspaces)
        locks = [joined(folder, LOCK) for folder in folders]
        files = [*manifests(tree), *(lock for lock in locks if tree.exists(lock))]
        notes = [f"{joined(folder, MANIFEST)} belongs to no workspace, so its tests are not run." for folder in left]
        return Needs(
            "rust", "cargo test", folders, tuple(files), version, where, tuple(notes[:5]),
            facts={
                "pin": pinned(tree, folders[0]),
                "vendored": vendored,
                "default": [workspace.folder for workspace in workspaces if workspace.has_default],
                "packages": {workspace.folder: [[one.folder, one.name, one.library] for one in workspace.members]
                             for workspace in workspaces},
            },
        )  # fmt: skip

    def toolchain(self, needs: Needs) -> Toolchain:
        return toolchain_for(needs)

    def base(self, needs: Needs) -> None:
        """Nothing is shared."""

    def registry(self, setting: str) -> Registry:
        return Registry((setting or _configured() or _INDEX).removeprefix("sparse+"), (_FILES,))

    def fetch(self, needs: Needs, step: FetchStep) -> None:
        rust = choose(needs)
        home = step.made / "cargo"
        home.mkdir(exist_ok=True)
        if step.registry.address.rstrip("/") != _INDEX.rstrip("/"):
            (home / "config.toml").write_text(_mirror(step.registry.address))
        variables = {"PATH": f"{rust.root}/bin:/usr/local/bin:/usr/bin:/bin", "CARGO_HOME": str(home),
                     "CARGO_REGISTRIES_CRATES_IO_PROTOCOL": "sparse", "CARGO_TERM_COLOR": "never",
                     "CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS": "fallback"}  # fmt: skip
        _write_stubs(needs, step.folder)
        for folder in needs.folders:
            if folder in needs.facts["vendored"]:
                continue
            lock = step.folder / joined(folder, LOCK)
            before = lock.read_bytes() if lock.is_file() else None
            if numbers(rust.version) < _SPARSE and _has_packages(before, needs, step.folder):
                place = joined(folder, MANIFEST)
                missing = f"packages of crates.io ({place}), whose index Rust {rust.version} reads from git alone"
                raise EnvironmentRefused(missing, "Install Rust 1.68 or newer.")
            command = ["cargo", "fetch", "--target", rust.host]
            try:
                step.run([*command, *(["--locked"] if before is not None else [])], variables, folder)
            except FetchFailed as failure:
                if before is None or failure.unreachable or "--locked" not in str(failure).partition("failed:")[2]:
                    raise
                step.run(command, variables, folder)
            if lock.is_file() and lock.read_bytes() != before:
                kept = step.made / "locks" / joined(folder, LOCK)
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(lock, kept)

    def build(self, needs: Needs, step: BuildStep) -> None:
        failed: BuildFailed | None = None
        for folder in needs.folders:
            try:
                step.run(["cargo", "test", "--offline", "--no-run", *_everything(needs, folder)], {}, folder)
            except BuildFailed as failure:
                failed = failure
        for folder in needs.folders:
            own = [part for _, name, _ in needs.facts["packages"][folder] for part in ("-p", name)]
            step.run(["cargo", "clean", "--offline", *own], {}, folder)
        step.run(["/bin/sh", "-c", 'rm -rf "$1"/*/incremental "$1"/doc', "sh", _TARGET], {})
        step.keep(_TARGET, "target")
        if failed is not None:
            raise failed

    def variables(self, needs: Needs) -> Mapping[str, str]:
        return {"CARGO_HOME": _HOME, "CARGO_TARGET_DIR": f"{WORKSPACE}/{_TARGET}", "CARGO_NET_OFFLINE": "true",
                "CARGO_TERM_COLOR": "never", "CARGO_TERM_PROGRESS_WHEN": "never", "CARGO_PROFILE_DEV_DEBUG": "0",
                "RUSTC_WRAPPER": "", "CARGO_BUILD_JOBS": str(min(os.cpu_count() or 1, _MOST_JOBS))}  # fmt: skip

    def prepare(self, needs: Needs) -> Sequence[Sequence[str]]:
        locks = [joined(folder, LOCK) for folder in needs.folders]
        script = f"TARGET={WORKSPACE}/{_TARGET}\n{_PREPARE}"
        return [["/bin/sh", "-c", script, "sh", INSIDE, *locks]]

    def plans(self, needs: Needs, tests: Sequence[str], seconds: float) -> Sequence[TestPlan]:
        if not tests:
            return [_plan(folder, " ".join(_everything(needs, folder)), "", ()) for folder in needs.folders]
        chosen: dict[tuple[str, str, str], list[str]] = {}
        for test in tests:
            file, _, name = test.partition("::")
            folder, package, library = _package_of(needs, file)
            # By its manifest, as another package, which a test needs, may have the same name.
            whole = " ".join(_everything(needs, folder))
            place = whole if package is None else f"--manifest-path {WORKSPACE}/{joined(package, MANIFEST)}"
            found = _DOC.match(name)
            if found:
                item = "" if found[1] == "crate" else f"{found[1]} "
                chosen.setdefault((folder, place, "--doc"), []).append(f" - {item}(line ")
                continue
            inside = file.removeprefix(package or "").strip("/")
            targets = "" if package is None else _target(inside, library)
            names = chosen.setdefault((folder, place, targets), [])
            names.append("" if name.startswith("(") else name)
        return [_plan(folder, place, targets, () if "" in names else names)
                for (folder, place, targets), names in chosen.items()]  # fmt: skip

    def results(self, needs: Needs, ran: Ran, tree: SourceTree) -> list[TestCase]:
        folder = ran.plan.folder
        libraries = {library: at for at, _, library in needs.facts["packages"].get(folder, ()) if library}

        def source(path: str) -> str:
            if path.startswith(f"{WORKSPACE}/"):
                path = os.path.normpath(path.removeprefix(f"{WORKSPACE}/"))
            elif path and not path.startswith("/"):
                path = joined(folder, path)
            return "" if path.startswith(("/", "..", SCRATCH)) else path

        def doc(crate: str, path: str) -> str:
            place = joined(folder, path)
            return place if tree.exists(place) or crate not in libraries else joined(libraries[crate], path)

        places = Places(source, lambda file, name: _unit_file(tree, file, name), doc)
        return unique(cargo_cases(ran.output + b"\n" + ran.errors, joined(folder, MANIFEST), places))


def _has_tests(tree: SourceTree) -> bool:
    left = _MOST_READ
    for path in tree.paths:
        if path.endswith(".rs") and left > 0:
            text = tree.text(path) or ""
            left -= len(text)
            if _TEST.search(text):
                return True
    return False


def _is_vendored(tree: SourceTree, folder: str) -> bool:
    """Whether cargo's configuration for a folder replaces crates.io with a folder of the repository."""
    at = folder
    while True:
        for name in (".cargo/config.toml", ".cargo/config"):
            path = joined(at, name)
            try:
                sources = tomllib.loads(tree.text(path) or "").get("source") if tree.exists(path) else None
            except tomllib.TOMLDecodeError:
                continue
            named = sources.values() if isinstance(sources, dict) else ()
            if any(isinstance(one, dict) and "directory" in one for one in named):
                return True
        if not at:
            return False
        at = folder_of(at)


def _configured() -> str:
    """The mirror of crates.io that cargo's own configuration on this machine names."""
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    for name in ("config.toml", "config"):
        try:
            sources = tomllib.loads((home / name).read_text()).get("source", {})
            mirror = sources[sources["crates-io"]["replace-with"]]["registry"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(mirror, str) and urlsplit(mirror.removeprefix("sparse+")).scheme in ("http", "https"):
            return mirror
    return ""


def _mirror(address: str) -> str:
    address = address if address.endswith("/") else f"{address}/"
    quoted = address.replace("\\", "").replace('"', "")
    return f'[source.crates-io]\nreplace-with = "mirror"\n\n[source.mirror]\nregistry = "sparse+{quoted}"\n'


def _write_stubs(needs: Needs, folder: Path) -> None:
    for path in needs.files:
        if not path.endswith(MANIFEST):
            continue
        try:
            manifest = tomllib.loads((folder / path).read_text(errors="replace"))
        except (tomllib.TOMLDecodeError, OSError):
            continue
        for stub in stubs(manifest):
            place = (folder / path).parent / stub
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()


def _has_packages(lock: bytes | None, needs: Needs, folder: Path) -> bool:
    """Whether anything is to be fetched, as far as is known."""
    if lock is not None:
        return b"\nsource = " in lock
    return any("dependencies" in (folder / path).read_text(errors="replace") for path in needs.files)


def _everything(needs: Needs, folder: str) -> list[str]:
    return [] if folder in needs.facts["default"] else ["--workspace"]


def _plan(folder: str, packages: str, targets: str, names: Sequence[str]) -> TestPlan:
    exact = [] if targets == "--doc" or not names else ["--exact"]
    command = ("/bin/sh", "-c", _RUN, "sh", packages, targets, "yes" if names else "", *exact, *dict.fromkeys(names))
    return TestPlan(command, folder)


def _package_of(needs: Needs, file: str) -> tuple[str, str | None, str]:
    """The workspace of a file, and the folder (None where it is in none) and library of its package."""
    found = [(at, folder, name, library) for folder, packages in needs.facts["packages"].items()
             for at, name, library in packages if not at or file.startswith(f"{at}/")]  # fmt: skip
    if not found:
        return next((one for one in needs.folders if not one or file.startswith(f"{one}/")), needs.folders[0]), None, ""
    at, folder, _, library = max(found, key=lambda one: len(one[0]))
    return folder, at if re.fullmatch(r"[\w./-]*", at) else None, library


def _target(file: str, library: str) -> str:
    """The targets of a package that a file of it belongs to, as arguments; empty for any."""
    if found := re.match(r"tests/([\w-]+)(?:\.rs$|/)", file):
        return f"--test {found[1]}"
    if file.startswith("src/bin/") or (file.startswith("src/") and not library):
        return "--bins"
    return "--lib --bins" if file.startswith("src/") else ""


def _unit_file(tree: SourceTree, source: str, name: str) -> str:
    """The file of the innermost module that a test's name says, found as rustc does; `path` attributes are not read."""
    stem = source.rpartition("/")[2].removesuffix(".rs")
    folder = folder_of(source)
    found = source
    for module in name.split("::")[:-1]:
        inner = [f"{folder}/{module}.rs".lstrip("/"), f"{folder}/{module}/mod.rs".lstrip("/")]
        at = next((path for path in inner if tree.exists(path) and path != source), None)
        if at is None:
            break
        found, folder = at, f"{folder}/{module}".lstrip("/")
    return found if stem else source
