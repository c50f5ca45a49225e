"""Scripts and styles. Their folder's name is a hash of all of them, so that a browser keeps them for good, and modules
import each other by plain relative names."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Response

from gateway.problems import Refused
from gateway.web.cookies import ROOT, STATIC

router = APIRouter()

FOLDER = Path(__file__).with_name("static")
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
WORKER = "worker.js"
"""The service worker. Its address has no hash, since browsers compare it with the one they have."""


@dataclass(frozen=True)
class Files:
    """The files by name, each with its type, and the hash of all."""

    files: dict[str, tuple[str, bytes]]
    digest: str

    def place(self, name: str) -> str:
        """The address of a file. Raises `KeyError` for an unknown one."""
        assert self.files[name]  # noqa: S101
        return f"{STATIC}{self.digest}/{name}"


@cache
def files() -> Files:
    found = {
        path.name: (TYPES[path.suffix], path.read_bytes())
        for path in sorted(FOLDER.iterdir())
        if path.suffix in TYPES and path.is_file()
    }
    whole = hashlib.sha256()
    for name, (_, content) in found.items():
        whole.update(f"{name} {len(content)}\n".encode())
        whole.update(content)
    return Files(found, whole.hexdigest()[:16])


@router.get(f"{STATIC}{{digest}}/{{name}}")
def static(digest: str, name: str) -> Response:
    """A script or style of exactly this version."""
    found = files()
    if digest != found.digest or name not in found.files:
        raise Refused(404, "no-such-path", "no such file of this version: load the page again")
    kind, content = found.files[name]
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type=kind, headers=headers)


@router.get(f"{ROOT}/{WORKER}")
def worker() -> Response:
    """The service worker, with the addresses of the files that it keeps."""
    found = files()
    kept = [found.place(name) for name in found.files if name != WORKER]
    text = found.files[WORKER][1].decode()
    for name, value in (("VERSION", found.digest), ("FILES", "\n".join(kept))):
        text = text.replace(f"__{name}__", value)
    headers = {
        "Cache-Control": "no-cache",
        "Service-Worker-Allowed": ROOT,
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; connect-src 'self'",
    }
    return Response(text, media_type=TYPES[".js"], headers=headers)
