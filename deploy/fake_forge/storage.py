"""The storage of a forge at another address, which hands out logs to whoever has the signed address of one."""

import re
import secrets
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Storage:
    """Serves on loopback, with a port of its own; with `tls`, over https. `requests` are the method, the path and the
    headers (lower-case names) of each one."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.status = 0
        """Answers everything, if it is set."""
        self.location = ""
        self._texts: dict[str, bytes] = {}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        if tls is not None:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def hand_out(self, text: bytes) -> str:
        """The address at which this text is."""
        path = f"/logs/{len(self._texts)}?sig={secrets.token_urlsafe(16)}"
        self._texts[path] = text
        return self.url + path

    def find(self, path: str) -> bytes | None:
        return self._texts.get(path)

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def _handler(storage: Storage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            storage.requests.append((self.command, self.path, headers))
            text = storage.find(self.path)
            if storage.status:
                self._send(storage.status, b"", {"Location": storage.location} if storage.location else {})
            elif text is None:
                self._send(403, b"<Error><Code>AuthenticationFailed</Code></Error>", {})
            elif asked := re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("range", "")):
                first, last = int(asked[1]), min(int(asked[2]), len(text) - 1)
                self._send(206, text[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(text)}"})
            else:
                self._send(200, text, {})

        def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: Any) -> None:
            """The log is `Storage.requests`."""

    return Handler
