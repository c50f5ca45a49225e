"""The head of a branch at a configured location, without a mirror."""

from collections.abc import Iterable
from pathlib import Path

from core.git import command
from core.git.credentials import Credential, split_credential, with_credential
from core.git.mirror import address_of, remote_head


def branch_head(
    location: str, branch: str | None, *, roots: Iterable[Path] = (), credential: Credential | None = None
) -> tuple[str, str]:
    """(branch, commit) of `branch` (None: the default one) at this moment. Raises as `fetch_mirror` does."""
    address, protocols = address_of(location, tuple(roots))
    address, own = split_credential(address)
    env = with_credential(command.environment(protocols), address, own or credential)
    return remote_head(address, branch, env=env)
