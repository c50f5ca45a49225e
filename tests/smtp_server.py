"""A mail server on loopback: it speaks as much of SMTP (RFC 5321) as senders need, and keeps what it gets."""

import base64
import socketserver
import ssl
import threading
from collections import deque
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any


@dataclass
class Received:
    sender: str
    receivers: list[str]
    raw: bytes
    secure: bool
    login: tuple[str, str] | None

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=policy.default)  # type: ignore[return-value]


@dataclass
class _Session:
    sender: str = ""
    receivers: list[str] = field(default_factory=list)
    secure: bool = False
    login: tuple[str, str] | None = None


class SmtpServer:
    """`faults` are answers to DATA in place of the usual one, each once; "drop" closes the connection after the message
    was taken. With `certificate` and `key` (PEM files) it offers STARTTLS. A login that is not `known` is refused."""

    def __init__(self, certificate: Path | None = None, key: Path | None = None) -> None:
        self.received: list[Received] = []
        self.faults: deque[str] = deque()
        self.known: tuple[str, str] | None = None
        self.refused: set[str] = set()
        self.context: ssl.SSLContext | None = None
        if certificate is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate, key)
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"owner": self}))
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(socketserver.StreamRequestHandler):
    owner: SmtpServer
    timeout = 30

    def handle(self) -> None:
        session = _Session()
        self._say("220 loopback ESMTP")
        while line := self.rfile.readline(2000):
            word, _, rest = line.decode("latin-1").strip().partition(" ")
            if word.upper() == "QUIT":
                return self._say("221 bye")
            if not self._answer(word.upper(), rest, session):
                return None
        return None

    def _answer(self, word: str, rest: str, session: _Session) -> bool:
        owner = self.owner
        if word == "EHLO":
            offers = ["STARTTLS"] if owner.context and not session.secure else []
            lines = ["loopback", *offers, "AUTH PLAIN", "SIZE 1000000"]
            self._say("\r\n".join(f"250{'-' if n < len(lines) - 1 else ' '}{line}" for n, line in enumerate(lines)))
        elif word == "STARTTLS" and owner.context:
            self._say("220 go")
            self.connection: Any = owner.context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
            session.secure = True
        elif word == "AUTH":
            _, user, password = base64.b64decode(rest.partition(" ")[2]).decode().split("\0")
            session.login = (user, password)
            self._say("235 ok" if session.login == owner.known else f"535 no such login {user} {password}")
        elif word == "MAIL":
            session.sender = rest.partition("<")[2].partition(">")[0]
            self._say("250 ok")
        elif word == "RCPT":
            address = rest.partition("<")[2].partition(">")[0]
            if address in owner.refused:
                self._say("550 no such person")
            else:
                session.receivers.append(address)
                self._say("250 ok")
        elif word == "DATA":
            return self._data(session)
        else:
            self._say("250 ok" if word in ("RSET", "NOOP") else "502 what?")
        return True

    def _data(self, session: _Session) -> bool:
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b"..") else line)
        fault = self.owner.faults.popleft() if self.owner.faults else ""
        if not fault or fault == "drop":
            kept = (session.sender, list(session.receivers), b"".join(lines), session.secure, session.login)
            self.owner.received.append(Received(*kept))
        if fault == "drop":
            return False
        self._say(fault or "250 taken")
        return True

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())
