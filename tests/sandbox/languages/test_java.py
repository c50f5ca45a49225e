"""Java: found, resolved without running Maven, built and tested offline, with one result for each test."""

import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.checks import checks_for, run_checks
from sandbox.environments.languages import SourceTree
from sandbox.environments.languages.java import Java
from sandbox.environments.languages.java.choice import chosen_jdk
from sandbox.environments.languages.java.language import raising
from sandbox.environments.languages.java.machine import Jdk, Maven, jdks, major_of, maven
from sandbox.environments.languages.java.maven import REPOSITORY, SCRIPT, failures, files, missing
from sandbox.environments.languages.java.newer_maven import unpack
from sandbox.environments.languages.java.releases import Releases, activated
from sandbox.environments.languages.java.reports import Sources
from sandbox.environments.languages.java.reports import test_cases as cases_of
from sandbox.environments.languages.protocol import INSIDE, Ran, TestPlan
from sandbox.environments.languages.suite import open_session
from sandbox.environments.wanted import EnvironmentRefused

from .central import Central
from .conftest import LIMITS

JUPITER = """<dependency><groupId>org.junit.jupiter</groupId><artifactId>junit-jupiter</artifactId>
<version>5.10.2</version><scope>test</scope></dependency>"""
PLUGINS = "".join(
    f"<plugin><artifactId>maven-{name}-plugin</artifactId><version>{version}</version></plugin>"
    for name, version in (("resources", "3.3.1"), ("compiler", "3.13.0"), ("surefire", "3.2.5"))
)


def pom(name: str, inside: str = "", dependencies: str = JUPITER, release: str = "17", build: str = "") -> str:
    return f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>com.example</groupId><artifactId>{name}</artifactId><version>1</version>{inside}
<properties><maven.compiler.release>{release}</maven.compiler.release>
<project.build.sourceEncoding>UTF-8</project.build.sourceEncoding></properties>
<dependencies>{dependencies}</dependencies><build>{build}<plugins>{PLUGINS}</plugins></build></project>"""


CALC = "package com.example;\n\npublic class Calc {\n    public static int add(int a, int b) { return a - b; }\n}\n"
TESTS = """package com.example;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CalcTest {
    @Test
    void adds() {
        assertEquals(3, Calc.add(1, 2));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1})
    void addsNothing(int number) {
        assertEquals(number, Calc.add(number, 0));
    }

    @Nested
    class Negative {
        @Test
        void addsNothing() {
            assertEquals(-1, Calc.add(-1, 0));
        }
    }
}
"""
FILES = {
    "pom.xml": pom("demo"),
    "src/main/java/com/example/Calc.java": CALC,
    "src/test/java/com/example/CalcTest.java": TESTS,
}
TEST = "src/test/java/com/example/CalcTest.java"


def needs_of(root: Path):
    return Java().find(SourceTree(root))


def test_finds_the_build_of_the_root_with_its_modules_and_the_newest_release_that_one_names(repository):
    root = repository({
        **FILES, "pom.xml": pom("all", "<packaging>pom</packaging><modules><module>one</module></modules>"),
        "one/pom.xml": pom("one", release="21"), "one/src/test/java/OneTest.java": "",
        ".mvn/maven.config": "-Drevision=2",
        "one/src/it/sample/pom.xml": pom("sample"), "examples/pom.xml": pom("other"),
    })  # fmt: skip
    needs = needs_of(root)
    assert needs.folders == ("",)
    assert needs.files == ("pom.xml", "one/pom.xml", ".mvn/maven.config")
    assert (needs.version, needs.version_from) == ("21", "one/pom.xml")
    assert [one["oldest"] for one in needs.facts["releases"]] == [17]
    assert needs.facts["builds"][""]["projects"] == {"": "all", "one": "one"}
    assert needs.facts["builds"][""]["defines"] == ("revision=2",)


def test_builds_in_folders_are_found_where_the_root_has_none(repository):
    root = repository({"server/pom.xml": pom("server"), "server/src/test/java/ATest.java": "", "web/x.js": "",
                       "docs/pom.xml": pom("docs")})  # fmt: skip
    assert needs_of(root).folders == ("server",)


def test_without_tests_there_is_nothing_to_run(repository):
    assert needs_of(repository({"pom.xml": pom("demo"), "src/main/java/com/example/Calc.java": CALC})) is None


@pytest.mark.parametrize(
    ("path", "test", "steers"),
    [
        ("src/test/java/com/example/Base.java", True, False), ("core/src/testFixtures/kotlin/A.kt", True, False),
        ("lib/CalcTest.java", True, False), ("src/main/java/com/example/Latest.java", False, False),
        ("core/pom.xml", False, True), (".mvn/jvm.config", False, True),
    ],
)  # fmt: skip
def test_files_of_tests_and_those_that_steer_them(path, test, steers):
    assert (Java().is_test(path), Java().steers(path)) == (test, steers)


def test_a_build_by_gradle_is_refused_with_its_reason(repository):
    needs = needs_of(repository({"build.gradle.kts": "", "src/test/kotlin/ATest.kt": ""}))
    with pytest.raises(EnvironmentRefused, match=r"Gradle \(build\.gradle\.kts\).*pom\.xml"):
        Java().toolchain(needs)
    assert needs_of(repository({"build.gradle.kts": "", "src/test/kotlin/ATest.kt": "", "pom.xml": pom("demo")})).runner


@pytest.mark.parametrize("content", ["<project>", '<!DOCTYPE p [<!ENTITY a "b">]><project>&a;</project>'])
def test_a_pom_that_is_not_plain_xml_is_refused(repository, content):
    with pytest.raises(EnvironmentRefused, match=r"pom\.xml.*valid XML without entities"):
        needs_of(repository({**FILES, "pom.xml": content}))


def test_levels_come_from_properties_and_from_the_compiler_plugin(repository):
    plugin = """<plugin><artifactId>maven-compiler-plugin</artifactId>
        <configuration><source>${level}</source></configuration></plugin>"""
    text = pom("demo", release="").replace("<properties>", "<properties><level>1.8</level>")
    needs = needs_of(repository({**FILES, "pom.xml": text.replace(PLUGINS, plugin)}))
    (found,) = needs.facts["releases"]
    assert (needs.version, found["oldest"], found["fixed"], found["properties"]) == ("8", 8, 0, {"level": 8})


def test_a_profile_that_a_jdk_activates_says_the_release_for_it(repository):
    profile = """<profiles><profile><activation><jdk>[12,20)</jdk></activation>
        <properties><maven.compiler.source>7</maven.compiler.source></properties></profile></profiles>"""
    text = pom("demo", release="").replace("<maven.compiler.release></maven.compiler.release>",
                                           "<maven.compiler.source>1.5</maven.compiler.source>")  # fmt: skip
    needs = needs_of(repository({**FILES, "pom.xml": text.replace("<build>", f"{profile}<build>")}))
    assert [(one["since"], one["oldest"]) for one in needs.facts["releases"]] == [(11, 5), (12, 7), (20, 5)]


@pytest.mark.parametrize(
    ("wanted", "fitting"),
    [("17", {17}), ("!17", {11, 21, 25}), ("[17,)", {17, 21, 25}), ("(11,21)", {17}), ("(,17]", {11, 17}),
     ("[21]", {21}), ("1.8", set())],
)  # fmt: skip
def test_ranges_of_jdks_as_profiles_name_them(wanted, fitting):
    assert {jdk for jdk in (11, 17, 21, 25) if activated(wanted, jdk)} == fitting


def test_a_version_that_is_not_there_is_named(repository, central):
    with pytest.raises(
        EnvironmentRefused, match=r"version 99 or newer \(pom\.xml\), and this machine has .*install it"
    ):
        Java().toolchain(needs_of(repository({**FILES, "pom.xml": pom("demo", release="99")})))


def releases(needed: int, oldest: int, fixed: int | None = None) -> list[Releases]:
    return [Releases(11, needed, "pom.xml", oldest, "pom.xml", oldest if fixed is None else fixed, {"level": oldest})]


@pytest.mark.parametrize(
    ("wanted", "oldest", "preferred", "chosen"),
    [(8, 8, 0, "17.0.2"), (21, 21, 0, "25.0.1"), (0, 0, 25, "25.0.1"), (8, 8, 11, "11.0.1"), (6, 6, 0, "11.0.1")],
)
def test_the_nearest_jdk_is_chosen(monkeypatch, wanted, oldest, preferred, chosen):
    there = tuple(Jdk(Path(f"/{version}"), version) for version in ("11.0.1", "17.0.1", "17.0.2", "25.0.1"))
    monkeypatch.setattr("sandbox.environments.languages.java.choice.jdks", lambda: there)
    assert chosen_jdk(releases(wanted, oldest), preferred).version == chosen


def test_a_release_for_which_no_jdk_compiles_any_more_is_refused_unless_properties_alone_name_it(monkeypatch):
    monkeypatch.setattr("sandbox.environments.languages.java.choice.jdks", lambda: (Jdk(Path("/j"), "25.0.1"),))
    with pytest.raises(EnvironmentRefused, match=r"Java 6 \(pom\.xml\).*raise it to 8.*older than 12"):
        chosen_jdk(releases(6, 6), 0)
    assert chosen_jdk(releases(6, 6, fixed=0), 0).version == "25.0.1"


def test_a_build_for_a_release_that_is_too_old_is_given_a_newer_one(repository, monkeypatch):
    monkeypatch.setattr("sandbox.environments.languages.java.language.jdks", lambda: (Jdk(Path("/j"), "25.0.1"),))
    text = pom("demo", release="${level}").replace("<properties>", "<properties><level>1.6</level>")
    needs = needs_of(repository({**FILES, "pom.xml": text}))
    log = """[ERROR] Failed to execute goal a:b:1:compile (x) on project y: Compilation failure:
[ERROR] Source option 6 is no longer supported. Use 8 or later.
[ERROR] -> [Help 1]
[ERROR] unrelated"""
    (failed,) = failures(log)
    assert failed.endswith("Compilation failure: Source option 6 is no longer supported. Use 8 or later.")
    assert raising(needs, [failed]) == [f"-Dmaven.compiler.{name}=8" for name in ("release", "source", "target")]
    assert raising(needs, ["cannot find symbol"]) == []


def test_a_newer_maven_is_asked_for_where_a_plugin_needs_it_and_unpacked(tmp_path):
    log = "[ERROR] Failed to execute goal p: The plugin org.x:y:1 requires Maven version 3.9 -> [Help 1]\n"
    assert list(missing(log + log.replace("3.9", "3.10.1"))) == ["maven\t[3.10.1,4.0.0-alpha-1)"]
    assert list(missing(log.replace("3.9", "4.0"))) == []
    folder = tmp_path / "m2/org/apache/maven/apache-maven/3.9.1"
    folder.mkdir(parents=True)
    (tmp_path / "made").mkdir()
    with tarfile.open(folder / "apache-maven-3.9.1-bin.tar.gz", "w:gz") as archive:
        content = tarfile.TarInfo("apache-maven-3.9.1/lib/a.jar")
        archive.addfile(content, io.BytesIO())
    unpack(tmp_path / "m2", tmp_path / "made")
    assert (tmp_path / "made/maven/lib/a.jar").is_file()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "major"), [("1.8", 8), ("8", 8), ("17.0.2", 17), ("[21,)", 21), ("x", 0), ("temurin-25.0", 25)]
)
def test_versions_of_java(text, major):
    assert major_of(text) == major


def test_a_mirror_of_the_users_settings_is_used(monkeypatch, tmp_path):
    (tmp_path / ".m2").mkdir()
    (tmp_path / ".m2" / "settings.xml").write_text(
        "<settings><mirrors><mirror><mirrorOf>x</mirrorOf><url>https://a.example</url></mirror>"
        "<mirror><mirrorOf>external:*,!y</mirrorOf><url>https://b.example/maven/</url></mirror></mirrors></settings>"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Java().registry("").address == "https://b.example/maven"
    assert Java().registry("https://c.example").address == "https://c.example"


def test_what_maven_lacks_is_read_from_its_log():
    log = """[ERROR] Failed to execute goal x on project y: The following artifacts could not be resolved: \
a.b:c:jar:1.0, d:e:exe:linux-x86_64:2: Cannot access central (https://r) in offline mode and the artifact \
a.b:c:jar:1.0 has not been downloaded from it before. -> [Help 1]
[ERROR] Plugin org.x:y-plugin:3 or one of its dependencies could not be resolved: Cannot access central
[INFO] artifact n:o:jar:1 has not been downloaded"""
    assert set(missing(log)) == {
        "artifact\ta.b:c:jar:1.0",
        "artifact\td:e:exe:linux-x86_64:2",
        "plugin\torg.x:y-plugin:3",
    }


@pytest.mark.parametrize(("version", "fetched", "chained"), [("3.8.7", False, False), ("3.9.1", False, True),
                                                            ("3.8.7", True, True)])  # fmt: skip
def test_maven_is_given_a_repository_of_links_or_from_3_9_on_a_second_one(tmp_path, version, fetched, chained):
    inside = tmp_path / "packages"
    (inside / "build").mkdir(parents=True)
    (inside / "build/defines").write_text("-Da=8 -Db=8")
    (inside / "build/phase").write_text("package")
    if fetched:
        (inside / "maven/boot").mkdir(parents=True)
    (tmp_path / "jdk/bin").mkdir(parents=True)
    (tmp_path / "jdk/bin/java").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "jdk/bin/java").chmod(0o755)
    script = files(Maven(Path("/m"), version), ())[SCRIPT].replace(INSIDE, str(inside))
    (tmp_path / "mvn.sh").write_text(script)
    given = {"PATH": os.defpath, "JAVA_HOME": str(tmp_path / "jdk")}
    words = subprocess.run(["/bin/sh", tmp_path / "mvn.sh", ".", "-fae"], capture_output=True, text=True, check=True,
                           timeout=60, env=given).stdout.split("\n")  # fmt: skip
    assert (f"-Dmaven.repo.local.tail={inside}/m2" in words) == chained
    assert (f"-Dmaven.repo.local={REPOSITORY}" in words) != chained
    assert (f"-Dmaven.home={inside}/maven" in words) == fetched
    assert {"-Da=8", "-Db=8", "package", "-Xss8m", "-fae"} <= set(words)


REPORT = """<testsuite name="com.example.CalcTest"><testcase classname="com.example.CalcTest" name="adds" time="0.5">
<failure message="no">java.lang.AssertionError: no
	at org.junit.Assert.fail(Assert.java:1)
	at com.example.CalcTest.adds(CalcTest.java:12)</failure></testcase>
<testcase classname="com.example.CalcTest$Negative" name="adds(int)[1]"/>
<testcase classname="com.example.CalcTest" name=""><error message="before all"/></testcase>
<testcase classname="com.example.Unknown" name="x"><skipped/></testcase></testsuite>"""


def test_reports_are_read(repository):
    tree = SourceTree(repository({f"one/{path}": text for path, text in FILES.items()}))
    reports = {
        "one/target/surefire-reports/TEST-com.example.CalcTest.xml": REPORT.encode(),
        "one/target/surefire-reports/junitreports/TEST-x.xml": REPORT.replace("adds", "again").encode(),
    }
    cases = list(cases_of(Ran(TestPlan(()), 0, b"", b"", reports), {"demo": "one"}, Sources(tree)))
    assert [(case.id, case.outcome, case.path, case.line) for case in cases] == [
        (f"one/{TEST}::adds", "failed", f"one/{TEST}", 12),
        (f"one/{TEST}::Negative.adds(int)[1]", "passed", "", 0),
        (f"one/{TEST}::(class)", "failed", "", 0),
        ("one::com.example.Unknown.x", "skipped", "", 0),
    ]


def test_what_keeps_tests_from_being_run_is_read_from_the_log(repository):
    tree = SourceTree(repository(FILES))
    log = """[INFO] --- surefire:3.2.5:test (default-test) @ two ---
[ERROR] /workspace/one/src/main/java/A.java:[3,8] cannot find symbol
[ERROR]   symbol:   variable y
[ERROR] Failed to execute goal org.apache.maven.plugins:maven-compiler-plugin:3:compile (x) on project one: Compilation
[ERROR] Crashed tests:
[ERROR] com.example.CalcTest
[ERROR] Failed to execute goal g:p:1:do (y) on project three: it broke"""
    projects = {"one": "one", "two": "two", "three": "three", "four": "four"}
    cases = {case.id: case for case in cases_of(Ran(TestPlan(()), 1, log.encode(), b"", {}), projects, Sources(tree))}
    assert {name: case.outcome for name, case in cases.items()} == {
        f"{TEST}::(class)": "error", "one::(build)": "error", "two::(build)": "passed", "three::(build)": "error",
    }  # fmt: skip
    assert (cases["one::(build)"].path, cases["one::(build)"].line) == ("one/src/main/java/A.java", 3)
    assert "symbol:   variable y" in cases["one::(build)"].message
    assert "it broke" in cases["three::(build)"].message


def test_a_build_that_does_not_begin_is_an_error_of_its_root(repository):
    log = "[INFO] BUILD FAILURE\n[ERROR] Non-resolvable parent POM for a:b:1\n[ERROR] \n"
    ran = Ran(TestPlan(()), 1, log.encode(), b"", {})
    cases = list(cases_of(ran, {"all": "", "one": "one"}, Sources(SourceTree(repository(FILES)))))
    assert [(case.id, case.outcome) for case in cases] == [(".::(build)", "error")]
    assert cases[0].message == "[ERROR] Non-resolvable parent POM for a:b:1"


@pytest.fixture(scope="session")
def kept(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("central")


@pytest.fixture
def central(kept) -> Iterator[Central]:
    """Skips the test, or fails it in CI, without a JDK and Maven or where the registry cannot be reached."""
    problem = "" if maven() and jdks() else "Java is tested with a JDK and Maven 3: apt install maven openjdk-17-jdk"
    made = Central(kept)
    try:
        made.content("/junit/junit/maven-metadata.xml")
    except OSError as error:
        problem = problem or f"the public registry of Java packages cannot be reached: {error}"
    if problem:
        made.stop()
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(problem)
    yield made
    made.stop()


def test_each_test_has_a_result_with_its_file_message_and_place(repository, suites, central):
    environment = suites.environment(Java(), repository(FILES), registries={"java": central.url})
    cases = {case.id: case for case in suites.run(environment).cases}
    assert {name: case.outcome for name, case in cases.items()} == {
        ".::(build)": "passed", f"{TEST}::adds": "failed", f"{TEST}::addsNothing(int)[1]": "passed",
        f"{TEST}::addsNothing(int)[2]": "passed", f"{TEST}::Negative.addsNothing": "passed",
    }  # fmt: skip
    failed = cases[f"{TEST}::adds"]
    assert (failed.path, failed.line) == (TEST, 13)
    assert "expected: <3> but was: <-1>" in failed.message
    repaired = {"src/main/java/com/example/Calc.java": CALC.replace("-", "+")}
    again = suites.run(environment, (f"{TEST}::adds",), repaired)
    assert {case.id: case.outcome for case in again.cases} == {".::(build)": "passed", f"{TEST}::adds": "passed"}
    nested = suites.run(environment, (f"{TEST}::Negative.addsNothing",))
    assert f"{TEST}::Negative.addsNothing" in {case.id for case in nested.cases}


@pytest.mark.parametrize("suites", ["bubblewrap"], indirect=True)  # Maven is slow, and gVisor's part is above
def test_code_that_does_not_compile_is_an_error_of_its_project(repository, suites, central):
    child = "<parent><groupId>com.example</groupId><artifactId>all</artifactId><version>1</version></parent>"
    root = repository({
        "pom.xml": pom("all", "<packaging>pom</packaging><modules><module>one</module><module>two</module></modules>"),
        **{f"one/{path}": text for path, text in FILES.items()}, "one/pom.xml": pom("one", child),
        "two/pom.xml": pom("two", child), "two/src/test/java/TwoTest.java":
        "class TwoTest {\n    @org.junit.jupiter.api.Test\n    void passes() {}\n}\n",
    })  # fmt: skip
    environment = suites.environment(Java(), root, registries={"java": central.url})
    broken = {"one/src/main/java/com/example/Calc.java": CALC.replace("a - b", "a - y")}
    cases = {case.id: case for case in suites.run(environment, changed=broken).cases}
    assert {name: case.outcome for name, case in cases.items()} == {
        ".::(build)": "passed", "one::(build)": "error", "two::(build)": "passed",
        "two/src/test/java/TwoTest.java::passes": "passed",
    }  # fmt: skip
    error = cases["one::(build)"]
    assert (error.path, error.line) == ("one/src/main/java/com/example/Calc.java", 4)
    assert "cannot find symbol" in error.message
    with open_session(environment, root, suites.sandbox, LIMITS, {}) as session:
        session.write(next(iter(broken)), broken[next(iter(broken))].encode())
        found, ran = run_checks(session, checks_for("java", root, list(broken)), LIMITS, 300)
    assert ran == ["javac"]
    assert [(one.path, one.line, one.severity) for one in found] == [(error.path, error.line, "error")]
    selected = suites.run(environment, ("one::(build)",))
    assert {case.id: case.outcome for case in selected.cases}["one::(build)"] == "passed"


EXTENSION = """package evil;

import java.net.HttpURLConnection;
import java.net.URL;
import org.apache.maven.AbstractMavenLifecycleParticipant;
import org.apache.maven.execution.MavenSession;

@javax.inject.Named
@javax.inject.Singleton
public class Extension extends AbstractMavenLifecycleParticipant {
    @Override
    public void afterProjectsRead(MavenSession session) {
        System.out.println("the extension is loaded");
        try {
            ((HttpURLConnection) new URL("REGISTRY/loaded").openConnection()).getResponseCode();
        } catch (Exception expected) {
            System.out.println("without a network");
        }
    }
}
"""


def extension(folder: Path, registry: str) -> bytes:
    """The archive of a Maven extension that asks the registry for a path when it is loaded."""
    source = folder / "evil" / "Extension.java"
    source.parent.mkdir(parents=True)
    source.write_text(EXTENSION.replace("REGISTRY", registry))
    classes = f"{maven().home}/lib/*"
    subprocess.run([jdks()[-1].home / "bin" / "javac", "--release", "11", "-proc:none", "-cp", classes, source],
                   check=True, capture_output=True, timeout=120)  # fmt: skip
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.write(source.with_suffix(".class"), "evil/Extension.class")
        opened.writestr("META-INF/sisu/javax.inject.Named", "evil.Extension\n")
    return archive.getvalue()


@pytest.mark.parametrize("suites", ["bubblewrap"], indirect=True)  # Maven is slow, and gVisor's part is above
def test_extensions_are_loaded_in_the_sandbox_alone(repository, suites, central, tmp_path):
    archive = extension(tmp_path / "extension", central.url)
    for name in ("core", "build"):
        place = f"/evil/{name}/1/{name}-1"
        central.files[f"{place}.jar"] = archive
        central.files[f"{place}.pom"] = (
            f"<project><modelVersion>4.0.0</modelVersion><groupId>evil</groupId><artifactId>{name}</artifactId>"
            "<version>1</version></project>"
        ).encode()
    named = "<extension><groupId>evil</groupId><artifactId>{}</artifactId><version>1</version></extension>"
    root = repository({
        **FILES, "pom.xml": pom("demo", build=f"<extensions>{named.format('build')}</extensions>"),
        ".mvn/extensions.xml": f"<extensions>{named.format('core')}</extensions>",
    })  # fmt: skip
    environment = suites.environment(Java(), root, registries={"java": central.url})
    assert "/evil/build/1/build-1.jar" in central.asked and "/evil/core/1/core-1.jar" in central.asked
    fetched, _, built = (environment.entry.folder / "log.txt").read_text().partition("# /bin/sh")
    assert "the extension is loaded" in built and "without a network" in built
    assert "the extension is loaded" not in fetched
    assert "/loaded" not in central.asked
    assert f"{TEST}::adds" in {case.id for case in suites.run(environment).cases}
