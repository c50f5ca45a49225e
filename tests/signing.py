"""SSH keys for tests of signed commits, and git's own judgement of them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from core.git import SigningKey

WHO = "penstock@example.org"


def require_ssh_keygen() -> None:
    """Skips, with CI=true fails, where there is none."""
    if shutil.which("ssh-keygen") is None:
        problem = "ssh-keygen is not installed (Debian: apt-get install openssh-client)"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(problem)


def new_key(folder: Path, kind: str = "ed25519", passphrase: str = "", name: str = "key") -> SigningKey:
    """A new private key, with its public one beside it."""
    require_ssh_keygen()
    path = folder / f"{name}-{kind}"
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return SigningKey(path, "PENSTOCK_SIGNING_KEY")


def is_signed(repository: Path, commit: str, key: SigningKey, folder: Path) -> bool:
    """Whether `git verify-commit` finds a good signature of a key."""
    allowed = folder / "allowed-signers"
    public = key.path.with_name(f"{key.path.name}.pub").read_text()
    allowed.write_text(f"{WHO} {public}")
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", "-C", str(repository), "-c", f"gpg.ssh.allowedSignersFile={allowed}", "verify-commit", commit],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode == 0 and f'Good "git" signature for {WHO}' in done.stderr
