"""What is killed returns without a person, and no task is lost: each part in turn, and `penstock up` itself.

`PENSTOCK_TEST_ROUNDS` is how often each part is killed, once by default. `test_random_kills.py` kills the relay, which
only a platform with Kafka has.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from core.processes import await_end
from core.settings import Settings
from dagster_project.ports import free_port
from dagster_project.records import PartRecord, read_record

from .conftest import PENSTOCK, RunningPlatform, issue, make_repository

ROUNDS = int(os.environ.get("PENSTOCK_TEST_ROUNDS", "1"))
PARTS = ("database", "gateway", "code-server", "warm", "daemon", "webserver")
RETURN_SECONDS = 120

pytestmark = [pytest.mark.services, pytest.mark.timeout(900 + 900 * ROUNDS)]

Start = Callable[..., RunningPlatform]


def _records(platform: RunningPlatform) -> dict[str, PartRecord]:
    record = read_record(Settings(home=platform.home))
    assert record is not None
    assert record.supervisor.pid == platform.process.pid
    return {one.name: one for one in record.parts}


def _status(platform: RunningPlatform) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(platform.cli("status", "--json", check=False).stdout)
    return found


def _checks(platform: RunningPlatform) -> dict[str, dict[str, str]]:
    """What `penstock doctor` says of the platform's own parts."""
    found = json.loads(platform.cli("doctor", "--json", check=False).stdout)["checks"]
    return {one["name"]: one for one in found if one["name"] in ("platform", "database") or "part " in one["name"]}


def _resolved(platform: RunningPlatform, tasks: int) -> None:
    platform.wait_for(
        "every task is resolved", lambda: sorted(platform.tasks().values()) == ["resolved"] * tasks, 300 + 30 * tasks
    )
    ledger = json.loads(platform.cli("ledger", "--json").stdout)
    assert ledger["balanced"]
    assert ledger["accepted"] == tasks


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repositories" / "shop")


def test_each_part_that_is_killed_returns_and_no_task_is_lost(start_platform: Start, shop: Path) -> None:
    platform = start_platform(PENSTOCK_MAX_CLAIMS="100")
    platform.cli("index", "add", "shop", str(shop), "--repository", "acme/shop")
    assert set(_records(platform)) == set(PARTS)
    tasks = 0
    with ThreadPoolExecutor(1) as pool:
        for round_number in range(1, ROUNDS + 1):
            for part in PARTS:
                tasks += 1
                delivery = pool.submit(platform.deliver, issue("acme/shop", tasks), f"delivery-{tasks}")
                before = _records(platform)[part]
                assert before.process is not None
                assert before.process.send(signal.SIGKILL)
                _returns(platform, part, round_number)
                assert delivery.result(RETURN_SECONDS).status_code in (200, 202)
    said = platform.log.read_text()
    for part in PARTS:
        how = "ended" if part == "database" else "was ended by SIGKILL"
        assert said.count(f"{part} {how}; restarting in") == ROUNDS, said
        assert said.count(f"{part} is up again") == ROUNDS, said
    _resolved(platform, tasks)
    found = _status(platform)
    assert (found["state"], {one["part"]: one["restarts"] for one in found["parts"]}) == (
        "up",
        dict.fromkeys(PARTS, ROUNDS),
    )
    assert {name: check["state"] for name, check in _checks(platform).items()} == {"platform": "ok", "database": "ok"}


def test_each_part_that_hangs_is_noticed_and_started_again_and_no_task_is_lost(
    start_platform: Start, shop: Path, kafka_script: Any, tmp_path: Path
) -> None:
    try:
        broker = kafka_script.start_kafka(tmp_path / "broker", die_with_parent=True)
    except kafka_script.KafkaMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    try:
        platform = start_platform(
            PENSTOCK_MAX_CLAIMS="100", PENSTOCK_EVENT_LOG="kafka", PENSTOCK_KAFKA_BOOTSTRAP=broker.bootstrap
        )
        platform.cli("index", "add", "shop", str(shop), "--repository", "acme/shop")
        others = {*PARTS, "relay"} - {"database"}
        assert set(_records(platform)) == {*others, "database"}
        for number, stopped in enumerate(({"database"}, others), 1):
            before = _records(platform)
            for part in stopped:
                process = before[part].process
                assert process is not None
                assert process.send(signal.SIGSTOP)
            _is_shown(platform, stopped)
            with ThreadPoolExecutor(1) as pool:
                delivery = pool.submit(platform.deliver, issue("acme/shop", number), f"delivery-{number}")
                for part in stopped:
                    _returns(platform, part, 1)
                assert delivery.result(RETURN_SECONDS).status_code in (200, 202)
            for part in stopped:
                assert platform.log.read_text().count(f"{part} hangs (stopped by a signal, asked 2 times): ") == 1
        _resolved(platform, 2)
        assert _status(platform)["state"] == "up"
        assert {one.name: one.restarts for one in _records(platform).values()} == dict.fromkeys(before, 1)
    finally:
        broker.stop(grace=0)


def _is_shown(platform: RunningPlatform, stopped: set[str]) -> None:
    found = _status(platform)
    assert found["state"] == "degraded"
    assert {one["part"] for one in found["parts"] if one["state"] == "not answering"} == stopped


def _returns(platform: RunningPlatform, part: str, restarts: int) -> None:
    def returned() -> bool:
        now = _records(platform)[part]
        return now.restarts == restarts and now.state == "up" and now.runs

    platform.wait_for(f"{part} returns", returned, RETURN_SECONDS)
    platform.wait_for("the gateway is ready", lambda: _ready(platform), RETURN_SECONDS)


def _ready(platform: RunningPlatform) -> bool:
    try:
        return httpx.get(f"{platform.state['gateway']}/readyz", timeout=15).status_code == 200
    except httpx.TransportError:
        return False


def test_a_killed_up_leaves_nothing_that_the_next_one_stumbles_over(start_platform: Start, shop: Path) -> None:
    ports = {f"PENSTOCK_{name}_PORT": str(free_port("127.0.0.1")) for name in ("GATEWAY", "DAGSTER")}
    platform = start_platform(PENSTOCK_MAX_CLAIMS="100", **ports)
    platform.cli("index", "add", "shop", str(shop), "--repository", "acme/shop")
    for number in (1, 2):
        assert platform.deliver(issue("acme/shop", number), f"delivery-{number}").status_code == 202
        platform.wait_for("a task is at work", lambda: "running" in platform.tasks().values(), 120)
        before, descendants = _records(platform), psutil.Process(platform.process.pid).children(recursive=True)
        platform.process.kill()
        platform.process.wait()
        if number == 2:
            _ends_by_itself(platform, before, descendants)
        platform.up_again()
        assert platform.state["gateway"].endswith(f":{ports['PENSTOCK_GATEWAY_PORT']}")
        now = _records(platform)
        assert now["database"].process == before["database"].process, "it is adopted"
        assert not [name for name, one in before.items() if name != "database" and one.runs]
    _watched_and_ended(platform)
    _resolved(platform, 2)
    database = _records(platform)["database"].process
    assert database is not None
    assert platform.cli("down").stderr.strip() == "stopped"
    assert platform.process.wait(60) == 0
    assert not database.runs(), "the last one to leave stops it"
    assert _status(platform)["state"] == "stopped"
    assert _checks(platform)["database"]["state"] == "stopped"


def _ends_by_itself(
    platform: RunningPlatform, before: dict[str, PartRecord], descendants: list[psutil.Process]
) -> None:
    """The kernel tells the parts that their parent has gone, and the parts end what is theirs."""
    parts = [one.process for name, one in before.items() if name != "database" and one.process]
    assert await_end(parts, 60) == []
    server = before["database"].process
    assert server is not None
    own = {server.pid, *(one.pid for one in psutil.Process(server.pid).children(recursive=True))}
    _, alive = psutil.wait_procs([one for one in descendants if one.pid not in own], timeout=60)
    assert alive == []
    found = _status(platform)
    assert (found["state"], [one["part"] for one in found["parts"]]) == ("left over", ["database"])
    checks = _checks(platform)
    assert checks["platform"]["state"] == "left over"
    assert checks["database"]["state"] == "ok", "it answers, whoever holds it"


def _watched_and_ended(platform: RunningPlatform) -> None:
    """A command that is asked to end lets the database go."""
    task = next(iter(platform.tasks()))
    watching = subprocess.Popen([PENSTOCK, "task", "watch", task], env=platform.environment, stdout=subprocess.DEVNULL)
    time.sleep(3)
    watching.terminate()
    assert watching.wait(60) in (0, 128 + signal.SIGTERM)
