"""Secrets of the settings from files: `PENSTOCK_X_FILE` names a file that holds the setting `x`.

That is how Docker and Kubernetes hand over secrets. Not for the secrets that the platform makes for itself, which are
in `core.credentials`.
"""

import os
import stat
from pathlib import Path

MOST_BYTES = 64 << 10
SUFFIX = "_FILE"


class SecretFileError(ValueError):
    """A secret cannot be read from its file. `variable` names it; the message says what to do."""

    def __init__(self, variable: str, problem: str) -> None:
        super().__init__(f"{variable}: {problem}")
        self.variable = variable


def secret_file(name: str, prefix: str) -> Path | None:
    """The file of the setting `name`; None if its variable is unset or empty."""
    place = os.environ.get(f"{prefix}{name.upper()}{SUFFIX}")
    return Path(place).expanduser().absolute() if place else None


def read_secret(name: str, prefix: str) -> str | None:
    """The secret in the file of the setting `name`, without one trailing line break; None without such a file.
    Raises `SecretFileError`."""
    path = secret_file(name, prefix)
    if path is None:
        return None
    variable = f"{prefix}{name.upper()}"
    if os.environ.get(variable):
        raise SecretFileError(f"{variable}{SUFFIX}", f"{variable} is set too: unset one of them")
    try:
        # Links are followed, since Kubernetes mounts secrets as links. Opening a pipe must not wait for its writer.
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SecretFileError(f"{variable}{SUFFIX}", f"{path} cannot be read ({error.strerror})") from error
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise SecretFileError(f"{variable}{SUFFIX}", f"{path} is not a file")
    with os.fdopen(number, "rb") as file:
        raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise SecretFileError(f"{variable}{SUFFIX}", f"{path} has more than {MOST_BYTES} bytes")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise SecretFileError(f"{variable}{SUFFIX}", f"{path} is not text in UTF-8") from None
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise SecretFileError(f"{variable}{SUFFIX}", f"{path} is empty")
    return secret
