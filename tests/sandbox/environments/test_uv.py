"""What uv says when it fails, as data."""

import pytest

from sandbox.environments.uv import _failure, _without_credentials

SDISTS = """error: No solution found when resolving dependencies
  cause: Because old-one>=0.1.4 has no usable wheels and blocker>=1.5 depends on old-one>=0.1.4, we can conclude that
  blocker>=1.5 cannot be used.

hint: Wheels are required for `Old_One` (v0.1.4) because building from source is disabled (i.e., with `--no-build`)
"""


def test_packages_without_wheels_are_those_that_uv_names_and_no_version() -> None:
    assert _failure(SDISTS, ()).sdists == ("old-one",)
    assert not _failure(SDISTS, ()).unreachable


@pytest.mark.parametrize(
    "text",
    ["error: Request failed after 3 retries\n  cause: dns error", "error sending request for url (https://x.invalid)",
     "HTTP status server error (502 Bad Gateway) for url"],
)  # fmt: skip
def test_a_registry_that_does_not_answer_is_no_conflict(text: str) -> None:
    assert _failure(text, ()).unreachable


def test_a_refused_host_is_named_with_the_setting() -> None:
    message = str(_failure("tunnel error: unsuccessful", ["files.invalid:443"]))
    assert message.startswith("files.invalid:443 is none of its hosts")
    assert "registry_hosts" in message


def test_credentials_of_an_index_are_in_no_message() -> None:
    assert "secret" not in _without_credentials("cannot fetch https://me:secret@index.invalid/simple/x/")
