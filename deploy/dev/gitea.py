#!/usr/bin/env python3
"""Builds Gitea into the cache and runs it on loopback with SQLite, as a real forge for development and tests.

Not for production: no TLS, and one administrator whose token is stored with the data. `gitea.py install | start |
status | stop`; from Python, load it by path and call `start_gitea`. Gitea refuses to run as root, so root runs it as
`nobody`.
"""

import json
import os
import pwd
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import servers
from servers import cache_folder, free_port, locked

VERSION = "v1.26.0"
MODULE = "code.gitea.io/gitea"
READY_SECONDS = 120.0
ADMIN = "penstock"

_STATIC = ("options", "public", "templates")

_SETTINGS = """APP_NAME = Gitea
RUN_USER = {user}
RUN_MODE = prod
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = http://127.0.0.1:{port}/
STATIC_ROOT_PATH = {static}
APP_DATA_PATH = {data}/data
DISABLE_SSH = true
OFFLINE_MODE = true
LFS_START_SERVER = false
[database]
DB_TYPE = sqlite3
PATH = {data}/gitea.db
[repository]
ROOT = {data}/repositories
[indexer]
ISSUE_INDEXER_TYPE = db
[log]
ROOT_PATH = {data}/log
LEVEL = Warn
[security]
INSTALL_LOCK = true
SECRET_KEY = {secret}
INTERNAL_TOKEN = {token}
PASSWORD_HASH_ALGO = pbkdf2$1000$50
[webhook]
ALLOWED_HOST_LIST = loopback
DELIVER_TIMEOUT = 10
[service]
DISABLE_REGISTRATION = true
[mailer]
ENABLED = false
[cron]
ENABLED = false
[cron.update_checker]
ENABLED = false
[actions]
ENABLED = false
[packages]
ENABLED = false
"""


class GiteaMissing(RuntimeError):
    """Gitea cannot be built here; the message says what to install."""


class GiteaFailed(RuntimeError):
    """The server did not start; the message holds the end of its log."""


def install() -> Path:
    """The folder with the program and its templates, which are built if missing (about five minutes). Raises
    `GiteaMissing`."""
    home = cache_folder() / f"gitea-{VERSION}"
    home.parent.mkdir(parents=True, exist_ok=True)
    with locked(cache_folder() / f"gitea-{VERSION}.lock"):
        if home.is_dir():
            return home
        go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
        if go is None or shutil.which("gcc") is None:
            raise GiteaMissing("building Gitea needs Go 1.26 or newer (https://go.dev/dl/) and gcc")
        print(f"gitea: building {VERSION}; about five minutes", file=sys.stderr)  # noqa: T201
        with tempfile.TemporaryDirectory(dir=cache_folder()) as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            _build(go, Path(scratch), made)
            made.rename(home)
    return home


def _build(go: str, scratch: Path, made: Path) -> None:
    # A module of our own, since `go install` refuses modules with replace lines. Without checksum verification, since
    # a mirror that serves only modules has no checksum database.
    environment = {**os.environ, "GOSUMDB": "off", "GOFLAGS": "-mod=mod", "CGO_ENABLED": "1"}

    def run(*arguments: str, seconds: float = 600) -> str:
        done = subprocess.run(
            [go, *arguments], cwd=scratch, env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
        if done.returncode != 0:
            raise GiteaMissing(f"Gitea {VERSION} could not be built (go {' '.join(arguments)}):\n{done.stderr[-3000:]}")
        return done.stdout

    (scratch / "go.mod").write_text("module penstock.invalid/gitea\n", encoding="utf-8")
    source = Path(json.loads(run("mod", "download", "-json", f"{MODULE}@{VERSION}"))["Dir"])
    theirs = (source / "go.mod").read_text(encoding="utf-8")
    language = re.search(r"^go \S+$", theirs, re.M)
    replaced = re.findall(r"^replace (.+=>.+)$", theirs, re.M)
    for block in re.findall(r"^replace \((.*?)^\)", theirs, re.M | re.S):
        replaced += [line.strip() for line in block.splitlines() if "=>" in line]
    lines = ["module penstock.invalid/gitea", language[0] if language else "", f"require {MODULE} {VERSION}"]
    lines += [f"replace {line}" for line in replaced]
    (scratch / "go.mod").write_text("\n".join(lines) + "\n", encoding="utf-8")
    flags = ["-trimpath", "-ldflags", f"-s -w -X main.Version={VERSION[1:]}", "-tags", "sqlite sqlite_unlock_notify"]
    run("build", *flags, "-o", str(made / "gitea"), MODULE, seconds=3600)
    for name in _STATIC:
        if (source / name).is_dir():
            shutil.copytree(source / name, made / name)
    for path in (made, *made.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.name == "gitea" else 0o644)


@dataclass(frozen=True)
class GiteaServer:
    """A running server at `url`. `token` is its administrator's, with all permissions."""

    url: str
    pid: int
    data_dir: Path
    token: str = field(repr=False)
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False, compare=False)
    """Set when this process started it."""

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Calls the REST API below /api/v1 and returns the decoded answer. Raises `urllib.error.HTTPError`."""
        request = urllib.request.Request(  # noqa: S310  the address is ours
            f"{self.url}/api/v1{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"token {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            raw = response.read()
        return json.loads(raw) if raw else None

    def stop(self, grace: float = 10.0) -> None:
        """Terminates the server, and kills it after `grace` seconds."""
        servers.stop(self.pid, lambda: _is_ours(self.pid, self.data_dir), grace, process=self.process)
        (self.data_dir / "gitea.pid").unlink(missing_ok=True)


def start_gitea(data_dir: Path, port: int | None = None, *, die_with_parent: bool = False) -> GiteaServer:
    """Starts a server on `data_dir`, which is created or reused with its data, and waits until it answers.

    If run by root, the folder is given to `nobody`, who must be able to reach it. `port` defaults to the previous one,
    else a free one. `die_with_parent` ends the server with the calling process. Raises `GiteaMissing`, `GiteaFailed`.
    """
    home = install()
    data_dir = data_dir.absolute()
    data_dir.mkdir(parents=True, exist_ok=True)
    running = running_gitea(data_dir)
    if running:
        return running
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    settings = data_dir / "app.ini"
    if not settings.is_file():
        secret = {"secret": secrets.token_hex(32), "token": secrets.token_hex(32)}
        made = _SETTINGS.format(user=user.pw_name, port=port or free_port(), static=home, data=data_dir, **secret)
        settings.touch(mode=0o600)
        settings.write_text(made, encoding="utf-8")
    elif port:
        text = settings.read_text(encoding="utf-8")
        text = re.sub(r"^HTTP_PORT = \d+", f"HTTP_PORT = {port}", text, flags=re.M)
        settings.write_text(re.sub(r"127\.0\.0\.1:\d+/", f"127.0.0.1:{port}/", text), encoding="utf-8")
    program = _Program(home / "gitea", data_dir, user)
    program.own()
    program.run("migrate")
    token = _token(program, data_dir)
    return _serve(program, data_dir, token, die_with_parent)


@dataclass(frozen=True)
class _Program:
    """Gitea's program with one configuration, and the user to run it as."""

    path: Path
    data_dir: Path
    user: pwd.struct_passwd

    @property
    def command(self) -> list[str]:
        return [str(self.path), "--config", str(self.data_dir / "app.ini"), "--work-path", str(self.data_dir)]

    @property
    def options(self) -> dict[str, Any]:
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(self.data_dir), "USER": self.user.pw_name}
        found: dict[str, Any] = {"cwd": self.data_dir, "env": environment, "stdin": subprocess.DEVNULL}
        if os.geteuid() == 0:
            found |= {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        return found

    def own(self) -> None:
        if os.geteuid() == 0:
            for path in (self.data_dir, *self.data_dir.rglob("*")):
                os.chown(path, self.user.pw_uid, self.user.pw_gid, follow_symlinks=False)
            for parent in self.path.parents[:-1]:  # Gitea does not run as root, and must reach its program
                if not parent.stat().st_mode & 0o001:
                    print(f"gitea: letting other users enter (not list) {parent}", file=sys.stderr)  # noqa: T201
                    parent.chmod(parent.stat().st_mode | 0o001)

    def run(self, *arguments: str) -> str:
        try:
            done = subprocess.run(
                [*self.command, *arguments], capture_output=True, text=True, timeout=120, check=False, **self.options
            )
        except PermissionError as error:
            raise GiteaFailed(
                f"user {self.user.pw_name} cannot reach {self.path} or {self.data_dir}: use a data folder, and a cache "
                "folder (PENSTOCK_CACHE), that other users may enter"
            ) from error
        if done.returncode != 0:
            raise GiteaFailed(f"gitea {' '.join(arguments[:3])} failed:\n{(done.stderr or done.stdout)[-3000:]}")
        return str(done.stdout)


def _token(program: _Program, data_dir: Path) -> str:
    """The administrator's token. Administrator and token are created at the first start."""
    kept = data_dir / "token"
    if kept.is_file():
        return kept.read_text(encoding="ascii").strip()
    password = secrets.token_urlsafe(24)
    who = ["--username", ADMIN, "--email", "penstock@example.org", "--must-change-password=false"]
    program.run("admin", "user", "create", "--admin", "--password", password, *who)
    made = program.run(
        "admin", "user", "generate-access-token", "--username", ADMIN, "--token-name", "dev", "--scopes", "all", "--raw"
    )
    token = made.strip().splitlines()[-1].strip()
    kept.touch(mode=0o600)
    kept.write_text(token, encoding="ascii")
    return token


def _serve(program: _Program, data_dir: Path, token: str, die_with_parent: bool) -> GiteaServer:
    found = re.search(r"^HTTP_PORT = (\d+)", (data_dir / "app.ini").read_text(encoding="utf-8"), re.M)
    url = f"http://127.0.0.1:{found[1] if found else 3000}"
    log = data_dir / "gitea.log"
    process = servers.start([*program.command, "web"], log, die_with_parent=die_with_parent, **program.options)
    server = GiteaServer(url, process.pid, data_dir, token, process)
    (data_dir / "gitea.pid").write_text(f"{process.pid} {url}\n", encoding="utf-8")
    if not servers.wait_until(lambda: _answers(server), process, READY_SECONDS):
        server.stop(grace=0)
        raise GiteaFailed(f"Gitea did not start at {url}; the end of {log}:\n{servers.tail(log)}")
    return server


def running_gitea(data_dir: Path) -> GiteaServer | None:
    """The server that runs on `data_dir`, or None."""
    noted, token = servers.read_pid(data_dir / "gitea.pid"), data_dir / "token"
    if noted is None or not token.is_file():
        return None
    server = GiteaServer(noted[1], noted[0], data_dir.absolute(), token.read_text(encoding="ascii").strip())
    return server if _is_ours(server.pid, server.data_dir) else None


def _answers(server: GiteaServer) -> bool:
    try:
        return bool(server.api("GET", "/version"))
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _is_ours(pid: int, data_dir: Path) -> bool:
    """Whether `pid` is the server on `data_dir`, and not a later process with the same id."""
    return servers.holds(pid, str(data_dir / "app.ini"))


def main(arguments: list[str] | None = None) -> int:
    def shown(server: GiteaServer) -> str:
        return f"{server.url}, process {server.pid}, administrator {ADMIN}, token in {server.data_dir / 'token'}"

    return servers.command_line(
        "gitea",
        "Gitea for development: a real forge on loopback.",
        {
            "install": f"build Gitea {VERSION} into the cache",
            "start": "start a server and print its address, process id and token file",
            "status": "print the same; exit code 1 if none runs",
            "stop": "stop the server; its data stays",
        },
        install,
        lambda given: start_gitea(given.data, given.port),
        running_gitea,
        shown,
        (GiteaMissing, GiteaFailed),
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
