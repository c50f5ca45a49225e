"""Reads POMs as data: the projects of a build, the versions of Java that they name, and what `.mvn` configures."""

import posixpath
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sandbox.environments.languages.tree import SourceTree, folder_of
from sandbox.environments.wanted import EnvironmentRefused

from .machine import major_of

_MOST_PROJECTS = 500
_COMPILER = ("release", "source", "target", "testRelease", "testSource", "testTarget")


@dataclass
class Project:
    """One POM. `modules` are paths of POMs; those of profiles, which may not be active, are in `optional`. `levels` are
    the releases of Java that it compiles for, as they are written, `least` the oldest JDK that it allows. `for_jdk` are
    properties of profiles that are active with some JDKs alone, each after the JDKs as `<jdk>` names them."""

    path: str
    group: str
    artifact: str
    version: str = ""
    modules: list[str] = field(default_factory=list)
    optional: list[str] = field(default_factory=list)
    parent: str = ""
    properties: dict[str, str] = field(default_factory=dict)
    levels: list[str] = field(default_factory=list)
    least: str = ""
    for_jdk: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def folder(self) -> str:
        return folder_of(self.path)


def read_pom(path: str, tree: SourceTree) -> Project:
    """Raises `EnvironmentRefused` for what is not XML, or declares entities."""
    root = parsed(tree.content(path) or b"", path)
    parent = root.find("parent")
    project = Project(path, _text(root, "groupId") or _text(parent, "groupId"), _text(root, "artifactId"),
                      _text(root, "version") or _text(parent, "version"))  # fmt: skip
    folder = folder_of(path)
    for holder, into in [(root, project.modules), *((one, project.optional) for one in root.iterfind(".//profile"))]:
        for module in [*holder.iterfind("modules/module"), *holder.iterfind("subprojects/subproject")]:
            into.extend(_pom_at(folder, module.text or "", tree))
    if parent is not None:
        relative = parent.find("relativePath")
        where = "../pom.xml" if relative is None else (relative.text or "").strip()
        project.parent = next(iter(_pom_at(folder, where, tree)), "") if where else ""
    for properties in root.iterfind("properties"):
        project.properties = _properties(properties)
    for profile in root.iterfind("profiles/profile"):
        if wanted := profile.findtext("activation/jdk"):
            project.for_jdk += [(wanted, _properties(one)) for one in profile.iterfind("properties")]
    for name in _COMPILER:
        if project.properties.get(f"maven.compiler.{name}"):
            project.levels.append(f"${{maven.compiler.{name}}}")
    for plugin in root.iterfind(".//plugin"):
        if _text(plugin, "artifactId") == "maven-compiler-plugin":
            project.levels += [text for name in _COMPILER for one in plugin.iter(name) if (text := one.text)]
    for rule in root.iterfind(".//requireJavaVersion/version"):
        project.least = rule.text or ""
    return project


def _properties(element: ET.Element) -> dict[str, str]:
    return {one.tag: (one.text or "").strip() for one in element if isinstance(one.tag, str)}


def parsed(content: bytes, path: str) -> ET.Element:
    """An XML document without its namespaces. Raises `EnvironmentRefused`."""
    try:
        if b"<!ENTITY" in content.replace(b"\0", b""):
            raise ValueError("it declares entities")
        root = ET.fromstring(content)  # noqa: S314 - it declares no entities
    except (ET.ParseError, ValueError, LookupError) as error:
        raise EnvironmentRefused(f"what {path} declares, which cannot be read: {error}",
                                 f"Make {path} valid XML without entities.") from error  # fmt: skip
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
    return root


def _text(element: ET.Element | None, name: str) -> str:
    return "" if element is None else (element.findtext(name) or "").strip()


def _pom_at(folder: str, relative: str, tree: SourceTree) -> Iterator[str]:
    place = posixpath.normpath(posixpath.join(folder, relative.strip()))
    if place.startswith(("..", "/")):
        return
    place = "" if place == "." else place
    yield from (path for path in (place, f"{place}/pom.xml".lstrip("/")) if path and tree.exists(path))


def reactor(path: str, tree: SourceTree) -> dict[str, Project]:
    """The project at `path` with its modules, and their parents in the repository, by path."""
    found: dict[str, Project] = {}
    waiting = [path]
    while waiting and len(found) < _MOST_PROJECTS:
        at = waiting.pop(0)
        if at not in found:
            found[at] = project = read_pom(at, tree)
            waiting += [*project.modules, *project.optional, *filter(None, [project.parent])]
    return found


def active(path: str, projects: Mapping[str, Project]) -> set[str]:
    """The projects that are built without any profile, by path."""
    found: set[str] = set()
    waiting = [path]
    while waiting:
        at = waiting.pop()
        if at in projects and at not in found:
            found.add(at)
            waiting += projects[at].modules
    return found


def interpolated(text: str, properties: Mapping[str, str]) -> str:
    for _ in range(8):
        found = re.search(r"\$\{([^${}]+)\}", text)
        if found is None or found[1] not in properties:
            break
        text = text.replace(found[0], properties[found[1]])[:1000]
    return text.strip()


def preferred_jdk(folder: str, tree: SourceTree) -> int:
    """The version that files of version managers name for this folder; 0 for none."""
    for name, pattern in ((".java-version", r"^\D*?(\d[\d.]*)"), (".sdkmanrc", r"^java=(\d[\d.]*)"),
                          (".tool-versions", r"^java\s+\D*?(\d[\d.]*)")):  # fmt: skip
        for path in dict.fromkeys((f"{folder}/{name}".lstrip("/"), name)):
            found = re.search(pattern, tree.text(path) or "", re.MULTILINE)
            if found:
                return major_of(found[1])
    return 0


@dataclass(frozen=True)
class MavenConfiguration:
    """What `.mvn` says: the folder that holds it, `defines` and `profiles` of maven.config, and the coordinates of core
    extensions."""

    folder: str
    defines: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def maven_configuration(folder: str, tree: SourceTree) -> MavenConfiguration:
    """That of the innermost folder with `.mvn` around a build, as Maven takes it."""
    at, above = folder, [folder]
    while at:
        at = folder_of(at)
        above.append(at)
    holder = next((one for one in above if any(p.startswith(f"{one}/.mvn/".lstrip("/")) for p in tree.paths)), folder)
    base = f"{holder}/.mvn/".lstrip("/")
    words = (tree.text(f"{base}maven.config") or "").split()
    defines = [word[2:] for word in words if re.match(r"-D[^=\s]+=", word)]
    profiles = [name for place, word in enumerate(words) if word.startswith("-P")
                for name in (word[2:] or "".join(words[place + 1 : place + 2])).split(",")]  # fmt: skip
    extensions = []
    content = tree.content(f"{base}extensions.xml")
    if content is not None:
        for one in parsed(content, f"{base}extensions.xml").iterfind("extension"):
            extensions.append(":".join(_text(one, name) for name in ("groupId", "artifactId", "version")))
    files = (f"{base}{name}" for name in ("maven.config", "jvm.config", "extensions.xml"))
    return MavenConfiguration(holder, tuple(defines), tuple(name for name in profiles if name and name[0] not in "!-"),
                              tuple(extensions), tuple(path for path in files if tree.exists(path)))  # fmt: skip
