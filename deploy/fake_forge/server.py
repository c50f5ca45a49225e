"""HTTP for the fake forge: reads a request, injects faults, asks the dialect or git, writes the log and the answer."""

import base64
import binascii
import contextlib
import json
import re
import socket
import threading
import time
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from deploy.fake_forge import (
    bitbucket,
    checks,
    faults,
    git,
    gitea,
    github,
    github_app,
    github_issues,
    gitlab,
    jira,
    linear,
    pages,
    reviews,
    slack,
)
from deploy.fake_forge.exchange import Call, Reply, UnknownEndpoint
from deploy.fake_forge.records import NotFound, Request, Token
from deploy.fake_forge.state import State

LONGEST_CALL = 8 << 20
"""Of a REST request's body, in bytes."""
LONGEST_PUSH = 64 << 20
DIALECTS = (github, gitlab, gitea, bitbucket, jira, linear, slack)
ROUTE_MODULES = (*DIALECTS, github_app, github_issues, reviews, checks)  # importing the last four adds their routes
_GIT = re.compile(r"/(?P<repository>[^/]+/[^/]+)\.git/(?P<service>info/refs|git-upload-pack|git-receive-pack)")
_TIMEOUT = 60
_IDENTITY = "fake-forge"


class TooLarge(Exception):
    """The body is longer than it may be."""


class Server(ThreadingHTTPServer):
    """Serves one state on loopback."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, state: State, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.state = state
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.faults = faults.Faults()
        self.requests: list[Request] = []
        self.unknown: list[Request] = []
        self.failures: list[str] = []
        self.stopping = threading.Event()
        self.pushing = threading.Lock()
        self.keep: Callable[[], object] = lambda: None
        """Called after each request that may have changed the state, before its answer."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error here."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = _IDENTITY, ""
    timeout = _TIMEOUT
    server: Server

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = do_GET

    def log_message(self, format: str, *arguments: object) -> None:
        """The log is `Server.requests`."""

    def _serve(self) -> None:
        if self.server.stopping.is_set():
            self._hang_up()
            return
        path = urlsplit(self.path).path
        headers = {name.lower(): value for name, value in self.headers.items()}
        is_git = _GIT.fullmatch(path)
        try:
            body = self._body(headers, LONGEST_PUSH if is_git else LONGEST_CALL)
        except (TooLarge, ValueError):
            self.close_connection = True
            self._send(Reply(413, {"message": "the request's body is too large or has no readable length"}))
            return
        if path.startswith("/_fake/"):
            self._send(self._control(path, body))
            return
        dialect = next((module for module in DIALECTS if f"{path}/".startswith(f"{module.PREFIX}/")), None)
        secret = dialect.credential(headers) if dialect else _basic(headers) if is_git else ""
        token = self.server.state.tokens.get(secret)
        name = dialect.NAME if dialect else "git" if is_git else pages.NAME
        noted = Request(self.command, self.path, name, _named(secret, token), time.monotonic())
        with self.server.state.lock:
            self.server.requests.append(noted)
        fault = self.server.faults.take(self.command, self.path)
        if fault:
            noted.fault = fault.kind
            if self._instead(fault, noted):
                return
        self.server.state.dialect = name
        try:
            if dialect:
                reply = self._ask(dialect, headers, body, secret, token, noted)
            elif is_git:
                reply = self._git(is_git["repository"], is_git["service"], headers, body, secret, token)
            else:
                reply = pages.answer(self.server.state, path)
                if reply.status == 404:
                    self.server.unknown.append(noted)
            if self.command not in ("GET", "HEAD"):
                self.server.keep()
        except Exception as error:
            self.server.failures.append(traceback.format_exc())
            reply = Reply(500, {"message": f"the fake forge itself failed: {type(error).__name__}"})
        noted.status = reply.status
        if fault and fault.kind == "drop_after":
            self._hang_up()
        else:
            self._send(reply, pause=fault.seconds if fault else 0.0)

    def _body(self, headers: dict[str, str], most: int) -> bytes:
        """Raises `TooLarge`, and `ValueError` for a length that is none."""
        if "chunked" not in headers.get("transfer-encoding", "").lower():
            length = int(headers.get("content-length") or 0)
            if not 0 <= length <= most:
                raise TooLarge
            return self.rfile.read(length)
        parts, total = [], 0
        while size := int(self.rfile.readline(32).split(b";")[0].strip() or b"0", 16):
            total += size
            if size < 0 or total > most:
                raise TooLarge
            parts.append(self.rfile.read(size))
            self.rfile.readline(32)
        while self.rfile.readline(1024).strip():  # trailers
            pass
        return b"".join(parts)

    def _ask(
        self, dialect: Any, headers: dict[str, str], body: bytes, secret: str, token: Token | None, noted: Request
    ) -> Reply:
        place = urlsplit(self.path)
        call = Call(
            state=self.server.state,
            url=self.server.url,
            method=self.command,
            path=place.path.removeprefix(dialect.PREFIX),
            query=dict(parse_qsl(place.query, keep_blank_values=True)),
            headers=headers,
            raw=body,
            secret=secret,
            token=token,
        )
        try:
            reply: Reply = dialect.answer(call)
        except UnknownEndpoint:
            self.server.unknown.append(noted)
            reply = dialect.unknown()
        return reply

    def _git(
        self, name: str, service: str, headers: dict[str, str], body: bytes, secret: str, token: Token | None
    ) -> Reply:
        state, place = self.server.state, urlsplit(self.path)
        writes = "git-receive-pack" in (service, dict(parse_qsl(place.query)).get("service"))
        user = token.user if token else None
        try:
            repository = state.repository(name)
        except NotFound:
            return Reply(404, b"Repository not found\n", {"Content-Type": "text/plain"})
        if (secret and user is None) or (user is None and (writes or repository.private)):
            asked = {"WWW-Authenticate": 'Basic realm="fake forge"', "Content-Type": "text/plain"}
            return Reply(401, b"Authentication required\n", asked)
        if not state.may(repository, user, "write" if writes else "read"):
            return Reply(403, b"Permission denied\n", {"Content-Type": "text/plain"})
        login = user.login if user else ""
        arguments = (state.folder, self.command, place.path, place.query, headers, body, login)
        if service != "git-receive-pack" or user is None:
            status, found, content = git.http_backend(*arguments)
        else:
            with self.server.pushing:  # so that what a push changed is known
                before = git.branches(repository.path)
                status, found, content = git.http_backend(*arguments)
                state.pushed(repository, user, before, git.branches(repository.path))
        return Reply(status, content, found)

    def _instead(self, fault: faults.Fault, noted: Request) -> bool:
        """Answers in place of the forge, if the fault says so."""
        if fault.kind == "drop_before":
            self._hang_up()
            return True
        if fault.kind not in ("status", "html", "redirect"):
            return False
        body, headers = fault.body, dict(fault.headers)
        if fault.kind == "html":
            body = faults.ERROR_PAGE if body is None else body
            headers.setdefault("Content-Type", "text/html; charset=utf-8")
        if fault.kind == "redirect":
            headers["Location"] = fault.location
        noted.status = fault.status
        self._send(Reply(fault.status, body.encode() if isinstance(body, str) else body, headers))
        return True

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, reply: Reply, pause: float = 0.0) -> None:
        body = reply.body
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json; charset=utf-8"} if body is not None else {}
        self.send_response(reply.status)
        for name, value in (headers | reply.headers).items():
            self.send_header(name, value)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if not pause:
            self.wfile.write(content)
            return
        for place in range(len(content)):
            if self.server.stopping.wait(pause):
                self.close_connection = True
                return
            self.wfile.write(content[place : place + 1])
            self.wfile.flush()

    def _control(self, path: str, body: bytes) -> Reply:
        """`/_fake/faults` (GET, POST one rule or a list, DELETE), `/_fake/requests` and `/_fake/unknown` (GET)."""
        server = self.server
        asked = (self.command, path.removeprefix("/_fake/"))
        if asked in (("GET", "requests"), ("GET", "unknown")):
            return Reply(200, [vars(item) for item in list(getattr(server, asked[1]))])
        if asked == ("DELETE", "faults"):
            server.faults.clear()
        elif asked == ("POST", "faults"):
            try:
                given = json.loads(body)
                rules = [faults.parse(rule) for rule in (given if isinstance(given, list) else [given])]
            except (ValueError, TypeError, AttributeError) as error:
                return Reply(422, {"message": str(error)})
            for rule in rules:
                server.faults.add(rule)
        elif asked != ("GET", "faults"):
            return Reply(404, {"message": f"the fake forge has no {self.command} {path}"})
        return Reply(200, server.faults.shown())


def _basic(headers: dict[str, str]) -> str:
    """The password of Basic authentication; "" if there is none."""
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    with contextlib.suppress(ValueError, binascii.Error):
        return base64.b64decode(encoded).decode("utf-8", "replace").partition(":")[2]
    return "?"


def _named(secret: str, token: Token | None) -> str:
    """What the log calls a credential, never the credential itself."""
    if token:
        return token.name
    return "app" if secret.count(".") == 2 else "?" if secret else ""
