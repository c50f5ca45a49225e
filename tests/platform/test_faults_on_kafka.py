"""The promise that an accepted event is neither lost nor published twice, on real Kafka, with real kills."""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from kafka import KafkaConsumer, TopicPartition

from .conftest import RunningPlatform, issue, make_repository

pytestmark = [pytest.mark.services, pytest.mark.timeout(1000)]

CLOSED = {"resolved", "unresolved", "failed", "cancelled"}


def _outcomes(bootstrap: str) -> list[dict[str, Any]]:
    """Every record on the topic of outcomes, read from the start."""
    topic = "penstock.outcomes"
    with KafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        places = [TopicPartition(topic, partition) for partition in consumer.partitions_for_topic(topic)]
        missing = sum(consumer.end_offsets(places).values())
        consumer.assign(places)
        consumer.seek_to_beginning()
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + 300
        while len(found) < missing and time.monotonic() < deadline:
            found += [json.loads(m.value) for messages in consumer.poll(1_000).values() for m in messages]
    return found


def _kill_a_worker(platform: RunningPlatform) -> None:
    """Kills a run worker in the middle of its work: after its attempt has begun to record actions."""
    working = "SELECT count(*) FROM attempts a JOIN trajectory USING (task_id, attempt) WHERE a.ended_at IS NULL"
    warm = psutil.Process(int(platform.state["processes"]["warm"]))
    platform.wait_for("a run works", lambda: platform.rows(working) > [(1,)] and bool(warm.children()), 120)
    for child in warm.children():
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)


def test_twenty_deliveries_with_five_repeats_have_fifteen_outcomes_whatever_is_killed(
    start_platform: Callable[..., RunningPlatform], kafka: Any, tmp_path: Path
) -> None:
    platform = start_platform(PENSTOCK_EVENT_LOG="kafka", PENSTOCK_KAFKA_BOOTSTRAP=kafka.bootstrap)
    repositories = [make_repository(tmp_path / "repositories" / f"shop{n}") for n in range(3)]
    for n, repository in enumerate(repositories):
        platform.cli("index", "add", f"shop{n}", str(repository), "--repository", f"acme/shop{n}")

    answers = []
    for n in range(15):
        payload = issue(f"acme/shop{n % 3}", n + 1)
        answers.append(platform.deliver(payload, f"delivery-{n}"))
        if n % 3 == 0:
            answers.append(platform.deliver(payload, f"delivery-{n}"))
        if n == 4:
            platform.kill("gateway")
        if n == 9:
            platform.kill("relay")
    assert len(answers) == 20
    codes = Counter(answer.status_code for answer in answers)
    # A kill between commit and answer makes the redelivery a repeat, so a 200 may stand for a 202.
    assert codes[202] in (14, 15), codes
    assert codes[202] + codes[200] == 20, codes

    _kill_a_worker(platform)
    platform.kill("daemon")
    platform.wait_for(
        "fifteen tasks are closed",
        lambda: len(platform.tasks()) == 15 and set(platform.tasks().values()) <= CLOSED,
        600,
    )
    assert Counter(platform.tasks().values()) == {"resolved": 15}, platform.log.read_text()
    platform.wait_for(
        "every publication went out",
        lambda: platform.rows("SELECT count(*) FROM publications WHERE state = 'published'") == [(15,)],
        60,
    )
    platform.wait_for("the relay caught up", lambda: len({e["id"] for e in _outcomes(kafka.bootstrap)}) == 15, 60)
    outcomes = _outcomes(kafka.bootstrap)
    assert len({e["data"]["task"] for e in outcomes}) == 15
    assert {e["data"]["state"] for e in outcomes} == {"resolved"}

    branches = [
        line
        for repository in repositories
        for line in subprocess.run(
            ["git", "-C", str(repository), "for-each-ref", "--format=%(refname)", "refs/heads/penstock/"],
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
        ).stdout.split()
    ]
    assert len(branches) == 15
    claims = platform.rows("SELECT max(claims) FROM attempts")
    assert claims[0][0] >= 2, "the killed run was taken up again"
