"""The public registry of Java packages on loopback: what was asked for once is kept, for all tests of a session."""

import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_REAL = "https://repo.maven.apache.org/maven2"
_SECONDS = 60.0


class Central:
    """Serves `files` by path, else those of the public registry, which it keeps in `folder`; `asked` are the paths that
    were requested."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
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
            with urllib.request.urlopen(f"{_REAL}{path}", timeout=_SECONDS) as answer:  # noqa: S310 - https
                content: bytes = answer.read()
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            content = b""
        kept.parent.mkdir(parents=True, exist_ok=True)
        making = kept.with_name(f".{threading.get_ident()}.{kept.name}")
        making.write_bytes(content)
        making.replace(kept)
        return content or None

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    central: Central

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
