"""The images: what they are built from exists, everything is pinned, and nothing runs as root."""

import fnmatch
import json
import re
import tomllib
from pathlib import Path

import pytest

from penstock import _NAMES as ROOMS
from tests.deploy.chart.rendering import case, pods
from tests.deploy.images.containerfile import read, read_file

ROOT = Path(__file__).parents[3]
FILE = ROOT / "deploy/images/Containerfile"
IMAGES = ("penstock", "gateway", "code", "run", "sandbox")


def ignored(path: str) -> bool:
    """Whether .containerignore keeps a path of the first level out of the build."""
    out = False
    for line in (ROOT / ".containerignore").read_text().splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#") and fnmatch.fnmatch(path, pattern.removeprefix("!")):
            out = not pattern.startswith("!")
    return out


def copied() -> list[tuple[list[str], str]]:
    found = []
    for stage in read_file(FILE).stages.values():
        for value in stage.all("COPY"):
            words = value.split()
            if not words[0].startswith("--from="):
                found.append((words[:-1], words[-1]))
    return found


def test_every_source_exists_and_is_not_ignored() -> None:
    sources = [source for many, _ in copied() for source in many]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not ignored(source), source


def test_nothing_else_is_sent_to_the_builder() -> None:
    for name in (".git", "tests", "deploy", "docs", ".venv", "secrets", ".env"):
        assert ignored(name)
    assert (ROOT / ".dockerignore").read_text() == (ROOT / ".containerignore").read_text()


def test_all_that_the_wheel_holds_is_copied() -> None:
    sources = {source for many, _ in copied() for source in many}
    assert {*ROOMS, "penstock", "eval_sets", "pyproject.toml", "setup.py", "requirements.lock"} <= sources
    readme = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["readme"]
    assert readme in sources  # without which the wheel is not built


def test_packages_come_from_the_lock_with_hashes() -> None:
    build = read_file(FILE).stages["build"]
    installs = [part.strip() for value in build.all("RUN") for part in value.split("&&") if "pip install" in part]
    assert len(installs) == 3
    for command in installs:
        assert "--require-hashes" in command or ("--no-deps" in command and "/dist/" in command), command
    locks = {word for command in installs for word in command.split() if word.endswith(".lock")}
    assert locks == {"requirements-bootstrap.lock", "requirements.lock"}
    lock = (ROOT / "requirements.lock").read_text()
    for name in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]:
        package = re.split(r"[<>=\[ ]", name)[0]
        assert re.search(rf"^{re.escape(package)}==", lock, re.MULTILINE), package


def test_base_images_have_versions() -> None:
    found = read_file(FILE)
    outside = {stage.base for stage in found.stages.values()} - found.stages.keys()
    for base in outside:
        tag = base.rpartition(":")[2]
        assert re.match(r"\d+\.\d+\.\d+-", tag), base
    minor = ".".join(found.arguments["BASE"].rpartition(":")[2].split(".")[:2])
    assert f"python{minor}/" in found.environment("penstock")["PYTHONPATH"]


@pytest.mark.parametrize("image", IMAGES)
def test_nobody_is_root(image: str) -> None:
    user = read_file(FILE).last(image, "USER")
    assert user is not None and re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    last = read_file(FILE).stages[image]
    assert not last.all("ENTRYPOINT")
    names = [name for name, _ in last.instructions]
    if "USER" in names:
        assert "RUN" not in names[names.index("USER") :]


def test_the_user_is_the_one_of_the_chart() -> None:
    user = read_file(FILE).last("penstock", "USER")
    for pod in pods(case("everything")):
        context = pod.spec["securityContext"]
        assert f"{context['runAsUser']}:{context['runAsGroup']}" == user


def test_what_must_be_written_is_a_volume_in_the_chart() -> None:
    environment = read_file(FILE).environment("penstock")
    for pod in pods(case("default")):
        if pod.component in ("gateway", "code", "daemon"):
            mounts = {m["mountPath"] for m in pod.containers[0]["volumeMounts"] if not m.get("readOnly")}
            assert {environment["PENSTOCK_HOME"], environment["PENSTOCK_CACHE"], environment["HOME"]} <= mounts


@pytest.mark.parametrize(("image", "component"), [("gateway", "gateway"), ("code", "code")])
def test_the_commands_are_those_of_the_chart(image: str, component: str) -> None:
    command = json.loads(read_file(FILE).last(image, "CMD") or "")
    container = next(pod for pod in pods(case("default")) if pod.component == component).containers[0]
    assert command == [str(word) for word in container["args"]]
    port = str(container["ports"][0]["containerPort"])
    assert read_file(FILE).stages[image].all("EXPOSE") == [port]
    assert port in read_file(FILE).stages[image].all("HEALTHCHECK")[0]


@pytest.mark.parametrize("image", IMAGES)
def test_each_image_has_a_health_check_or_says_that_it_has_none(image: str) -> None:
    expected = {"gateway", "code", "run", "sandbox"}
    assert bool(read_file(FILE).stages[image].all("HEALTHCHECK")) is (image in expected)


def test_a_failed_step_fails_the_build() -> None:
    for stage in read_file(FILE).stages.values():
        for command in stage.all("RUN"):
            if "|| true" in command:
                assert "&&" not in command and "compileall" in command
            assert ";" not in command.replace("; print", "")


def test_the_sandboxes_image_has_nothing_of_penstock() -> None:
    assert [stage.name for stage in read_file(FILE).chain("sandbox")] == ["sandbox", "base"]
    assert not any(stage.all("COPY") for stage in read_file(FILE).chain("sandbox"))
    assert "PYTHONPATH" not in read_file(FILE).environment("sandbox")


def test_no_secret_is_in_the_file() -> None:
    text = FILE.read_text()
    assert not re.search(r"(?i)(password|token|secret)\s*=", text)


@pytest.mark.parametrize("text", ["FROM a\n", "RUN x\n", "FROM a AS b\nADD . .\n", "FROM a AS b\nMAINTAINER x\n"])
def test_a_mistake_in_a_containerfile_is_found(text: str) -> None:
    with pytest.raises(ValueError):
        read(text)
