"""Model servers and the proxy as real processes, killed under load."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.model_backend import TEXT

ROOT = Path(__file__).parents[2]


def _environment(**more: str) -> dict[str, str]:
    own = {key: value for key, value in os.environ.items() if not key.startswith("PENSTOCK_")}
    return {**own, "PYTHONPATH": str(ROOT), **more}


class _Server:
    """A model server as a process, always on the same port."""

    def __init__(self) -> None:
        self.port = 0
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.model_backend", "--port", str(self.port), "--behaviour", "slow"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


@pytest.fixture
def servers() -> Iterator[list[_Server]]:
    found = [_Server() for _ in range(2)]
    yield found
    for one in found:
        with contextlib.suppress(ProcessLookupError):
            one.kill()


@contextlib.contextmanager
def _proxy(home: Path, *servers: _Server) -> Iterator[tuple[subprocess.Popen[str], str]]:
    home.mkdir(exist_ok=True)
    entries = [
        f'[[backends]]\nname = "s{n}"\nurl = "http://127.0.0.1:{one.port}/v1"\nkind = "openai"\nmodel = "m"\n'
        "concurrency = 16\n"
        for n, one in enumerate(servers)
    ]
    (home / "model-proxy.toml").write_text('[access]\nmode = "open"\n' + "".join(entries))
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock", "model-proxy", "--port", "0"],
        cwd=ROOT,
        env=_environment(PENSTOCK_HOME=str(home)),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if '"listening"' in line)
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield process, json.loads(line)["address"]
    finally:
        process.terminate()
        process.wait(15)


def _whole(client: httpx.Client, url: str) -> str:
    answer = client.post(f"{url}/v1/chat/completions", json={"model": "m", "messages": []})
    right = answer.status_code == 200 and answer.json()["choices"][0]["message"]["content"] == TEXT
    return "ok" if right else f"{answer.status_code}: {answer.text[:100]}"


def _stream(client: httpx.Client, url: str) -> str:
    """`ok`, or `begun` if it broke off after its first token, else what went wrong."""
    got = b""
    try:
        body: dict[str, Any] = {"model": "m", "messages": [], "stream": True}
        with client.stream("POST", f"{url}/v1/chat/completions", json=body) as answer:
            if answer.status_code != 200:
                return f"{answer.status_code}: {answer.read()[:100]!r}"
            for piece in answer.iter_bytes():
                got += piece
    except httpx.RemoteProtocolError:
        return "begun" if b'"content"' in got and b"broken_off" in got else f"nothing came: {got!r}"
    return "ok" if got.count(b'"content"') == 5 and b"[DONE]" in got else f"not whole: {got!r}"


@pytest.mark.parametrize("seed", range(2))
def test_servers_killed_under_load_cost_no_request_that_could_be_retried(
    servers: list[_Server], tmp_path: Path, seed: int
) -> None:
    """One of two servers at a time is killed in the middle of its answers, and started again, several times."""
    dice = random.Random(seed)  # noqa: S311
    over = threading.Event()
    outcomes: Counter[str] = Counter()

    def work(number: int) -> None:
        with httpx.Client(timeout=30, trust_env=False) as client:
            while not over.is_set():
                outcomes[(_stream if number % 2 else _whole)(client, address)] += 1

    with _proxy(tmp_path / "home", *servers) as (_, address), ThreadPoolExecutor(8) as threads:
        working = [threads.submit(work, number) for number in range(8)]
        try:
            for _ in range(4):
                time.sleep(dice.uniform(0.5, 1.0))
                victim = dice.choice(servers)
                victim.kill()
                time.sleep(dice.uniform(0.1, 1.0))
                victim.start()
        finally:
            over.set()
        for one in working:
            one.result(30)
    assert set(outcomes) <= {"ok", "begun"}, outcomes
    assert outcomes["ok"] > 50


def test_a_proxy_that_is_asked_to_end_finishes_its_streams(servers: list[_Server], tmp_path: Path) -> None:
    with (
        _proxy(tmp_path / "home", *servers) as (process, address),
        httpx.Client(timeout=30, trust_env=False) as client,
        ThreadPoolExecutor(4) as threads,
    ):
        streams = [threads.submit(_stream, client, address) for _ in range(4)]
        time.sleep(0.15)
        process.terminate()
        assert [one.result(20) for one in streams] == ["ok"] * 4
        assert process.wait(15) == 128 + signal.SIGTERM
