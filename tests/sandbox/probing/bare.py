"""What a sandbox is not: plain processes on a copy of the workspace, and a proxy that refuses nothing. Every probe must
get through here, which shows that it is able to. For `control.py`, which runs it in namespaces of its own."""

import os
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from sandbox.environments.egress import Allowed
from sandbox.protocol import CommandResult, Environment, Limits
from sandbox.python import base_interpreter

BROKEN_SERVICES = """
import os, time
clock = time.time
time.time = lambda: clock() + 3600
os.urandom = bytes
"""
"""A sitecustomize module for commands: a clock that is an hour ahead, and random numbers that are all zero."""


class BareProcess:
    def __init__(self, process: "subprocess.Popen[bytes]", stdin: bytes | None) -> None:
        self._process = process
        self._began = time.monotonic()
        self._stdin = stdin

    def write_line(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()

    def read_line(self, timeout: float) -> bytes | None:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], timeout)[0]:
            raise TimeoutError("no line")
        return self._process.stdout.readline().removesuffix(b"\n") or None

    def finish(self, timeout: float = 5.0) -> CommandResult:
        out, errors = self._process.communicate(self._stdin, timeout=None if self._stdin is not None else timeout)
        return CommandResult(self._process.returncode, out, errors, time.monotonic() - self._began)

    def kill(self) -> None:
        self._process.kill()


class BareSession:
    backend = "none"

    def __init__(self, environment: Environment) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="penstock-bare-"))
        shutil.copytree(environment.workspace, self.folder, symlinks=True, dirs_exist_ok=True)
        self.folder.chmod(0o755)
        for path in self.folder.iterdir():
            if path.is_symlink() and path.is_file():  # followed, as a careless copy does
                content = path.read_bytes()
                path.unlink()
                path.write_bytes(content)
        self._sites = Path(tempfile.mkdtemp(prefix="penstock-site-"))
        (self._sites / "sitecustomize.py").write_text(BROKEN_SERVICES)
        self._memory = Path(tempfile.mkdtemp(prefix="penstock-memory-"))
        self._environment = environment

    def start(
        self,
        argv: list[str],
        *,
        limits: Limits | None = None,
        variables: Mapping[str, str] | None = None,
        services: bool = False,
    ) -> BareProcess:
        return self._begin(argv, None)

    def run(
        self,
        argv: list[str],
        *,
        stdin: bytes = b"",
        limits: Limits | None = None,
        variables: Mapping[str, str] | None = None,
        services: bool = False,
    ) -> CommandResult:
        return self._begin(argv, stdin).finish()

    def _begin(self, argv: list[str], stdin: bytes | None) -> BareProcess:
        if argv[0].startswith("/opt/penstock/"):
            argv = [str(base_interpreter()), *argv[1:]]
        argv = [part.replace("/tmp", str(self._memory)).replace("/dev/shm", str(self._memory)) for part in argv]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            argv, stdin=pipe, stdout=pipe, stderr=pipe, cwd=self.folder, close_fds=False,
            env={**os.environ, "PYTHONPATH": str(self._sites)},
        )  # fmt: skip
        return BareProcess(process, stdin)

    def read(self, path: str, max_bytes: int = 16 << 20) -> bytes:
        return (self.folder / path).read_bytes()

    def write(self, path: str, content: bytes) -> None:
        (self.folder / path).write_bytes(content)

    def close(self) -> None:
        for folder in (self.folder, self._sites, self._memory):
            shutil.rmtree(folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Bare:
    name = "none"

    def available(self) -> str | None:
        return None

    def open(self, environment: Environment, limits: Limits = Limits()) -> BareSession:  # noqa: B008 - immutable
        return BareSession(environment)


Resolve = Callable[[str, int], list[str]]
Dial = Callable[[str, int], socket.socket]


class OpenProxy:
    """Believes the last host that a request names, connects to whatever the name leads to now, and takes one request
    after another from each connection."""

    def __init__(self, allowed: Allowed, resolve: Resolve, dial: Dial) -> None:
        self._resolve, self._dial = resolve, dial
        self._folder = tempfile.TemporaryDirectory(prefix="penstock-open-proxy-")
        self.socket = Path(self._folder.name) / "proxy"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.socket))
        self._listener.listen(32)
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._folder.cleanup()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(client,), daemon=True).start()

    def _one(self, client: socket.socket) -> None:
        with client:
            data = b""
            while chunk := client.recv(65536):
                data += chunk
                while b"\r\n\r\n" in data:
                    head, _, data = data.partition(b"\r\n\r\n")
                    client.sendall(self._answer(head))

    def _answer(self, head: bytes) -> bytes:
        method, target = head.split()[:2]
        if method == b"CONNECT":
            host, port = self._place(target.rpartition(b"@")[2])
            established = b"HTTP/1.1 200 Connection established\r\n\r\n"
            return established + self._fetched(host, port, b"hello\r\n\r\n")
        address = urlsplit(target.decode())
        host, port = self._place(address.netloc.rpartition("@")[2].encode())
        return self._fetched(host, port, b"GET %s HTTP/1.1\r\n\r\n" % (address.path or "/").encode())

    @staticmethod
    def _place(text: bytes) -> tuple[str, int]:
        host, _, port = text.decode().rpartition(":")
        return host, int(port)

    def _fetched(self, host: str, port: int, request: bytes) -> bytes:
        self._resolve(host, port)  # the check, whose answer is not what is connected to
        with self._dial(self._resolve(host, port)[0], port) as upstream:
            upstream.sendall(request)
            upstream.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: upstream.recv(4096), b""))


def open_proxy(allowed: Allowed, resolve: Resolve, dial: Dial) -> Any:
    return OpenProxy(allowed, resolve, dial)
