"""A program `ollama` for the scripts of model servers: `serve`, `list` and `pull`, from a folder that is the registry.

It lays files out as Ollama does: `manifests/HOST/NAMESPACE/NAME/TAG`, `blobs/sha256-HEX`.
"""

import hashlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PROGRAM = """#!/usr/bin/env bash
set -eu
echo "$*" >>"$FAKE/calls"
case $1 in
    serve)
        [ ! -e "$FAKE/broken" ] || exit 1
        echo "$OLLAMA_MODELS" >"$FAKE/serving"
        touch "$FAKE/up"
        trap 'rm -f "$FAKE/up"; exit 0' TERM
        while :; do sleep 0.05; done ;;
    list) [ -e "$FAKE/up" ] ;;
    pull)
        if [ -e "$FAKE/fail-once" ]; then rm "$FAKE/fail-once"; echo "Error: connection reset" >&2; exit 1; fi
        if [ -e "$FAKE/hang" ]; then touch "$FAKE/pulling"; sleep 60; fi
        model=$FAKE/registry/$(echo "$2" | tr '/:' '__')
        [ -d "$model" ] || { echo "Error: pull model manifest: file does not exist" >&2; exit 1; }
        mkdir -p "$(cat "$FAKE/serving")"
        cp -r "$model/." "$(cat "$FAKE/serving")/" ;;
esac
"""


class FakeOllama:
    """`folder` gets the program and the registry."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        program = self.bin / "ollama"
        program.write_text(PROGRAM)
        program.chmod(0o755)

    def publish(self, name: str, path: str, content: bytes) -> str:
        """Puts a model of one file into the registry; `path` is where its manifest lies. Returns its digest."""
        model = self.folder / "registry" / name.replace("/", "_").replace(":", "_")
        blob = hashlib.sha256(content).hexdigest()
        layers = [{"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{blob}", "size": len(content)}]
        manifest = json.dumps({"schemaVersion": 2, "layers": layers}, separators=(",", ":")).encode()
        (model / "blobs").mkdir(parents=True)
        (model / "blobs" / f"sha256-{blob}").write_bytes(content)
        (model / "manifests" / path).parent.mkdir(parents=True)
        (model / "manifests" / path).write_bytes(manifest)
        return f"sha256:{hashlib.sha256(manifest).hexdigest()}"

    def calls(self, command: str) -> int:
        file = self.folder / "calls"
        return sum(line.startswith(command) for line in file.read_text().splitlines()) if file.exists() else 0


class Api:
    """An HTTP server that answers with what `answer` returns for a path and a body: a status and a body."""

    def __init__(self, answer: Callable[[str, bytes], tuple[int, bytes]]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status, content = answer(self.path, self.rfile.read(int(self.headers.get("Content-Length", 0))))
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    def __enter__(self) -> "Api":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
