"""A package index on loopback: its pages in JSON (PEP 691) with the time at which each file was published (PEP 700)."""

import hashlib
import json
import re
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from typing import Any

LONG_AGO = "2019-01-01T00:00:00Z"


class PackageIndex:
    """Serves the wheels and source distributions of `folder`. `published` holds times by file name; `asked` are the
    paths that were requested."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.published: dict[str, str] = {}
        self.asked: list[str] = []
        self._http = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"index": self}))
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.host = f"127.0.0.1:{self._http.server_address[1]}"
        self.url = f"http://{self.host}/simple"

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def add_installed(self, *names: str) -> None:
        """Adds wheels of distributions that are installed here, and of what they need."""
        for name in names:
            found = metadata.distribution(name)
            wheel = self.folder / f"{found.name.replace('-', '_')}-{found.version}-py3-none-any.whl"
            if wheel.exists():
                continue
            with zipfile.ZipFile(wheel, "w") as out:
                for path in found.files or ():
                    kept = path.suffix not in (".pyc", ".so") and ".." not in path.parts
                    if kept and path.name not in ("INSTALLER", "REQUESTED", "direct_url.json"):
                        out.write(str(path.locate()), str(path))
            for text in found.requires or ():
                if "extra ==" not in text and "platform" not in text and "python_version <" not in text:
                    self.add_installed(re.split(r"[<>=!~;\[ (]", text)[0])

    def page(self, name: str) -> dict[str, Any]:
        files = []
        for path in sorted(self.folder.iterdir()):
            stem = re.split(r"-\d", path.name)[0]
            if re.sub(r"[-_.]+", "-", stem).lower() == name:
                content = path.read_bytes()
                files.append({
                    "filename": path.name, "url": f"/files/{path.name}", "size": len(content),
                    "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
                    "upload-time": self.published.get(path.name, LONG_AGO),
                })  # fmt: skip
        return {"meta": {"api-version": "1.1"}, "name": name, "files": files, "versions": []}


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores clients that disconnect, as uv does once it has read a wheel's metadata."""


class _Handler(BaseHTTPRequestHandler):
    index: PackageIndex
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.index.asked.append(self.path)
        kind, _, name = self.path.strip("/").partition("/")
        if kind == "simple":
            page = self.index.page(name)
            content, media = json.dumps(page).encode(), "application/vnd.pypi.simple.v1+json"
            status = 200 if page["files"] else 404
        else:
            file = self.index.folder / Path(name).name
            content, media = (file.read_bytes(), "application/octet-stream") if file.is_file() else (b"", "text/plain")
            status = 200 if file.is_file() else 404
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Writes nothing."""
