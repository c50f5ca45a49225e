"""Go: `go mod download` fetches, `go test -json` runs. The module cache is read-only, the build cache linked."""

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sandbox.environments.wanted import EnvironmentRefused
from sandbox.protocol import Mount
from sandbox.reports import TestCase, unique
from sandbox.reports.go_test import go_cases

from .protocol import INSIDE, SCRATCH, Base, BuildStep, FetchStep, Needs, Ran, Registry, TestPlan, Toolchain
from .tree import SourceTree, folder_of

_PROXY = "https://proxy.golang.org"
_MOST_MODULES = 20
_LEFT_OUT = re.compile(r"(^|/)(vendor|testdata|_[^/]*|\.[^/]*)/")
_SECONDS = 20.0
_GOPATH = "/tmp/go"  # noqa: S108 - a path inside the sandbox
_CACHE = f"{SCRATCH}/go-build"
_STANDARD = """
set -e
{
    printf 'package std\\n\\nimport (\\n\\t"testing"\\n'
    go list std | grep -vE '(^|/)(internal|vendor)(/|$)|^(builtin|testing|unsafe)$' | sed 's/.*/\\t_ "&"/'
    printf ')\\n\\nfunc TestNothing(t *testing.T) {}\\n'
} > std_test.go
go test -run '^$' -exec /bin/true .
"""
_WHOLE_TEST = re.compile(r"[A-Za-z_]\w*")
_TEST = re.compile(r"^func (?:Test|Example|Fuzz|Benchmark)\w*", re.MULTILINE)


class Go:
    name = "go"
    title = "Go"
    suffixes: tuple[str, ...] = (".go",)
    programs: tuple[str, ...] = ("go",)

    def is_test(self, path: str) -> bool:
        return path.endswith("_test.go") or re.search(r"(^|/)testdata/", path) is not None

    def steers(self, path: str) -> bool:
        return path.rpartition("/")[2] in ("go.mod", "go.sum", "go.work", "go.work.sum")

    def find(self, tree: SourceTree) -> Needs | None:
        modules = [path for path in tree.named("go.mod") if not _LEFT_OUT.search(path)][:_MOST_MODULES]
        if not modules or not any(path.endswith("_test.go") and not _LEFT_OUT.search(path) for path in tree.paths):
            return None
        folders = tuple(folder_of(path) for path in modules)
        texts = {path: tree.text(path) or "" for path in modules}
        _refuse_local(texts, tree)
        declared = [(version, path) for path, text in texts.items() if (version := _go_version(text))]
        version, where = max(declared, key=lambda item: _numbers(item[0]), default=("", ""))
        files = [*modules, *(f"{folder}/{name}".lstrip("/") for folder in folders for name in ("go.sum", "go.work",
                 "go.work.sum", "vendor/modules.txt"))]  # fmt: skip
        return Needs(
            "go", "go test", folders, tuple(path for path in files if tree.exists(path)), version, where,
            facts={"vendored": [f for f in folders if tree.exists(f"{f}/vendor/modules.txt".lstrip("/"))]},
        )  # fmt: skip

    def toolchain(self, needs: Needs) -> Toolchain:
        found = _installed()
        if found is None:
            wanted = f"Go {needs.version}".strip() + f" ({needs.version_from or needs.files[0]})"
            raise EnvironmentRefused(f"{wanted}, and there is no `go` on this machine",
                                     "Install it (https://go.dev/dl, or the package golang-go).")  # fmt: skip
        root, version = found
        if needs.version and _numbers(version) < _numbers(needs.version):
            raise EnvironmentRefused(f"Go {needs.version} ({needs.version_from}), and this machine has {version}",
                                     f"Install Go {needs.version} or newer.")  # fmt: skip
        mounts = () if root.is_relative_to("/usr") else (Mount(root, str(root)),)
        path = f"{root}/bin:/usr/local/bin:/usr/bin:/bin"
        return Toolchain(version, mounts, {"PATH": path, "GOROOT": str(root), "GOTOOLCHAIN": "local"}, (root,))

    def base(self, needs: Needs) -> Base:
        """The standard library, compiled and vetted: most of the time of a first build."""
        return Base({"go.mod": "module penstock.invalid/std\n\ngo 1.18\n"}, ("/bin/sh", "-c", _STANDARD), _CACHE,
                    "go-build")  # fmt: skip

    def registry(self, setting: str) -> Registry:
        address = setting or os.environ.get("GOPROXY", "").split(",")[0].split("|")[0]
        address = address if address.startswith(("https://", "http://")) else _PROXY
        return Registry(address, ("sum.golang.org",))

    def fetch(self, needs: Needs, step: FetchStep) -> None:
        (step.made / "mod").mkdir(exist_ok=True)
        variables = {"GOMODCACHE": str(step.made / "mod"), "GOPROXY": step.registry.address, "GOVCS": "*:off",
                     "GOFLAGS": "-mod=mod -modcacherw", "GOWORK": "off", "GOPATH": _GOPATH,
                     "GOCACHE": f"{_GOPATH}-build", "GOENV": "off"}  # fmt: skip
        for folder in needs.folders:
            if folder not in needs.facts["vendored"]:
                step.run(["go", "mod", "download"], variables, folder)
        shutil.rmtree(step.made / "mod" / "cache" / "vcs", ignore_errors=True)

    def build(self, needs: Needs, step: BuildStep) -> None:
        for folder in needs.folders:
            # Compiles and links each package's tests, and runs `true` in their place.
            step.run(["go", "test", "-run", "^$", "-exec", "/bin/true", "./..."], {}, folder)
        step.add(_CACHE, "go-build")

    def variables(self, needs: Needs) -> Mapping[str, str]:
        return {"GOMODCACHE": f"{INSIDE}/mod", "GOPROXY": "off", "GOSUMDB": "off", "GOENV": "off", "GOPATH": _GOPATH,
                "GOCACHE": f"/workspace/{_CACHE}", "GOFLAGS": "-buildvcs=false", "GOTELEMETRY": "off"}  # fmt: skip

    def prepare(self, needs: Needs) -> Sequence[Sequence[str]]:
        script = 'if [ -d "$1" ] && ! [ -d "$2" ]; then mkdir -p "${2%/*}" && cp -rs "$1" "$2"; fi'
        return [["/bin/sh", "-c", script, "sh", f"{INSIDE}/go-build", _CACHE]]

    def plans(self, needs: Needs, tests: Sequence[str], seconds: float) -> Sequence[TestPlan]:
        options = ["-json", "-count=1", f"-timeout={max(1, int(seconds))}s"]
        if not tests:
            return [TestPlan(("go", "test", *options, "./..."), folder) for folder in needs.folders]
        chosen: dict[str, set[str]] = {}
        for test in tests:
            place, _, name = test.partition("::")
            package = folder_of(place) if place.endswith(".go") else place
            chosen.setdefault(package, set()).add(name.split("/")[0])
        found = []
        for package, names in chosen.items():
            known = sorted(name for name in names if _WHOLE_TEST.fullmatch(name))
            run = ["-run", f"^({'|'.join(known)})$"] if len(known) == len(names) else []
            module = module_of(needs.folders, package)
            inside = package.removeprefix(module).strip("/")
            found.append(TestPlan(("go", "test", *options, *run, f"./{inside}" if inside else "."), module))
        return found

    def results(self, needs: Needs, ran: Ran, tree: SourceTree) -> list[TestCase]:
        paths = dict(_import_paths(needs, tree))
        files: dict[str, dict[str, str]] = {}

        def place(package: str, test: str) -> str:
            folder = next((f"{at}/{package.removeprefix(name).lstrip('/')}".strip("/") for name, at in paths.items()
                           if package == name or package.startswith(f"{name}/")), package)  # fmt: skip
            if not test:
                return folder or "."
            if folder not in files:
                files[folder] = dict(_tests_in(folder, tree))
            return files[folder].get(test.split("/")[0], folder or ".")

        return unique(go_cases(ran.output, ran.errors, place))


def _go_version(text: str) -> str:
    found = re.search(r"^go\s+(\d+\.\d+(?:\.\d+)?)\s*(?://.*)?$", text, re.MULTILINE)
    return found[1] if found else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _refuse_local(texts: Mapping[str, str], tree: SourceTree) -> None:
    """Refuses `replace` directives that name a folder outside the repository."""
    for path, text in texts.items():
        for target in re.findall(r"=>\s*(\.{1,2}/\S*|/\S*)", text):
            place = os.path.normpath(f"{folder_of(path)}/{target}" if not target.startswith("/") else target)
            if place.startswith(("..", "/")):
                raise EnvironmentRefused(f"a module, {target} outside the repository, which {path} names (replace)",
                                         "Name a released version of it there.")  # fmt: skip


def module_of(folders: Sequence[str], package: str) -> str:
    """The innermost module that holds a package's folder."""
    inside = [folder for folder in folders if not folder or package == folder or package.startswith(f"{folder}/")]
    return max(inside, key=len, default="")


def _import_paths(needs: Needs, tree: SourceTree) -> Iterator[tuple[str, str]]:
    """The import path and the folder of each module, the innermost first."""
    for folder in sorted(needs.folders, key=len, reverse=True):
        text = tree.text(f"{folder}/go.mod".lstrip("/")) or ""
        found = re.search(r'^module\s+"?([^\s"]+)', text, re.MULTILINE)
        if found:
            yield found[1], folder


def _tests_in(folder: str, tree: SourceTree) -> Iterator[tuple[str, str]]:
    """The file of each test function of a package."""
    for path in tree.paths:
        if folder_of(path) == folder and path.endswith("_test.go"):
            for match in _TEST.findall(tree.text(path) or ""):
                yield match.removeprefix("func "), path


@functools.cache
def _installed() -> tuple[Path, str] | None:
    """The root of the newest Go on this machine, and its version."""
    usual = ("/usr/local/go/bin/go", "/usr/lib/go/bin/go", *map(str, Path("/usr/lib").glob("go-*/bin/go")))
    alone = {"PATH": os.defpath, "HOME": "/nonexistent", "GOENV": "off", "GOTOOLCHAIN": "local",
             "GOCACHE": "/nonexistent"}  # fmt: skip
    found = []
    for place in dict.fromkeys(place for place in (shutil.which("go"), *usual) if place and Path(place).is_file()):
        try:
            done = subprocess.run([place, "env", "GOROOT", "GOVERSION"], capture_output=True, text=True, check=True,
                                  timeout=_SECONDS, cwd="/", env=alone)  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            continue
        lines = done.stdout.split()
        if len(lines) == 2 and Path(lines[0]).is_dir():
            found.append((Path(lines[0]).resolve(), lines[1].removeprefix("go")))
    return max(found, key=lambda item: _numbers(item[1]), default=None)
