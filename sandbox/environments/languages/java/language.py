"""Java, built and tested by Maven: `Resolve.java` resolves packages, and Maven itself runs in the sandbox alone."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandbox.environments.languages.protocol import (
    BuildFailed,
    BuildStep,
    FetchStep,
    Needs,
    PackagesMissing,
    Ran,
    Registry,
    TestPlan,
    Toolchain,
)
from sandbox.environments.languages.tree import SourceTree, folder_of
from sandbox.environments.wanted import EnvironmentRefused, FetchFailed
from sandbox.protocol import Mount
from sandbox.reports import TestCase, unique

from . import maven as offline
from . import newer_maven
from .choice import USUAL, chosen_jdk
from .machine import Maven, jdks, maven
from .poms import Project, active, maven_configuration, parsed, preferred_jdk, reactor
from .releases import Releases, releases_by_jdk
from .reports import Sources, test_cases

_CENTRAL = "https://repo.maven.apache.org/maven2"
_RESOLVE = Path(__file__).with_name("Resolve.java")
_MOST_BUILDS = 5
_MOST_TRIED = 60
"""Test classes that are run, one for each project, to see that everything is there."""
_IGNORED = re.compile(r"(^|/)(src/(?!test/)[^/]+|src/test/resources|target|node_modules|testdata|test-data)/")
_SOURCE = re.compile(r"\.(?:java|kt|groovy|scala)$")
_TEST_FOLDER = re.compile(r"(^|/)src/test/(?!resources/)|(^|/)tests?/")
_TEST_NAME = re.compile(r"(?:^Test\w*|\w*(?:Test|Tests|TestCase|Spec))\.(?:java|kt|groovy|scala)$")
_OF_TESTS = re.compile(r"(^|/)src/(?:it|\w*[tT]est\w*)/")
_STEERING = frozenset({
    "pom.xml", "build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts", "gradle.properties",
    "gradle-wrapper.properties", "testng.xml", "junit-platform.properties", "toolchains.xml", ".sdkmanrc",
})  # fmt: skip
_METHOD = re.compile(r"[A-Za-z_]\w*")
_FRESH = (".lastUpdated", ".sha1", ".md5", ".sha256", ".sha512", "_remote.repositories", "resolver-status.properties")
"""Ends of the names of files that say where and when something was fetched, for which Maven would ask again."""


class Java:
    name = "java"
    title = "Java"
    suffixes: tuple[str, ...] = (".java", ".kt", ".groovy", ".scala")
    programs: tuple[str, ...] = ("mvn", "mvnw")

    def is_test(self, path: str) -> bool:
        return _OF_TESTS.search(path) is not None or _TEST_NAME.match(path.rpartition("/")[2]) is not None

    def steers(self, path: str) -> bool:
        return path.rpartition("/")[2] in _STEERING or "/.mvn/" in f"/{path}"

    def find(self, tree: SourceTree) -> Needs | None:
        builds = _builds(tree)
        if not builds:
            return _of_gradle(tree)
        projects = {path: project for build in builds for path, project in reactor(build, tree).items()}
        files = list(projects)
        own = [f"{project.group}:{project.artifact}:{'' if '${' in project.version else project.version}"
               for project in projects.values()]  # fmt: skip
        facts: dict[str, Any] = {"poms": list(projects), "own": own, "builds": {}}
        for build in builds:
            configuration = maven_configuration(folder_of(build), tree)
            files += configuration.files
            plain = active(build, projects)
            facts["builds"][folder_of(build)] = {
                "holder": configuration.folder, "defines": configuration.defines, "profiles": configuration.profiles,
                "extensions": configuration.extensions,
                "projects": {folder_of(path): projects[path].artifact for path in projects if path in plain},
            }  # fmt: skip
        releases = releases_by_jdk(projects)
        usual = [one for one in releases if one.since <= USUAL][-1]
        facts |= {"releases": [asdict(one) for one in releases], "tried": _tried(projects, tree),
                  "preferred": preferred_jdk(folder_of(builds[0]), tree)}  # fmt: skip
        return Needs("java", "maven surefire", tuple(map(folder_of, builds)), tuple(dict.fromkeys(files)),
                     str(usual.needed or ""), usual.needed_from, facts=facts)  # fmt: skip

    def toolchain(self, needs: Needs) -> Toolchain:
        facts = needs.facts
        if needs.runner == "gradle":
            raise EnvironmentRefused(f"a build by Gradle ({needs.files[0]}), and only those by Maven are run",
                                     "Add a pom.xml, or name the tests with `test` in penstock.toml.")  # fmt: skip
        jdk = chosen_jdk([Releases(**one) for one in facts["releases"]], int(facts["preferred"]))
        found = _installed_maven(needs.files[0])
        outside = [home for home in (jdk.home, found.home) if not home.is_relative_to("/usr")]
        variables = {"JAVA_HOME": str(jdk.home), "PATH": f"{jdk.home}/bin:/usr/local/bin:/usr/bin:/bin",
                     "MAVEN_HOME": str(found.home)}  # fmt: skip
        return Toolchain(f"JDK {jdk.version}, Maven {found.version}", tuple(Mount(home, str(home)) for home in outside),
                         variables, (jdk.home, found.home))  # fmt: skip

    def base(self, needs: Needs) -> None:
        """Nothing is shared."""

    def registry(self, setting: str) -> Registry:
        return Registry((setting or _mirror() or _CENTRAL).rstrip("/"), ())

    def fetch(self, needs: Needs, step: FetchStep) -> None:
        toolchain = self.toolchain(needs)
        jdk = next(jdk for jdk in jdks() if str(jdk.home) == toolchain.variables["JAVA_HOME"])
        local = step.made / "m2"
        local.mkdir(exist_ok=True)
        lines = [f"registry\t{step.registry.address}", f"local\t{local}",
                 f"java\t{jdk.version}"]  # fmt: skip
        for build in needs.facts["builds"].values():
            lines += [f"define\t{define}" for define in build["defines"]]
            lines += [f"activate\t{profile}" for profile in build["profiles"]]
            lines += [f"extension\t{extension}" for extension in build["extensions"] if not step.wanted]
        lines += step.wanted or [f"pom\t{step.folder / path}" for path in needs.facts["poms"]]
        (step.folder / "request").write_text("".join(f"{line}\n" for line in lines if "\n" not in line))
        (step.folder / _RESOLVE.name).write_bytes(_RESOLVE.read_bytes())
        classes = f"{toolchain.variables['MAVEN_HOME']}/lib/*:{toolchain.variables['MAVEN_HOME']}/boot/*"
        try:
            said = step.run([f"{jdk.home}/bin/java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
                             "--class-path", classes, _RESOLVE.name, "request"], {})  # fmt: skip
        except FetchFailed as failure:
            raise FetchFailed(
                str(failure), unreachable=failure.unreachable or "UNREACHABLE" in str(failure)
            ) from failure
        lacking = [tuple(line.split("\t")[1:]) for line in said.splitlines() if line.startswith("MISSING\t")]
        known = _read(step.made / "lacking.json")
        (step.made / "lacking.json").write_text(json.dumps([*known, *lacking][:500]))
        newer_maven.unpack(local, step.made)
        for path in local.rglob("*"):
            if path.name.endswith(_FRESH):
                path.unlink()
        for name, text in offline.files(_installed_maven(needs.files[0]), jdks()).items():
            (step.made / name).parent.mkdir(exist_ok=True)
            (step.made / name).write_text(text)

    def build(self, needs: Needs, step: BuildStep) -> None:
        failed = self._tried(needs, step, "test")
        if defines := raising(needs, failed):
            kept = {"defines": " ".join(defines)}
            step.run(offline.keeping(kept), {})
            step.keep(offline.KEPT, "build")
            step.note(f"No JDK of this machine compiles for a release of Java that this build names: {kept['defines']} "
                      "is given to it.")  # fmt: skip
            failed = self._tried(needs, step, "test")
        if failed and len(needs.facts["poms"]) > 1:
            # A project may need another as an archive, which later phases make.
            later = self._tried(needs, step, "package")
            if len(later) < len(failed):
                step.run(offline.keeping({"phase": "package"}), {})
                step.keep(offline.KEPT, "build")
                failed = later
        if failed:
            raise BuildFailed("; ".join(failed))

    def _tried(self, needs: Needs, step: BuildStep, phase: str) -> list[str]:
        """Runs one test class of each project; returns why projects cannot be built. Raises `PackagesMissing`."""
        failed: list[str] = []
        wanted: list[str] = []
        tested = False
        for folder, build in needs.facts["builds"].items():
            command = offline.command(build["holder"], *offline.selecting(needs.facts["tried"]), phase=phase)
            said = step.run(["/bin/sh", "-c", '"$@" 2>&1 || true', "sh", *command], {}, folder)
            wanted += [one for one in offline.missing(said) if not _is_own(one, needs.facts["own"])]
            tested = tested or offline.has_tested(said)
            failed += offline.failures(said) or ([] if "BUILD SUCCESS" in said else [said[-900:]])
        if wanted:
            raise PackagesMissing(list(dict.fromkeys(wanted)), needed=not tested)
        return failed

    def variables(self, needs: Needs) -> Mapping[str, str]:
        # JAVA_TOOL_OPTIONS would reach javac as well, and what it says of it is an error for plugins that start javac.
        return {"JDK_JAVA_OPTIONS": "-XX:MaxRAM=4g", "LC_ALL": "C.UTF-8"}

    def prepare(self, needs: Needs) -> Sequence[Sequence[str]]:
        script = 'if ! [ -e "$2" ]; then mkdir -p "${2%/*}" && cp -rs "$1" "$2"; fi'
        return [["/bin/sh", "-c", script, "sh", offline.FETCHED, offline.REPOSITORY]]

    def plans(self, needs: Needs, tests: Sequence[str], seconds: float) -> Sequence[TestPlan]:
        found = []
        for folder, build in needs.facts["builds"].items():
            options: list[str] = []
            if tests:
                inside = [test for test in tests if not folder or test.startswith(f"{folder}/")]
                if not inside:
                    continue
                options = _selected(inside, folder, build["projects"])
            reports = (f"{folder}/*target/*surefire*/TEST-*.xml".lstrip("/"),)
            found.append(TestPlan(offline.command(build["holder"], *options), folder, {}, reports))
        return found

    def results(self, needs: Needs, ran: Ran, tree: SourceTree) -> list[TestCase]:
        projects = {artifact: folder for build in needs.facts["builds"].values()
                    for folder, artifact in build["projects"].items()}  # fmt: skip
        return unique(test_cases(ran, projects, Sources(tree)))


def _installed_maven(asking: str) -> Maven:
    """Raises `EnvironmentRefused`; `asking` is the POM that needs it."""
    found = maven()
    if found is None:
        raise EnvironmentRefused(f"Maven 3 ({asking}), which is not on this machine",
                                 "Install it (https://maven.apache.org, or the package maven).")  # fmt: skip
    return found


def raising(needs: Needs, failed: Sequence[str]) -> list[str]:
    """Options by which a build compiles for a newer release, where javac says that its own is too old for it."""
    if not any(map(offline.is_too_old, failed)):
        return []
    old = max(jdk.oldest for jdk in jdks())
    named = {name for one in needs.facts["releases"] for name, level in one["properties"].items() if level < old}
    return [f"-D{name}={old}" for name in sorted({"maven.compiler.source", "maven.compiler.target", *named})]


def _is_own(wanted: str, own: Sequence[str]) -> bool:
    """Whether what Maven lacks is a project of the repository; `own` are G:A:V, V empty where it is not known."""
    kind, _, coordinates = wanted.partition("\t")
    parts = coordinates.split(":")
    return kind != "maven" and any(f"{parts[0]}:{parts[1]}:{version}" in own for version in ("", parts[-1]))


def _of_gradle(tree: SourceTree) -> Needs | None:
    """A build of the root by Gradle, which is refused when its tests are to be run."""
    builds = [name for name in ("build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts")
              if tree.exists(name)]  # fmt: skip
    if not builds or not any(_TEST_FOLDER.search(path) and _TEST_NAME.match(path.rpartition("/")[2])
                             for path in tree.paths if _SOURCE.search(path)):  # fmt: skip
        return None
    return Needs("java", "gradle", ("",), tuple(builds))


def _builds(tree: SourceTree) -> list[str]:
    """The POMs of the builds that have tests: that of the root, else those that are part of no other."""
    poms = [path for path in tree.named("pom.xml") if not _IGNORED.search(path)]
    found: list[str] = []
    reached: set[str] = set()
    for path in poms:
        if path in reached or len(found) >= _MOST_BUILDS:
            continue
        projects = reactor(path, tree)
        reached |= set(projects)
        if any(True for project in projects.values() for _ in _tests_of(project, tree)):
            found.append(path)
            if path == "pom.xml":
                break
    return found


def _tests_of(project: Project, tree: SourceTree) -> Iterator[str]:
    prefix = f"{project.folder}/".lstrip("/")
    for path in tree.paths:
        inside = path.startswith(prefix) and _TEST_FOLDER.search(path[len(prefix) :])
        if inside and _SOURCE.search(path) and _TEST_NAME.match(path.rpartition("/")[2]):
            yield path


def _tried(projects: Mapping[str, Project], tree: SourceTree) -> list[str]:
    """The smallest test class of each project."""
    found = []
    for project in projects.values():
        own = [path for path in _tests_of(project, tree)
               if not any(other != project.folder and path.startswith(f"{other}/") and len(other) > len(project.folder)
                          for other in (one.folder for one in projects.values()))]  # fmt: skip
        if own:
            smallest = min(own, key=lambda path: (len(tree.content(path) or b""), path))
            found.append(_class_of(smallest))
    return list(dict.fromkeys(found))[:_MOST_TRIED]


def _class_of(path: str) -> str:
    """The name of the class in a file, as far as its path says it."""
    inside = re.sub(r"^.*(?:^|/)src/[\w-]*[tT]est[\w-]*/(?:java|kotlin|groovy|scala)/", "", path)
    if inside == path:
        inside = path.rpartition("/")[2]
    return _SOURCE.sub("", inside).replace("/", ".")


def _selected(tests: Sequence[str], folder: str, projects: Mapping[str, str]) -> list[str]:
    """Options for these tests, in the projects that they belong to and those that these need."""
    classes: dict[str, set[str]] = {}
    modules = set()
    whole = False
    for test in tests:
        place, _, name = test.partition("::")
        inside = [one for one in projects if not one or place == one or place.startswith(f"{one}/")]
        modules.add(max(inside, key=len, default=folder))
        if _SOURCE.search(place):
            classes.setdefault(_class_of(place), set()).add(name)
        else:
            whole = True  # it is about a project itself
    options: list[str] = []
    if modules <= set(projects) and folder not in modules:
        names = sorted(module.removeprefix(folder).strip("/") for module in modules)
        options += ["-pl", ",".join(names), "-am"]
    if whole:
        return options
    chosen = []
    for name, methods in sorted(classes.items()):
        plain = {found[0] for method in methods if (found := _METHOD.match(method)) and _whole(method, found[0])}
        chosen.append(f"{name}#{'+'.join(sorted(plain))}" if methods and len(plain) == len(methods) else name)
    return [*options, *offline.selecting(chosen)]


def _whole(method: str, start: str) -> bool:
    """Whether a name is that of a method, perhaps with parameters."""
    return method == start or method[len(start)] in "([{"


def _mirror() -> str:
    """The mirror of Central in the user's or Maven's own settings."""
    places = [Path("~/.m2/settings.xml").expanduser()]
    found = maven()
    if found is not None:
        places.append(found.home / "conf" / "settings.xml")
    for place in places:
        if not place.is_file() or not os.access(place, os.R_OK):
            continue
        try:
            root = parsed(place.read_bytes(), str(place))
        except EnvironmentRefused:
            continue
        for mirror in root.iterfind("mirrors/mirror"):
            of = {part.strip() for part in (mirror.findtext("mirrorOf") or "").split(",")}
            address = (mirror.findtext("url") or "").strip()
            if of & {"*", "central", "external:*"} and address.startswith(("https://", "http://")):
                return address
    return ""


def _read(path: Path) -> list[Any]:
    return list(json.loads(path.read_text())) if path.is_file() else []
