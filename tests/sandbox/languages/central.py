"""The public registry of Java packages on loopback: what was asked for once is kept, for all tests of a session."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

_REAL = "https://repo.maven.apache.org/maven2"
_SECONDS = 60.0


class Central:
    """Serves `files` by path, else those of the public registry, which it keeps in `folder`; `asked` are the paths that
    were requested."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self._client = httpx.Client(timeout=_SECONDS)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"central": self}))
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def content(self, path: str) -> bytes | None:
        """None for what the registry does not have. Raises `OSError` when it cannot be reached."""
        if path in self.files:
            return self.files[path]
        kept = self.folder / path.lstrip("/")
        if kept.is_file():
            return kept.read_bytes() or None
        try:
            answer = self._client.get(f"{_REAL}{path}")
        except httpx.HTTPError as error:
            raise OSError(f"{_REAL}: {error}") from error
        if answer.status_code not in (200, 404):
            raise OSError(f"{_REAL}{path}: status {answer.status_code}")
        content = answer.content if answer.status_code == 200 else b""
        kept.parent.mkdir(parents=True, exist_ok=True)
        making = kept.with_name(f".{threading.get_ident()}.{kept.name}")
        making.write_bytes(content)
        making.replace(kept)
        return content or None

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._client.close()


class _Handler(BaseHTTPRequestHandler):
    central: Central
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.central.asked.append(self.path)
        try:
            content = self.central.content(self.path)
            status = 404 if content is None else 200
        except OSError:
            content, status = None, 503
        self.send_response(status)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""
