"""The scripts of model servers: files whole or not at all, and readiness only with every model in memory, whole."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.chart.fake_ollama import Api, FakeOllama
from tests.deploy.chart.rendering import CHART

SCRIPTS = CHART / "files"
pytestmark = pytest.mark.skipif(not all(map(shutil.which, ("bash", "flock"))), reason="needs bash and flock")


class Volume:
    def __init__(self, folder: Path) -> None:
        self.ollama = FakeOllama(folder / "fake")
        self.folder = folder / "models"
        self.folder.mkdir()
        self.store = self.folder / "models-1"

    def variables(self, models: dict[str, str], **more: str) -> dict[str, str]:
        return {
            "PATH": f"{self.ollama.bin}:{os.environ['PATH']}", "FAKE": str(self.ollama.folder),
            "STORE": str(self.store),
            "MODELS": " ".join(f"{name}={digest}" for name, digest in models.items()), "NODE_NAME": "node-1",
            "RETRY_SECONDS": "0", "SECONDS_TO_START": "20", **more,
        }  # fmt: skip

    def fetch(self, models: dict[str, str], **more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", str(SCRIPTS / "fetch.sh")],
            env=self.variables(models, **more), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return Volume(tmp_path)


def library(name: str, tag: str) -> str:
    return f"registry.ollama.ai/library/{name}/{tag}"


def test_models_are_fetched_verified_and_put_in_place(volume: Volume) -> None:
    models = {
        "coder:7b": volume.ollama.publish("coder:7b", library("coder", "7b"), b"weights"),
        "minilm": volume.ollama.publish("minilm", library("minilm", "latest"), b"embedder"),
        "me/tuned:1": volume.ollama.publish("me/tuned:1", "registry.ollama.ai/me/tuned/1", b"tuned"),
        "host.example:5000/ns/own:2": volume.ollama.publish(
            "host.example:5000/ns/own:2", "host.example:5000/ns/own/2", b"own"
        ),
    }
    done = volume.fetch(models)
    assert done.returncode == 0, done.stderr
    assert len(list((volume.store / "blobs").iterdir())) == 4
    assert sorted(path.name for path in volume.folder.iterdir()) == [".lock-node-1", "models-1"]
    assert not (volume.ollama.folder / "up").exists()  # the server that fetched has ended


def test_what_is_there_is_not_fetched_again(volume: Volume) -> None:
    models = {"coder:7b": volume.ollama.publish("coder:7b", library("coder", "7b"), b"weights")}
    volume.fetch(models)
    done = volume.fetch(models)
    assert (done.returncode, volume.ollama.calls("pull")) == (0, 1)
    assert "the models are there" in done.stderr


def test_another_digest_than_the_declared_one_is_refused(volume: Volume) -> None:
    volume.ollama.publish("coder:7b", library("coder", "7b"), b"weights")
    done = volume.fetch({"coder:7b": f"sha256:{'0' * 64}"})
    assert done.returncode == 1
    assert f"sha256:{'0' * 64} is declared" in done.stderr
    assert not volume.store.exists() and not list(volume.folder.glob(".staging*"))


def test_a_file_with_other_content_is_refused(volume: Volume) -> None:
    models = {"coder:7b": volume.ollama.publish("coder:7b", library("coder", "7b"), b"weights")}
    blob = next((volume.ollama.folder / "registry/coder_7b/blobs").iterdir())
    blob.write_bytes(b"WEIGHTS")  # as long as before
    done = volume.fetch(models)
    assert done.returncode == 1 and "has another digest" in done.stderr
    assert not volume.store.exists()


def test_a_damaged_store_is_fetched_again(volume: Volume) -> None:
    models = {"coder:7b": volume.ollama.publish("coder:7b", library("coder", "7b"), b"weights")}
    volume.fetch(models)
    next((volume.store / "blobs").iterdir()).write_bytes(b"w")
    done = volume.fetch(models)
    assert done.returncode == 0, done.stderr
    assert "is damaged" in done.stderr
    assert next((volume.store / "blobs").iterdir()).read_bytes() == b"weights"


def test_a_registry_that_fails_is_asked_again_and_then_named(volume: Volume) -> None:
    models = {"coder:7b": volume.ollama.publish("coder:7b", library("coder", "7b"), b"weights")}
    (volume.ollama.folder / "fail-once").touch()
    assert volume.fetch(models).returncode == 0
    done = volume.fetch({"none:1": f"sha256:{'0' * 64}"}, STORE=str(volume.folder / "models-2"))
    assert done.returncode == 1
    assert "none:1: Error: pull model manifest: file does not exist" in done.stderr
    assert not (volume.folder / "models-2").exists()


def test_a_server_that_does_not_start_is_said(volume: Volume) -> None:
    (volume.ollama.folder / "broken").touch()
    done = volume.fetch({"coder:7b": f"sha256:{'0' * 64}"})
    assert done.returncode == 1 and "ollama serve ended" in done.stderr


def test_pods_of_one_node_wait_for_each_other_and_a_killed_one_leaves_nothing(volume: Volume) -> None:
    models = {"coder:7b": volume.ollama.publish("coder:7b", library("coder", "7b"), b"weights")}
    (volume.ollama.folder / "hang").touch()
    first = subprocess.Popen(
        ["bash", str(SCRIPTS / "fetch.sh")],
        env=volume.variables(models),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 20
        while not (volume.ollama.folder / "pulling").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        waited = volume.fetch(models, SECONDS_TO_START="1")
        assert waited.returncode == 1 and "another pod of node node-1 still fetches" in waited.stderr
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    (volume.ollama.folder / "hang").unlink()
    left = volume.folder / ".staging-node-1"  # as a killed pod leaves it
    (left / "blobs").mkdir(exist_ok=True)
    (left / "blobs/half").write_text("a part")
    assert not volume.store.exists()
    done = volume.fetch(models)
    assert done.returncode == 0, done.stderr
    assert not list(volume.folder.glob(".staging-*"))
    assert not (volume.store / "blobs/half").exists()


def test_of_two_nodes_that_share_a_volume_the_first_wins(volume: Volume) -> None:
    models = {"coder:7b": volume.ollama.publish("coder:7b", library("coder", "7b"), b"weights")}
    second = shutil.copytree(volume.ollama.folder, volume.folder.parent / "second")
    both = [
        subprocess.Popen(
            ["bash", str(SCRIPTS / "fetch.sh")],
            stderr=subprocess.PIPE,
            text=True,
            env={**volume.variables(models, NODE_NAME=f"node-{n}"), "FAKE": str(folder)},
        )
        for n, folder in ((1, volume.ollama.folder), (2, second))
    ]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert len(list(volume.store.rglob("sha256-*"))) == 1
    assert not list(volume.folder.glob(".staging-*"))


def test_older_stores_are_removed_where_nobody_else_uses_them(volume: Volume) -> None:
    (volume.folder / "models-old").mkdir()
    models = {"coder:7b": volume.ollama.publish("coder:7b", library("coder", "7b"), b"weights")}
    volume.fetch(models, PRUNE="false")
    assert (volume.folder / "models-old").exists()
    volume.store = volume.folder / "models-2"
    volume.fetch(models, PRUNE="true")
    assert sorted(p.name for p in volume.folder.glob("models-*")) == ["models-2"]


# loading and readiness

DIGEST = "a" * 64


def running(**changes: Any) -> dict[str, Any]:
    model = {"name": "coder:7b", "model": "coder:7b", "size": 100, "digest": DIGEST, "details": {"family": "x"},
             "expires_at": "2318-01-01T00:00:00Z", "size_vram": 100, **changes}  # fmt: skip
    other = {"name": "other:1", "model": "other:1", "size": 9, "digest": "b" * 64, "size_vram": 9}
    return {"models": [other, model]}


def probe(script: str, server: Api, **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", str(SCRIPTS / script)],
        env={"PATH": os.environ["PATH"], "OLLAMA_PORT": str(server.port), "GPUS": "1",
             "MODELS": f"coder:7b=sha256:{DIGEST}", **more},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "gpus", "said"),
    [
        ({}, "1", ""),
        ({"size_vram": 60}, "1", "only 60 of 100 bytes are in video memory"),
        ({"size_vram": 0}, "0", ""),
        ({"digest": "c" * 64}, "1", "loaded with another digest"),
        ({"name": "coder:14b"}, "1", "coder:7b is not loaded"),
    ],
)
def test_a_pod_is_ready_only_with_its_models_in_memory(changes: dict[str, Any], gpus: str, said: str) -> None:
    state = json.dumps(running(**changes), separators=(",", ":")).encode()
    with Api(lambda path, body: (200, state)) as server:
        found = probe("loaded.sh", server, GPUS=gpus)
    assert (found.returncode == 0) is (said == "")
    assert said in found.stderr


def test_a_server_that_does_not_answer_is_not_ready() -> None:
    with Api(lambda path, body: (500, b"")) as server:
        assert probe("loaded.sh", server).returncode == 1
    assert probe("loaded.sh", server).returncode == 1  # nothing listens


def test_the_startup_probe_asks_each_model_for_one_token() -> None:
    asked: list[tuple[str, bytes]] = []

    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        asked.append((path, body))
        return 200, json.dumps(running(), separators=(",", ":")).encode()

    with Api(answer) as server:
        assert probe("load.sh", server).returncode == 0
    assert [path for path, _ in asked] == ["/api/generate", "/api/ps"]
    assert json.loads(asked[0][1])["options"] == {"num_predict": 1}


def test_an_embedding_model_is_asked_to_embed() -> None:
    asked: list[str] = []

    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        asked.append(path)
        status = 400 if path == "/api/generate" else 200
        return status, json.dumps(running(), separators=(",", ":")).encode()

    with Api(answer) as server:
        assert probe("load.sh", server).returncode == 0
    assert asked == ["/api/generate", "/api/embed", "/api/ps"]


def test_a_model_that_cannot_be_loaded_keeps_the_pod_from_starting() -> None:
    with Api(lambda path, body: (500, b"out of memory")) as server:
        found = probe("load.sh", server)
    assert found.returncode == 1 and "coder:7b cannot be loaded" in found.stderr
