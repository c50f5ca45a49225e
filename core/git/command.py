"""Runs one git command, with every setting switched off that could run another program.

Git always reads the repository's own configuration, so each setting that names a program is overridden in the
command's configuration, which takes precedence. Output and time are bounded. Not for deciding what to run: that is
`core.git.repository` and `core.git.mirror`.
"""

import contextlib
import os
import re
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

OUTPUT_LIMIT = 256 << 20
"""Most bytes of standard output read from one command."""

TIMEOUT = 60.0

_KEPT = (
    "PATH",
    "HOME",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "all_proxy",
    "no_proxy",
)

# Never prompts, and times out when a host does not answer.
_SSH = "ssh -oBatchMode=yes -oConnectTimeout=20 -oServerAliveInterval=15"

# Each of these, set by a repository, would run a program or change what a command means.
_OVERRIDES = {
    "safe.directory": "*",
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.splitIndex": "false",
    "core.sparseCheckout": "false",
    "core.alternateRefsCommand": "",
    "core.sshCommand": _SSH,
    "core.askPass": "",
    "core.pager": "cat",
    "core.quotePath": "false",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "credential.helper": "",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    "diff.external": "",
    "diff.submodule": "short",
    "diff.ignoreSubmodules": "all",
    "diff.orderFile": "/dev/null",
    "log.showSignature": "false",
    "protocol.ext.allow": "never",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "fetch.writeCommitGraph": "false",
    "gc.autoDetach": "false",
    "maintenance.autoDetach": "false",
    "commit.gpgSign": "false",
    "i18n.commitEncoding": "UTF-8",
    "i18n.logOutputEncoding": "UTF-8",
    "apply.whitespace": "nowarn",
    "apply.ignoreWhitespace": "no",
    "color.ui": "false",
}


class GitError(RuntimeError):
    """A git command failed; the message names the repository and the purpose, never a credential.

    `said` is git's own error message, if any.
    """

    def __init__(self, message: str, said: str = "") -> None:
        super().__init__(message)
        self.said = said


class GitTimeout(GitError):
    """A git command took longer than its timeout and was killed."""


# A password may hold a slash that should have been written as %2F; a port is not a password.
_SECRETS = re.compile(r"(?<=://)(?:[^/\s'\"]*|[^/\s'\":]*:(?!\d{1,5}(?:[/\s'\"]|$))[^\s'\"]*)@")


def redact(text: str) -> str:
    """The text with user names, passwords and tokens in URLs replaced by `***`."""
    return _SECRETS.sub("***@", text)


def redact_location(location: str) -> str:
    """The location without anything that may be a credential, however malformed it is."""
    scheme, mark, rest = location.rpartition("://")
    head, at, tail = rest.rpartition("@")
    secret = bool(mark) or (":" in head and not head.startswith(("/", ".", "~")))
    return f"{scheme}{mark}***@{tail}" if at and secret else location


def environment(protocols: str = "none", extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment of a git command. `protocols` are the transports that it may use, separated by ':'."""
    env = {name: os.environ[name] for name in _KEPT if name in os.environ}
    env |= {
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_ALLOW_PROTOCOL": protocols,
        "GIT_SSH_COMMAND": _SSH,
        "GIT_ASKPASS": "/bin/false",
        "SSH_ASKPASS": "/bin/false",
        "GIT_CONFIG_COUNT": str(len(_OVERRIDES)),
    }
    for number, (key, value) in enumerate(_OVERRIDES.items()):
        env[f"GIT_CONFIG_KEY_{number}"] = key
        env[f"GIT_CONFIG_VALUE_{number}"] = value
    return env | dict(extra or {})


def with_config(env: dict[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """`env` with more settings in the command's configuration."""
    count = int(env["GIT_CONFIG_COUNT"])
    more = {"GIT_CONFIG_COUNT": str(count + len(settings))}
    for number, (key, value) in enumerate(settings.items(), start=count):
        more |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return env | more


def run(
    arguments: Iterable[str],
    *,
    purpose: str,
    where: Path | str,
    git_dir: Path | None = None,
    env: dict[str, str] | None = None,
    data: bytes = b"",
    timeout: float = TIMEOUT,
    limit: int = OUTPUT_LIMIT,
    accept: tuple[int, ...] = (0,),
) -> tuple[int, bytes]:
    """Runs `git ARGUMENTS` and returns (exit status, standard output).

    Raises `GitError` when the status is not in `accept` or the output passes `limit`, and
    `GitTimeout`. `where` and `purpose` are for the message.
    """
    with _start(arguments, git_dir, env, data) as process:
        output, errors = _collect(process, purpose, where, timeout, limit)
        status = process.wait()
    if status not in accept:
        raise _failure(purpose, where, status, errors)
    return status, output


@contextlib.contextmanager
def stream(
    arguments: Iterable[str],
    *,
    purpose: str,
    where: Path | str,
    git_dir: Path | None = None,
    data: bytes = b"",
    timeout: float = TIMEOUT,
) -> Iterator[IO[bytes]]:
    """Runs `git ARGUMENTS` and yields its standard output for reading piece by piece. Raises like `run`."""
    late = threading.Event()
    with (
        tempfile.TemporaryFile() as complaints,
        _start(arguments, git_dir, None, data, stderr=complaints.fileno()) as process,
    ):

        def stop() -> None:
            late.set()
            _kill(process)

        timer = threading.Timer(timeout, stop)
        timer.daemon = True
        timer.start()
        try:
            output = _pipe(process.stdout)
            yield output
            output.close()
            status = process.wait()
        except BaseException:
            if late.is_set():
                raise GitTimeout(f"{purpose} in {_shown(where)}: ended after {timeout:g} s") from None
            raise
        finally:
            timer.cancel()
        if late.is_set():
            raise GitTimeout(f"{purpose} in {_shown(where)}: ended after {timeout:g} s")
        if status:
            complaints.seek(0)
            raise _failure(purpose, where, status, complaints.read(1 << 16))


@contextlib.contextmanager
def _start(
    arguments: Iterable[str],
    git_dir: Path | None,
    env: dict[str, str] | None,
    data: bytes,
    stderr: int = subprocess.PIPE,
) -> Iterator[subprocess.Popen[bytes]]:
    command = ["git", "--no-pager", *([f"--git-dir={git_dir}"] if git_dir else []), *arguments]
    with contextlib.ExitStack() as stack:
        stdin: IO[bytes] | int = subprocess.DEVNULL
        if data:
            stdin = stack.enter_context(tempfile.TemporaryFile())
            stdin.write(data)
            stdin.seek(0)
        try:
            process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=env or environment(),
                cwd="/",
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise GitError("git is not installed: install it (Debian: apt-get install git)") from error
        try:
            yield process
        finally:
            if process.poll() is None:
                _kill(process)
                process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe:
                    pipe.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    # The whole session: ssh and remote helpers are its children.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _collect(
    process: subprocess.Popen[bytes], purpose: str, where: Path | str, timeout: float, limit: int
) -> tuple[bytes, bytes]:
    output, errors = bytearray(), bytearray()
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        selector.register(_pipe(process.stdout), selectors.EVENT_READ, output)
        selector.register(_pipe(process.stderr), selectors.EVENT_READ, errors)
        while selector.get_map():
            left = deadline - time.monotonic()
            ready = selector.select(max(left, 0))
            if not ready and left <= 0:
                raise GitTimeout(f"{purpose} in {_shown(where)}: ended after {timeout:g} s")
            for key, _ in ready:
                piece = os.read(key.fd, 1 << 18)
                if not piece:
                    selector.unregister(key.fileobj)
                elif key.data is output:
                    output += piece
                    if len(output) > limit:
                        raise GitError(f"{purpose} in {_shown(where)}: more than {limit} bytes of output")
                elif len(errors) < 1 << 16:
                    errors += piece
    return bytes(output), bytes(errors)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("the process was started without this pipe")
    return pipe


def _failure(purpose: str, where: Path | str, status: int, errors: bytes) -> GitError:
    text = redact(errors.decode(errors="replace")).strip()
    said = " ".join([line.strip() for line in text.splitlines() if line.strip()][-6:])[-800:]
    said = "".join(letter if letter.isprintable() else " " for letter in said)  # a server's message may hold anything
    return GitError(f"{purpose} in {_shown(where)} failed: {said or f'git ended with status {status}'}", said)


def _shown(where: Path | str) -> str:
    return redact(str(where))
