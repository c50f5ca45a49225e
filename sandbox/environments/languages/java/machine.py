"""The JDKs and the Maven that are on this machine, found by their files."""

import functools
import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_JDKS = ("/usr/lib/jvm/*", "/usr/java/*", "/usr/local/lib/jvm/*", "/opt/*", "/opt/java/*", "~/.jdks/*",
         "~/.sdkman/candidates/java/*")  # fmt: skip
_MAVENS = ("/usr/share/maven", "/usr/local/*maven*", "/opt/*maven*", "~/.sdkman/candidates/maven/*")
_LEAST = 11
"""`Resolve.java` needs it, and it can compile for every release that older ones are still used for."""
OLDEST = ((20, 8), (12, 7), (9, 6), (8, 2))
"""The oldest release for which the compiler of a JDK, from this version on, compiles (JEP 182)."""


@dataclass(frozen=True)
class Jdk:
    home: Path
    version: str

    @property
    def major(self) -> int:
        return major_of(self.version)

    @property
    def oldest(self) -> int:
        return next((oldest for since, oldest in OLDEST if self.major >= since), 1)


@dataclass(frozen=True)
class Maven:
    home: Path
    version: str


def launcher_of(home: Path) -> Path:
    """The archive with which a Maven is started."""
    return next(iter(sorted((home / "boot").glob("plexus-classworlds*.jar"))), home)


def major_of(version: str) -> int:
    """17 for "17.0.2", 8 for "1.8" and "8"; 0 for what is no version."""
    found = re.match(r"\D{0,20}(?:1\.(?=\d))?(\d{1,3})", version.strip())
    return int(found[1]) if found else 0


@functools.cache
def jdks() -> tuple[Jdk, ...]:
    """Sorted by version; JREs without a compiler are left out."""
    named = [os.environ.get("JAVA_HOME", ""), *(str(Path(found).resolve().parent.parent)
             for found in [shutil.which("javac")] if found)]  # fmt: skip
    homes: dict[Path, Jdk] = {}
    for place in (*map(Path, filter(None, named)), *_expanded(_JDKS)):
        home = place.resolve()
        version = _release(home)
        if major_of(version) >= _LEAST and (home / "bin" / "javac").is_file():
            homes.setdefault(home, Jdk(home, version))
    return tuple(sorted(homes.values(), key=lambda jdk: [int(n) for n in re.findall(r"\d+", jdk.version)]))


def _release(home: Path) -> str:
    try:
        found = re.search(r'^JAVA_VERSION="([\w.+-]+)"', (home / "release").read_text(errors="replace"), re.MULTILINE)
    except OSError:
        return ""
    return found[1] if found else ""


@functools.cache
def maven() -> Maven | None:
    """The newest Maven 3 on this machine."""
    program = shutil.which("mvn")
    named = [os.environ.get("MAVEN_HOME", ""), str(Path(program).resolve().parent.parent) if program else ""]
    found = []
    for place in (*map(Path, filter(None, named)), *_expanded(_MAVENS)):
        version = _maven_version(place.resolve())
        if version.startswith("3."):
            found.append(Maven(place.resolve(), version))
    return max(found, key=lambda one: [int(n) for n in re.findall(r"\d+", one.version)], default=None)


def _maven_version(home: Path) -> str:
    for archive in sorted((home / "lib").glob("maven-core-*.jar")):
        try:
            with zipfile.ZipFile(archive) as opened:
                text = opened.read("META-INF/maven/org.apache.maven/maven-core/pom.properties").decode()
        except (OSError, KeyError, ValueError, zipfile.BadZipFile):
            continue
        if found := re.search(r"^version=(\S+)", text, re.MULTILINE):
            return found[1]
    return ""


def _expanded(patterns: Sequence[str]) -> Iterator[Path]:
    for pattern in patterns:
        path = Path(pattern).expanduser()
        yield from sorted(Path("/").glob(str(path).lstrip("/")))
