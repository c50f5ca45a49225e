"""What uv says when it fails, as data."""

import sys
from pathlib import Path

import pytest

from sandbox.environments.egress import Allowed
from sandbox.environments.fetching import Fetching, without_credentials
from sandbox.environments.uv import _failure
from sandbox.environments.wanted import FetchFailed
from tests.sandbox.conftest import usable

SDISTS = """error: No solution found when resolving dependencies
  cause: Because old-one>=0.1.4 has no usable wheels and blocker>=1.5 depends on old-one>=0.1.4, we can conclude that
  blocker>=1.5 cannot be used.

hint: Wheels are required for `Old_One` (v0.1.4) because building from source is disabled (i.e., with `--no-build`)
"""


def test_packages_without_wheels_are_those_that_uv_names_and_no_version() -> None:
    assert _failure(SDISTS).sdists == ("old-one",)
    assert not _failure(SDISTS).unreachable


@pytest.mark.parametrize(
    "text",
    ["error: Request failed after 3 retries\n  cause: dns error", "error sending request for url (https://x.invalid)",
     "HTTP status server error (502 Bad Gateway) for url"],
)  # fmt: skip
def test_a_registry_that_does_not_answer_is_no_conflict(text: str) -> None:
    assert _failure(text).unreachable


def test_a_refused_host_is_named_with_the_setting(tmp_path: Path) -> None:
    usable("bubblewrap")
    program = "import urllib.request; urllib.request.urlopen('http://files.invalid/')"
    with pytest.raises(FetchFailed) as failure:
        Fetching(Allowed(frozenset())).run([sys.executable, "-c", program], 60, tmp_path, {},
                                           readable=[Path(sys.prefix)])  # fmt: skip
    assert str(failure.value).startswith("files.invalid:80 is none of its hosts")
    assert "registry_hosts" in str(failure.value)
    assert failure.value.unreachable


def test_credentials_of_an_index_are_in_no_message() -> None:
    assert "secret" not in without_credentials("cannot fetch https://me:secret@index.invalid/simple/x/")
