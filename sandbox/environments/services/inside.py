"""Starts services inside the sandbox, then a command, and ends as the command does.

It is started as `python inside.py SPECIFICATION NAME=value... -- COMMAND`, and uses the standard library only. Two
processes: one starts and watches the services, as a user other than root; the other waits for the command, which gets
the variables, standard input and output, and no capability. Both end with the sandbox, and so do the services.

A process of the command can ask for services as they were at first, by the line `reset` on the socket `CONTROL`; the
answer is `ok`, or why they did not get ready.
"""

import ctypes
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import time
from typing import Any, NoReturn

FOLDER = "/tmp/.penstock-services"  # noqa: S108 - a path inside the sandbox
CONTROL = f"{FOLDER}/control"
NOT_READY = 98
"""The exit code when a service did not get ready; standard error then begins with `MARK`."""
MARK = "services: "
_USER = 1000
_POLL = 0.02
_STOP_SECONDS = 5.0
_VARIABLES = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": FOLDER, "TZ": "UTC"}
_CAPABILITY_VERSION = 0x20080522
_PR_CAPBSET_DROP, _PR_CAP_AMBIENT, _CLEAR_ALL = 24, 47, 4


class NotReady(Exception):
    """A service did not get ready; the message says which and why."""


def main() -> None:
    at = sys.argv.index("--")
    specification, command = json.loads(sys.argv[1]), sys.argv[at + 1 :]
    variables = dict(text.split("=", 1) for text in sys.argv[2:at])
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        try:
            _keep(specification, variables, writing)
        finally:
            os._exit(1)
    os.close(writing)
    _drop_capabilities(leave_root=False)
    problem = _all(reading)
    if problem != b"ready":
        message = problem.decode(errors="replace") or "the process that starts them ended"
        sys.stderr.write(f"{MARK}{message}\n")
        sys.stderr.flush()
        os._exit(NOT_READY)
    child = os.fork()
    if child == 0:
        _execute(command, variables)
    _to_null(0, 1, 2)
    while True:
        pid, status = os.wait()  # in gVisor this is the first process, which also gets the children of others
        if pid == child:
            os._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))


def _execute(command: list[str], variables: dict[str, str]) -> NoReturn:
    """Becomes the command. Exit codes are those of a shell."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, variables)  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(126 if isinstance(error, PermissionError) else 127)


def _all(descriptor: int) -> bytes:
    content = b""
    while chunk := os.read(descriptor, 4096):
        content += chunk
    os.close(descriptor)
    return content


def _to_null(*descriptors: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    os.close(null)


# privileges


def _drop_capabilities(*, leave_root: bool) -> None:
    """Gives up every capability, also for programs that this process starts; with `leave_root`, root's user as well:
    programs such as PostgreSQL refuse to run as root. Raises `OSError` when something is left."""
    libc = ctypes.CDLL(None, use_errno=True)
    for number in range(64):  # first: it needs a capability itself
        libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
    if leave_root and os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_USER, _USER, _USER)
        os.setresuid(_USER, _USER, _USER)
    libc.prctl(_PR_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    if libc.capset(header, struct.pack("=6I", 0, 0, 0, 0, 0, 0)) != 0:
        raise OSError(ctypes.get_errno(), "capabilities cannot be given up")
    # Root gets those of its bounding set back with the next program; nobody else does.
    kinds = ("CapPrm", "CapEff", "CapAmb", *(("CapBnd",) if os.geteuid() == 0 else ()))
    with open("/proc/self/status") as file:  # noqa: PTH123
        left = [" ".join(line.split()) for line in file if line.startswith(kinds)]
    if any(int(line.split()[1], 16) for line in left):
        raise OSError(0, f"capabilities could not be given up: {', '.join(left)}")


# the services


def _keep(specification: dict[str, Any], variables: dict[str, str], ready: int) -> NoReturn:
    """Starts the services, says through the descriptor `ready` that they are ready or why not, and serves requests."""
    workspace = os.getcwd()  # noqa: PTH109
    os.setsid()
    _to_null(0, 1, 2)
    try:
        _drop_capabilities(leave_root=True)
        os.mkdir(FOLDER, 0o755)  # noqa: PTH102
        services = [Service(given) for given in specification["services"]]
        for service in services:
            service.initialise()
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(CONTROL)
        os.chmod(CONTROL, 0o666)  # noqa: PTH101, S103
        listening.listen(16)
        start(services, specification["seconds"])
        _set_up(specification, variables, workspace)
    except NotReady as error:
        os.write(ready, str(error).encode()[:4000])
        os._exit(1)
    except Exception as error:
        os.write(ready, f"{type(error).__name__}: {error}".encode()[:4000])
        os._exit(1)
    os.write(ready, b"ready")
    os.close(ready)
    touched = False
    while True:
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(2.0)
            try:
                if connection.recv(16) != b"reset\n":
                    continue
                if touched:
                    for service in services:
                        service.stop()
                    start(services, specification["seconds"])
                    _set_up(specification, variables, workspace)
                touched = True
                connection.sendall(b"ok")
            except NotReady as error:
                connection.sendall(str(error).encode()[:4000])
            except OSError:
                continue


def start(services: "list[Service]", seconds: float) -> None:
    """Starts all and waits until each answers. Raises `NotReady`."""
    for service in services:
        service.start()
    until = time.monotonic() + seconds
    for service in services:
        while not service.answers():
            if (code := service.ended()) is not None:
                raise NotReady(f"{service.name} ended with {code}: {service.said()}")
            if time.monotonic() > until:
                raise NotReady(f"{service.name} did not answer within {seconds:g} s: {service.said()}")
            time.sleep(_POLL)


def _set_up(specification: dict[str, Any], variables: dict[str, str], workspace: str) -> None:
    """Runs the repository's commands that fill the services with what its tests expect. Raises `NotReady`."""
    until = time.monotonic() + specification["set_up_seconds"]
    for line in specification["set_up"]:
        with open(f"{FOLDER}/set-up.log", "w+b") as log:  # noqa: PTH123
            try:
                code = subprocess.run(["/bin/sh", "-c", line], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                      env=variables, cwd=workspace, check=False,
                                      timeout=max(0.1, until - time.monotonic())).returncode  # fmt: skip
            except subprocess.TimeoutExpired:
                code = -1
            log.seek(max(0, os.fstat(log.fileno()).st_size - 4000))
            if code != 0:
                how = f"ended with {code}" if code >= 0 else "did not end in time"
                raise NotReady(f"the setup command {line[:100]!r} {how}: {_end(log.read())}")


class Service:
    """One service. Its data are in a new folder each time that it is started."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.name, self.kind, self.port = str(given["name"]), str(given["kind"]), int(given["port"])
        self._given = given
        self._numbers = 0
        self._folder = ""
        self._archive = str(given.get("archive", ""))
        self._process: subprocess.Popen[bytes] | None = None

    def _words(self, command: list[str]) -> list[str]:
        return [word.replace("{folder}", self._folder) for word in command]

    def _new_folder(self) -> None:
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._numbers += 1
        self._folder = f"{FOLDER}/{self.kind}-{self._numbers}"
        os.mkdir(self._folder, 0o700)  # noqa: PTH102

    def initialise(self) -> None:
        """Makes the data that it starts with, where they are not given, and archives them. Raises `NotReady`."""
        if self._archive or not self._given.get("initialise"):
            return
        self._new_folder()
        for command, text in self._given["initialise"]:
            done = subprocess.run(self._words(command), input=text.encode(), stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, env=_VARIABLES, cwd=FOLDER, check=False)  # fmt: skip
            if done.returncode != 0:
                raise NotReady(f"{self.name}: {os.path.basename(command[0])} ended with {done.returncode}: "  # noqa: PTH119
                               f"{_end(done.stdout)}")  # fmt: skip
        self._archive = f"{FOLDER}/{self.kind}.tar"
        with tarfile.open(self._archive, "w") as archive:
            archive.add(self._folder, ".")
        os.chmod(self._archive, 0o644)  # noqa: PTH101

    def start(self) -> None:
        self._new_folder()
        if self._archive:
            _unpack(self._archive, self._folder)
        with open(f"{FOLDER}/{self.kind}.log", "wb") as log:  # noqa: PTH123
            self._process = subprocess.Popen(self._words(self._given["command"]), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=_VARIABLES, cwd=FOLDER, start_new_session=True)  # fmt: skip

    def ended(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll() if self._process is not None else None

    def stop(self) -> None:
        """Without writing anything back. PostgreSQL ends its own children when it is sent SIGQUIT."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGQUIT if self.kind == "postgresql" else signal.SIGKILL)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def said(self) -> str:
        """The end of its log."""
        with open(f"{FOLDER}/{self.kind}.log", "rb") as log:  # noqa: PTH123
            log.seek(max(0, os.fstat(log.fileno()).st_size - 4000))
            return _end(log.read())

    def answers(self) -> bool:
        """Whether it is ready for work, by its own protocol."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2.0) as connection:
                connection.settimeout(5.0)
                return _ASK[self.kind](connection, self._given)
        except OSError:
            return False


def _unpack(archive: str, folder: str) -> None:
    """The files and folders of an archive that `initialise` made, for their owner. In gVisor this takes a quarter of
    the time of `extractall`, which sets times, modes and owners."""
    with tarfile.open(archive) as opened:
        for member in opened:
            path = f"{folder}/{member.name}"
            if member.isdir():
                os.makedirs(path, 0o700, exist_ok=True)  # noqa: PTH103
            elif (content := opened.extractfile(member)) is not None:
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                    file.write(content.read())


def _end(output: bytes) -> str:
    lines = [" ".join(line.split()) for line in output.decode(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-4:])[-360:] or "it said nothing"


def _postgresql(connection: socket.socket, given: dict[str, Any]) -> bool:
    """Sends a start-up message (protocol 3.0); a server that is still starting answers with an error."""
    words = ["user", given["user"], "database", given["database"], ""]
    body = struct.pack("!I", 196608) + b"".join(word.encode() + b"\0" for word in words)
    connection.sendall(struct.pack("!I", len(body) + 4) + body)
    return connection.recv(1) == b"R"


def _redis(connection: socket.socket, given: dict[str, Any]) -> bool:
    """PING; a server with a password answers that one is needed, and one that is still loading that it is loading."""
    connection.sendall(b"*1\r\n$4\r\nPING\r\n")
    return connection.recv(7).startswith((b"+PONG", b"-NOAUTH"))


_ASK = {"postgresql": _postgresql, "redis": _redis}


if __name__ == "__main__":
    main()
