"""Container images without a registry: a tar in Docker's format, with one layer of folders, links and files."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_image(
    target: Path,
    name: str,
    *,
    folders: Mapping[str, int] | None = None,
    links: Mapping[str, str] | None = None,
    files: Mapping[str, Path | bytes] | None = None,
    config: Mapping[str, Any] | None = None,
) -> None:
    """Writes the image `name` (with its tag) to `target`. Paths are without a leading slash; `folders` have their
    modes, `files` are executable; `config` is that of the OCI image specification, such as `Env` and `Cmd`."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for path, mode in (folders or {}).items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        for path, to in (links or {}).items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, to
            tar.addfile(entry)
        for path, source in (files or {}).items():
            content = source if isinstance(source, bytes) else source.read_bytes()
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    content = layer.getvalue()
    described = {
        "architecture": "amd64",
        "os": "linux",
        "config": dict(config or {}),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(content).hexdigest()}"]},
    }
    raw = json.dumps(described, sort_keys=True).encode()
    file = f"{hashlib.sha256(raw).hexdigest()}.json"
    manifest = json.dumps([{"Config": file, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(target, "w") as tar:
        for path, content_ in ((file, raw), ("layer.tar", content), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(path)
            entry.size = len(content_)
            tar.addfile(entry, io.BytesIO(content_))
