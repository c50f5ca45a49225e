"""Every backend passes the conformance suite of the sandbox protocol."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import BACKENDS, backends
from sandbox.conformance import CHECKS, Bench
from sandbox.protocol import Sandbox


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Sandbox:
    sandbox = next(one for one in backends() if one.name == request.param)
    problem = sandbox.available()
    if problem is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{sandbox.name}: {problem}")
        pytest.skip(f"{sandbox.name}: {problem}")
    return sandbox


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_backend_gives_the_guarantee(backend: Sandbox, check: Callable[[Bench], None], tmp_path: Path) -> None:
    check(Bench(backend, tmp_path))
