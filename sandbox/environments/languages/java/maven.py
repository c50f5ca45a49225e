"""How Maven is run in the sandbox: offline, on a local repository that was fetched before, and without checks of style.

Everything of a build that is code (plugins, extensions, `.mvn`) runs there and nowhere else.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import escape

from sandbox.environments.languages.protocol import INSIDE, SCRATCH

from . import newer_maven
from .machine import Jdk, Maven, launcher_of

SCRIPT = "mvn.sh"
_SCRIPT = """#!/bin/sh
# Runs Maven offline: mvn.sh FOLDER [until PHASE] ARGUMENT..., where FOLDER of the workspace holds `.mvn`.
holder="/workspace/$1"
shift
options=
if [ -f "$holder/.mvn/jvm.config" ]; then
    options=$(sed 's/#.*//' "$holder/.mvn/jvm.config" | tr '\\r\\n' '  ')
fi
case "$options" in *GC*) ;; *) options="-XX:+UseSerialGC $options" ;; esac
# The compiler runs in this JVM, and long chains of calls overflow the usual stack.
case "$options" in *-Xss*) ;; *) options="-Xss8m $options" ;; esac
if [ "$1" = "until" ]; then
    phase=$2
    shift 2
else
    phase=$(cat {inside}/build/phase 2>/dev/null || echo test)
fi
home="{home}"
boot="{boot}"
chained={chained}
if [ -d {inside}/{newer} ]; then
    chained=yes
    home={inside}/{newer}
    boot=$(echo "$home"/boot/plexus-classworlds-*.jar)
fi
local="-Dmaven.repo.local={repository}"
if [ "$chained" = yes ]; then
    # Maven 3.9 does not take links for files of its repository, and can have a second one behind it.
    local="-Dmaven.repo.local={repository}-own -Dmaven.repo.local.tail={inside}/m2"
fi
defines=$(cat {inside}/build/defines 2>/dev/null)
set -f
exec "$JAVA_HOME/bin/java" $options -XX:TieredStopAtLevel=1 -classpath "$boot" -Dclassworlds.conf={inside}/m2.conf \\
    -Dmaven.home="$home" -Dmaven.multiModuleProjectDirectory="$holder" \\
    org.codehaus.plexus.classworlds.launcher.Launcher -o -B -s {inside}/settings.xml -gs {inside}/settings.xml \\
    -t {inside}/toolchains.xml $local -Dstyle.color=never $defines "$phase" "$@"
"""
_LAUNCHER = """main is org.apache.maven.cli.MavenCli from plexus.core
set maven.conf default ${maven.home}/conf
[plexus.core]
load %s/logging
optionally ${maven.home}/lib/ext/*.jar
load ${maven.home}/lib/*.jar
"""
_LOGGING = "".join(f"org.slf4j.simpleLogger.{line}\n" for line in (
    "defaultLogLevel=info", "showDateTime=false", "showThreadName=false", "showLogName=false", "logFile=System.out",
    "levelInBrackets=true", "warnLevelString=WARNING",
))  # fmt: skip
"""As Maven's own settings have it, which not every distribution keeps where they are visible."""
_SETTINGS = """<settings><mirrors><mirror><id>central</id><mirrorOf>*</mirrorOf>
<url>https://repo.maven.apache.org/maven2</url></mirror></mirrors></settings>
"""
_CHAINED = [3, 9]
"""The first Maven with a chain of local repositories."""
REPOSITORY = f"/workspace/{SCRATCH}/m2"
KEPT = f"{SCRATCH}/build"
"""A folder of files that say how this build is run: up to which `phase`, and with which `defines`."""
FETCHED = f"{INSIDE}/m2"
_NO_CHECKS = ("animal.sniffer.skip", "check.buildplan.skip", "checkstyle.skip",
              "enforcer.skip", "forbiddenapis.skip", "formatter.skip",
              "gpg.skip", "impsort.skip", "license.skip", "maven.gitcommitid.skip", "maven.javadoc.skip",
              "maven.source.skip", "pmd.skip", "cpd.skip", "rat.skip", "sortpom.skip", "spotbugs.skip",
              "spotless.check.skip", "spotless.apply.skip", "spring-javaformat.skip", "xml.skip", "cyclonedx.skip",
              "moditect.skip", "bnd.baseline.skip", "japicmp.skip", "revapi.skip", "skip.npm", "skip.installnodenpm",
              "skip.yarn", "skip.installyarn", "skipITs")  # fmt: skip
"""Properties by which plugins are told to skip what says nothing about tests: style, licences, releases, front ends."""


def files(maven: Maven, jdks: Sequence[Jdk]) -> dict[str, str]:
    """What is put beside the local repository, by name."""
    home = maven.home
    chained = "yes" if [int(part) for part in re.findall(r"\d+", maven.version)[:2]] >= _CHAINED else "no"
    script = _SCRIPT.format(boot=launcher_of(home), home=home, inside=INSIDE, repository=REPOSITORY, chained=chained,
                            newer=newer_maven.FOLDER)  # fmt: skip
    return {
        SCRIPT: script,
        "m2.conf": _LAUNCHER % INSIDE,
        "logging/simplelogger.properties": _LOGGING,
        "settings.xml": _SETTINGS,
        "toolchains.xml": "<toolchains>" + "".join(map(_toolchain, jdks)) + "</toolchains>\n",
    }


def _toolchain(jdk: Jdk) -> str:
    version = str(jdk.major) if jdk.major > 8 else f"1.{jdk.major}"
    return (f"<toolchain><type>jdk</type><provides><version>{version}</version></provides>"
            f"<configuration><jdkHome>{escape(str(jdk.home))}</jdkHome></configuration></toolchain>")  # fmt: skip


def command(holder: str, *arguments: str, phase: str = "") -> tuple[str, ...]:
    """Runs all tests of a build, also after some of them failed: up to a phase, or the one that was kept."""
    skipped = [f"-D{name}=true" for name in _NO_CHECKS]
    return ("/bin/sh", f"{INSIDE}/{SCRIPT}", holder or ".", *(("until", phase) if phase else ()), "-fae",
            "-Dmaven.test.failure.ignore=true", *skipped, *arguments)  # fmt: skip


def keeping(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Writes files of these names, beside those that are there, into the folder `KEPT` of the workspace."""
    script = 'mkdir -p "$1" && shift && for one; do printf %s "${one#*=}" >"$0/${one%%=*}"; done'
    return ("/bin/sh", "-c", script, KEPT, KEPT, *(f"{name}={text}" for name, text in texts.items()))


def selecting(classes: Sequence[str]) -> list[str]:
    """Options that run these classes (with `#METHOD`, if wanted) alone."""
    return [f"-Dtest={','.join(classes)}", "-DfailIfNoTests=false", "-Dsurefire.failIfNoSpecifiedTests=false"]


NO_TESTS = "No tests were executed"
"""What surefire says where none was selected, which some builds forbid."""
_PART = r"[A-Za-z0-9_.-]+"
_MISSING = (
    re.compile(rf"artifact ({_PART}:{_PART}:{_PART}(?::{_PART}){{1,2}}) has not been downloaded"),
    re.compile(rf"[Cc]ould not find artifact ({_PART}:{_PART}:{_PART}(?::{_PART}){{1,2}})"),
    re.compile(rf"Failed to read artifact descriptor for ({_PART}:{_PART}:{_PART}(?::{_PART}){{1,2}})"),
)
_MANY = re.compile(r"artifacts could not be resolved: (.*?): (?:Cannot access|Could not|The following|\S+ was not)")
_PLUGIN = re.compile(rf"Plugin ({_PART}:{_PART}:{_PART}) or one of its dependencies could not be resolved")
_VERSION = re.compile(rf"Error resolving version for plugin '({_PART}:{_PART})'")
_COORDINATES = re.compile(rf"{_PART}:{_PART}:{_PART}(?::{_PART}){{1,2}}")


def missing(output: str) -> Iterator[str]:
    """What Maven says that it lacks: lines `artifact` or `plugin`, a tab, and the coordinates; or `maven` and a
    range of versions."""
    yield from newer_maven.wanted(output)
    for line in output.splitlines():
        if line.startswith(("[ERROR]", "[FATAL]", "[WARNING]")):
            for found in [*_PLUGIN.finditer(line), *_VERSION.finditer(line)]:
                yield f"plugin\t{found[1]}"
            for pattern in _MISSING:
                for found in pattern.finditer(line):
                    yield f"artifact\t{found[1]}"
            for found in _MANY.finditer(line):
                for one in _COORDINATES.findall(found[1]):
                    yield f"artifact\t{one}"


_FAILURE = re.compile(
    r"^\[ERROR\] (Failed to execute goal .{1,400}(?:\n\[ERROR\] (?!Failed|->|To see|Re-run|\s*$).{1,300}){0,5})",
    re.MULTILINE,
)


def failures(output: str) -> list[str]:
    """Why projects could not be built, one line for each."""
    found = [" ".join(text.replace("[ERROR]", "").split()) for text in _FAILURE.findall(output)]
    return [reason.removeprefix("Failed to execute goal ") for reason in found if NO_TESTS not in reason]


def is_too_old(reason: str) -> bool:
    """Whether javac refuses a release of Java as too old."""
    return re.search(r"(?:Source|Target) option \S+ is no longer supported|release version \d+ not supported|"
                     r"invalid (?:source|target) release", reason) is not None  # fmt: skip


def has_tested(output: str) -> bool:
    """Whether the tests of any project were run."""
    return re.search(r"^\[INFO\] --- [\w.:-]*surefire[\w.:-]*:test ", output, re.MULTILINE) is not None
