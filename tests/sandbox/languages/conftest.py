"""Repositories in other languages, written here, and a registry of static files on loopback for their packages.

A language whose programs are not installed is skipped, with what to install; in CI that is a failure.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sandbox import backends
from sandbox.environments.languages import Language, Needs, SourceTree
from sandbox.environments.languages.prepare import LanguageEnvironment, prepare_language
from sandbox.environments.languages.suite import SuiteRun, open_session, run_tests
from sandbox.environments.prepare import Options
from sandbox.environments.wanted import EnvironmentRefused
from sandbox.protocol import Limits, Sandbox

LIMITS = Limits(wall_seconds=600, cpu_seconds=1200, memory_bytes=4 << 30, processes=256)


class Registry:
    """Serves `files` by path (with its query) on loopback; `asked` are the paths that were requested."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"registry": self}))
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.host = f"127.0.0.1:{self._http.server_address[1]}"
        self.url = f"http://{self.host}"

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    registry: Registry

    def do_GET(self) -> None:
        self.registry.asked.append(self.path)
        content = self.registry.files.get(self.path)
        self.send_response(200 if content is not None else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture
def registry() -> Iterator[Registry]:
    made = Registry()
    yield made
    made.stop()


@pytest.fixture
def repository(tmp_path: Path) -> Callable[[Mapping[str, str]], Path]:
    """Writes files into a new folder."""

    def write(files: Mapping[str, str]) -> Path:
        root = tmp_path / "repository"
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        return root

    return write


def usable(language: Language, needs: Needs) -> None:
    """Skips the test, or fails it in CI, where the language's programs are missing."""
    try:
        language.toolchain(needs)
    except EnvironmentRefused as refused:
        if os.environ.get("CI") == "true":
            pytest.fail(str(refused))
        pytest.skip(str(refused))


class Suites:
    """Makes environments of repositories and runs their tests, in one backend."""

    def __init__(self, cache: Path, sandbox: Sandbox) -> None:
        self.cache, self.sandbox = cache, sandbox

    def environment(self, language: Language, root: Path, **options: Any) -> LanguageEnvironment:
        tree = SourceTree(root)
        needs = language.find(tree)
        assert needs is not None
        usable(language, needs)
        return prepare_language(language, needs, tree, self.sandbox, Options(self.cache, "team/source@main", **options))

    def run(
        self, environment: LanguageEnvironment, tests: tuple[str, ...] = (), changed: Mapping[str, str] | None = None
    ) -> SuiteRun:
        """Runs tests in a new session, after writing the files `changed`."""
        with open_session(environment, environment.tree.root, self.sandbox, LIMITS, {}) as session:
            for path, text in (changed or {}).items():
                session.write(path, text.encode())
            return run_tests(environment, session, LIMITS, tests, 300.0)


@pytest.fixture(params=["bubblewrap", "gvisor"])
def suites(request: pytest.FixtureRequest, shared_cache: Path) -> Suites:
    sandbox = next(one for one in backends() if one.name == request.param)
    problem = sandbox.available()
    if problem is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{request.param}: {problem}")
        pytest.skip(f"{request.param}: {problem}")
    return Suites(shared_cache, sandbox)
