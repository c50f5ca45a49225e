"""Real PostgreSQL and Redis in every backend. What is not installed is skipped, and says how to install it; in CI it
fails."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.environments.prepare import Options
from sandbox.environments.services import ServiceDeclarations, Services, open_services
from sandbox.environments.services.plans import plan
from sandbox.environments.wanted import EnvironmentRefused
from sandbox.protocol import Environment, Limits, Sandbox, Session
from sandbox.python import python_runtime

LIMITS = Limits(wall_seconds=300, cpu_seconds=300)
Open = Callable[..., Session]


def declarations(**services: Any) -> ServiceDeclarations:
    """These services, all of which are installed."""
    declared = ServiceDeclarations.model_validate(services)
    try:
        plan(declared)
    except EnvironmentRefused as refused:
        if os.environ.get("CI") == "true":
            pytest.fail(str(refused))
        pytest.skip(str(refused))
    return declared


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("services")


Prepare = Callable[..., Services]


@pytest.fixture
def prepare(backend: Sandbox, cache: Path) -> Prepare:
    """Services by their keys in penstock.toml, ready to be started in the backend."""

    def prepared(**services: Any) -> Services:
        return open_services(declarations(**services), backend, Options(cache, backend.name))

    return prepared


def python_session(backend: Sandbox, folder: Path, services: Services, limits: Limits = LIMITS) -> Session:
    """A session with the packages of this installation, psycopg among them."""
    runtime = python_runtime()
    return backend.open(services.added_to(Environment(folder, runtime.mounts, runtime.variables)), limits)


def run_python(session: Session, code: str) -> str:
    """What a program that runs with the services prints; it must end without an error."""
    done = session.run([python_runtime().executable, "-c", code], services=True)
    assert done.ok, (done, done.stderr.decode())
    return done.stdout.decode().strip()
