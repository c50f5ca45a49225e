"""The backends for these tests. One that does not work is skipped, with what to install; in CI it fails."""

import os

import pytest

from sandbox import BACKENDS, backends
from sandbox.protocol import Sandbox


def usable(name: str) -> Sandbox:
    sandbox = next(one for one in backends() if one.name == name)
    problem = sandbox.available()
    if problem is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name}: {problem}")
        pytest.skip(f"{name}: {problem}")
    return sandbox


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Sandbox:
    return usable(request.param)


@pytest.fixture(scope="session")
def bubblewrap() -> Sandbox:
    return usable("bubblewrap")


@pytest.fixture(scope="session")
def gvisor() -> Sandbox:
    return usable("gvisor")
