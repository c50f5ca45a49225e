"""For which releases of Java a build compiles. Profiles of its POMs may say another one for each JDK."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .machine import major_of
from .poms import Project, interpolated

_JDKS = range(11, 41)
"""Those for which the profiles of POMs are read."""
_PROPERTY = re.compile(r"\$\{([A-Za-z_][\w.-]*)\}")


@dataclass(frozen=True)
class Releases:
    """What a build compiles for with JDKs from the version `since` on: the highest release and where that is said, the
    lowest and where that is said (0 for unknown). `fixed` is the lowest that is no property; `properties` are those
    that say one, by name."""

    since: int
    needed: int
    needed_from: str
    oldest: int
    oldest_from: str
    fixed: int
    properties: dict[str, int]


def releases_by_jdk(projects: Mapping[str, Project]) -> list[Releases]:
    """In the order of JDKs, one for each from which on something is different."""
    found: list[Releases] = []
    for jdk in _JDKS:
        this = _releases(projects, jdk)
        if not found or this != Releases(jdk, *list(vars(found[-1]).values())[1:]):
            found.append(this)
    return found


def _releases(projects: Mapping[str, Project], jdk: int) -> Releases:
    own = {path: {**project.properties, **_of_profiles(project, jdk)} for path, project in projects.items()}
    shared: dict[str, str] = {}
    for one in reversed(list(own.values())):
        shared |= one
    levels = [(level, path, name) for path, project in projects.items()
              for level, name in _levels(project, {**shared, **own[path]})]  # fmt: skip
    plain = [(level, path) for level, path, _ in levels]
    least = next(((major_of(text), path) for path, project in projects.items()
                  if (text := interpolated(project.least, own[path]).strip()) and not text.startswith(("(,", "[,"))),
                 (0, ""))  # fmt: skip
    needed, where = max([*plain, least], key=lambda one: one[0])
    oldest, said = min(plain, key=lambda one: one[0], default=(0, ""))
    properties: dict[str, int] = {}
    for level, _, name in levels:
        if name:
            properties[name] = min(level, properties.get(name, level))
    fixed = min((level for level, _, name in levels if not name), default=0)
    return Releases(jdk, needed, where, oldest, said, fixed, properties)


def _levels(project: Project, properties: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """Each release, and the property that says it."""
    for text in project.levels:
        level = major_of(interpolated(text, properties))
        if level:
            found = _PROPERTY.fullmatch(text.strip())
            yield level, found[1] if found else ""


def _of_profiles(project: Project, jdk: int) -> dict[str, str]:
    """The properties of the profiles that a JDK activates."""
    found: dict[str, str] = {}
    for wanted, properties in project.for_jdk:
        if activated(wanted, jdk):
            found |= properties
    return found


def activated(wanted: str, jdk: int) -> bool:
    """Whether `<jdk>` of an activation fits: a range, or the beginning of a version, perhaps negated."""
    wanted = wanted.strip()
    if wanted.startswith(("[", "(")):
        low, comma, high = wanted[1:-1].partition(",")
        least, most = major_of(low), major_of(high)
        if not comma:
            return least == jdk
        above = not least or jdk > least or (jdk == least and wanted[0] == "[")
        return above and (not most or jdk < most or (jdk == most and wanted[-1] == "]"))
    fits = major_of(wanted.removeprefix("!")) == jdk
    return fits != wanted.startswith("!")
