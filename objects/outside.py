"""What trusted types have done in the world before their step: calls, mail, pages, questions to DuckDB, content of
blobs.

Done at least once: if the commit that follows fails, it is done again, with the same key to dedupe by.
"""

import base64
import json
import smtplib
import threading
import uuid
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Any
from urllib.parse import urlsplit

from core.database import Database
from core.http import ServiceUnavailable
from core.http.addresses import public_addresses
from core.mail_addresses import check_mail_address
from core.settings import Settings
from core.shared_worker import SharedWorker
from core.smtp import MailServer, reason
from core.worker import WorkerUnavailable
from objects.hosts import Hosts
from objects.model import Address, Fault, Refused, Unavailable
from objects.store import NodeStore

HTTP_SECONDS = 15.0
ANSWER_BYTES = 1 << 20
SHOWN_HEADERS = ("content-type", "etag", "last-modified", "location", "retry-after", "link")
_IDS = uuid.UUID("cb2a1cf0-3f0b-5a3e-8a52-2f1f6c0b7d11")
"""Namespace of message ids."""


class World:
    """`objects.steps.Outside`. Raises `Refused` for what is not allowed, `Fault` for what failed and may be tried
    again."""

    def __init__(self, settings: Settings, store: NodeStore, database: Database) -> None:
        self._settings = settings
        self._store = store
        self._database = database
        self._hosts = Hosts(settings.home / "object-hosts.toml")
        self._heavy = SharedWorker("objects.types.heavy")
        self._teams: dict[uuid.UUID, str] = {}
        self._lock = threading.Lock()
        self._kinds: Mapping[str, Callable[[Address, str, Mapping[str, Any], float], Any]] = {
            "blobs": self._blobs,
            "http": self._http,
            "mail": self._mail,
            "slack": self._slack,
            "webhook": self._webhook,
            "render": self._render,
            "analyse": self._analyse,
        }

    def perform(self, address: Address, key: str, wanted: Mapping[str, Any], seconds: float) -> Any:
        return self._kinds[wanted["do"]](address, key, wanted, seconds)

    def close(self) -> None:
        self._heavy.end()

    # what is stored

    def _blobs(self, address: Address, key: str, wanted: Mapping[str, Any], seconds: float) -> dict[str, str]:
        """Contents by hash, in base64."""
        found = self._contents(address, wanted["sha256"])
        return {sha256: base64.b64encode(content).decode() for sha256, content in found.items()}

    def _contents(self, address: Address, wanted: list[str]) -> dict[str, bytes]:
        with self._store.connection() as connection:
            rows = connection.execute(
                "SELECT sha256, content FROM object_blobs "
                "WHERE (team_id, type, key) = (%s, %s, %s) AND sha256 = ANY(%s)",
                (address.team, address.type, address.key, wanted),
            ).fetchall()
        found = {sha256: bytes(content) for sha256, content in rows}
        if missing := set(wanted) - set(found):
            raise Fault(f"{len(missing)} blobs of {address} are missing")
        return found

    # what may take long or much memory

    def _render(self, address: Address, key: str, wanted: Mapping[str, Any], seconds: float) -> Any:
        data = {"data": wanted["data"]}
        if "type" in wanted:
            from objects.lifecycle import hidden

            if hidden(wanted["type"]):
                raise Refused("hidden", "the state of this type is shown to nobody")
            with self._store.connection() as connection:
                row = connection.execute(
                    "SELECT state FROM objects WHERE (team_id, type, key) = (%s, %s, %s)",
                    (address.team, wanted["type"], wanted["key"]),
                ).fetchone()
            data["state"] = json.loads(row[0]) if row and row[0] is not None else None
        return self._ask({"do": "render", "template": wanted["template"], "data": data}, min(seconds, 3.0))

    def _analyse(self, address: Address, key: str, wanted: Mapping[str, Any], seconds: float) -> Any:
        contents = self._contents(address, wanted["sha256"])
        rows = [row for sha256 in wanted["sha256"] for row in json.loads(zlib.decompress(contents[sha256]))]
        asked = {name: wanted[name] for name in ("question", "argument")}
        return self._ask({"do": "analyse", "events": [*rows, *wanted["events"]], **asked}, min(seconds, 10.0))

    def _ask(self, request: Any, seconds: float) -> Any:
        try:
            answer = self._heavy.ask(request, seconds)
        except WorkerUnavailable as error:
            raise Unavailable(str(error)) from error
        return {"error": "it took too long, or too much memory"} if answer is None else answer

    # what leaves

    def _team(self, team: uuid.UUID) -> str:
        with self._lock:
            if team not in self._teams:
                with self._database.system() as connection:
                    row = connection.execute("SELECT name FROM teams WHERE id = %s", (team,)).fetchone()
                self._teams[team] = str(row[0]) if row else ""
            return self._teams[team]

    def _http(self, address: Address, key: str, wanted: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Status, some headers and the text of the answer; status 0 if there was none."""
        parts = urlsplit(wanted["url"])
        host = self._hosts.find(parts.hostname or "", self._team(address.team), wanted["method"])
        if parts.scheme != "https" and not host.private:
            raise Refused("https", "only https is allowed, unless an operator calls the host private")
        given = {name: text for name, text in wanted["headers"].items() if _harmless(name, host.header, text)}
        body = wanted.get("body")
        try:
            headers = {"User-Agent": "Penstock", **given, "Idempotency-Key": _key(address, key), **host.credential()}
            if body is not None and "content-type" not in {name.lower() for name in headers}:
                headers["Content-Type"] = "application/json"
            content = None if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
            return self._sent(wanted["method"], wanted["url"], headers, content, private=host.private, seconds=seconds)
        except (ServiceUnavailable, OSError) as error:
            return {"status": 0, "headers": {}, "body": f"{type(error).__name__}: {str(error)[:300]}"}

    def _sent(
        self, method: str, url: str, headers: dict[str, str], content: bytes | None, *, private: bool, seconds: float
    ) -> dict[str, Any]:
        import httpx

        parts = urlsplit(url)
        extensions: dict[str, Any] = {}
        if not private:  # connected to at the address that was checked, with the certificate of the host
            port = parts.port or 443
            place = public_addresses(parts.hostname or "", port)[0]
            headers["Host"] = parts.netloc
            extensions = {"sni_hostname": parts.hostname}
            url = parts._replace(netloc=f"[{place}]:{port}" if ":" in place else f"{place}:{port}").geturl()
        with httpx.Client(timeout=min(HTTP_SECONDS, seconds), trust_env=False, follow_redirects=False) as client:
            request = client.build_request(method, url, headers=headers, content=content, extensions=extensions)
            try:
                answer = client.send(request, stream=True)
                try:
                    return self._bounded(answer)
                finally:
                    answer.close()
            except httpx.HTTPError as error:
                return {"status": 0, "headers": {}, "body": type(error).__name__}

    @staticmethod
    def _bounded(answer: Any) -> dict[str, Any]:
        held = bytearray()
        for part in answer.iter_bytes():
            held += part
            if len(held) > ANSWER_BYTES:
                return {"status": 0, "headers": {}, "body": f"the answer has more than {ANSWER_BYTES:,} bytes"}
        shown = {name: answer.headers[name][:2000] for name in SHOWN_HEADERS if name in answer.headers}
        text = held.decode(answer.charset_encoding or "utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
        return {"status": answer.status_code, "headers": shown, "body": text}

    def _posted(self, address: Address, key: str, wanted: Mapping[str, Any], body: Any, seconds: float) -> None:
        answer = self._http(address, key, {"url": wanted["to"], "method": "POST", "headers": {}, "body": body}, seconds)
        if not 200 <= answer["status"] < 300:
            raise Fault(f"{urlsplit(wanted['to']).hostname} answered {answer['status']}: {answer['body'][:200]}")

    def _slack(self, address: Address, key: str, wanted: Mapping[str, Any], seconds: float) -> None:
        title, text = (_mrkdwn(wanted[part]) for part in ("title", "text"))
        self._posted(address, key, wanted, {"text": f"*{title}*\n{text}".strip()}, seconds)

    def _webhook(self, address: Address, key: str, wanted: Mapping[str, Any], seconds: float) -> None:
        body = {"id": _key(address, key), "title": wanted["title"], "text": wanted["text"], "object": str(address)}
        self._posted(address, key, wanted, body, seconds)

    def _mail(self, address: Address, key: str, wanted: Mapping[str, Any], seconds: float) -> None:
        settings = self._settings
        if settings.mail_server is None or not settings.mail_from:
            raise Refused("no-mail", "no mail server is set: PENSTOCK_MAIL_SERVER")
        try:
            check_mail_address(wanted["to"])
        except ValueError as error:
            raise Refused("address", str(error)) from None
        message = EmailMessage(policy=SMTP)
        message["From"], message["To"] = settings.mail_from, wanted["to"]
        message["Subject"] = "".join(c if c.isprintable() else " " for c in wanted["title"])[:200]
        message["Date"] = format_datetime(datetime.now(UTC))
        domain = parseaddr(settings.mail_from)[1].rpartition("@")[2]
        message["Message-ID"] = f"<{uuid.uuid5(_IDS, _key(address, key))}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(wanted["text"] or wanted["title"], charset="utf-8", cte="quoted-printable")
        server = MailServer(settings.mail_server.get_secret_value())
        try:
            with server.connect() as connection:
                connection.send_message(message)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise Fault(f"{server.host}: {reason(error)}") from None


def _key(address: Address, key: str) -> str:
    """What a receiver knows a repeat by."""
    return str(uuid.uuid5(_IDS, f"{address.team} {address} {key}"))


def _harmless(name: str, credential: str, text: str) -> bool:
    """Whether a header may come from an object."""
    plain = name.isascii() and name.replace("-", "").isalnum() and text.isprintable() and text.isascii()
    own = {"host", "content-length", "transfer-encoding", "connection", "idempotency-key", credential.lower()}
    return plain and name.lower() not in own


def _mrkdwn(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
