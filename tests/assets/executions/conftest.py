"""Small repositories on disk, and real sandboxes."""

import os
import shutil
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assets.executions.attempt.execute import execute
from assets.executions.attempt.state import AttemptInput, Callbacks
from assets.executions.engines.protocol import Engine, SearchIndex
from assets.executions.engines.search.engine import Search
from assets.executions.repository.checkout import Checkout, open_checkout
from core.work import Budget, Execution, Plan, TaskContext, TaskText
from sandbox import open_sandbox
from sandbox.environments.languages import Needs
from sandbox.environments.languages.go import Go
from sandbox.environments.prepare import Options
from sandbox.environments.wanted import EnvironmentRefused
from sandbox.protocol import Sandbox, SandboxUnavailable

Files = dict[str, str | bytes]
GIT = {
    **{name: os.environ[name] for name in ("PATH",)},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


def real_sandbox(name: str) -> Sandbox:
    try:
        return open_sandbox(os.environ.get("PENSTOCK_TEST_SANDBOX", name))
    except SandboxUnavailable as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} must be there in CI: {reason}")
        pytest.skip(str(reason))


def needs_go() -> None:
    """Skips the test where Go is not installed, and says how to install it; in CI that is a failure."""
    try:
        Go().toolchain(Needs("go", "go test", ("",), ("go.mod",)))
    except EnvironmentRefused as refused:
        if os.environ.get("CI") == "true":
            pytest.fail(str(refused))
        pytest.skip(str(refused))


@pytest.fixture(scope="session")
def bubblewrap() -> Sandbox:
    return real_sandbox("bubblewrap")


@pytest.fixture(scope="session")
def gvisor() -> Sandbox:
    return real_sandbox("gvisor")


def write_files(root: Path, files: Files) -> None:
    for path, content in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else textwrap.dedent(content).encode())


@pytest.fixture
def checkout(tmp_path: Path) -> Callable[[Files], Checkout]:
    """Commits files to a new repository and checks them out."""

    def make(files: Files) -> Checkout:
        repository = tmp_path / "repository"
        repository.mkdir(exist_ok=True)
        write_files(repository, files)
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "All"]):
            subprocess.run(["git", *command], cwd=repository, env=GIT, check=True)
        return open_checkout(repository, "HEAD", tmp_path / "clean")

    return make


@pytest.fixture
def repair(checkout: Callable[[Files], Checkout], bubblewrap: Sandbox) -> Callable[..., Execution]:
    """Runs one attempt on files given as text."""

    def run(
        files: Files,
        issue: str,
        *,
        engine: Engine | None = None,
        sandbox: Sandbox | None = None,
        seconds: float = 600,
        test_command: str | None = None,
        search: SearchIndex | None = None,
        environments: Options | None = None,
        **callbacks: Any,
    ) -> Execution:
        plan = Plan(goal=issue, hypotheses=(), steps=(), acceptance=(), budget=Budget(seconds=seconds))
        made = checkout(files)
        context = TaskContext(source="test", commit=made.commit, index_version="1", models=(), locations=())
        title, _, body = issue.partition("\n")
        given = AttemptInput(TaskText(title=title, body=body), context, plan, made, test_command, search, environments)
        return execute(given, engine or Search(), sandbox or bubblewrap, Callbacks(**callbacks))

    return run


def applied(files: Files, diff: str, root: Path) -> Path:
    """The files with a diff applied by git itself."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    write_files(root, files)
    environment = {**GIT, "GIT_CEILING_DIRECTORIES": str(root.parent)}
    subprocess.run(["git", "apply", "-"], input=diff.encode(), cwd=root, env=environment, check=True)
    return root
