"""The development broker's script: idempotent, careful about what it stops, clear about what is missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = "deploy/dev/kafka_broker.py"


@pytest.fixture
def script(kafka_script: Any) -> Any:
    return kafka_script


def test_without_java_the_error_says_what_to_install(
    script: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(script.KafkaMissing, match=r"not found: java, mvn\. Run as root: apt-get install .*jre.* maven"):
        script.install()
    assert script.main(["install"]) == 1


def test_a_second_start_finds_the_running_node(script: Any, kafka: Any) -> None:
    again = script.start_kafka(kafka.data_dir)
    assert (again.pid, again.bootstrap) == (kafka.pid, kafka.bootstrap)
    listed = subprocess.run(
        [sys.executable, SCRIPT, "status", "--data", str(kafka.data_dir)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout == f"kafka: {kafka.bootstrap}, process {kafka.pid}\n"


def test_a_stale_process_id_is_neither_reported_nor_killed(script: Any, tmp_path: Path) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        (tmp_path / "kafka.pid").write_text(f"{bystander.pid} 127.0.0.1:9092\n")
        assert script.running_kafka(tmp_path) is None
        script.KafkaServer("127.0.0.1:9092", bystander.pid, tmp_path).stop()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_status_without_a_node_fails(script: Any, tmp_path: Path) -> None:
    assert script.main(["status", "--data", str(tmp_path)]) == 1
    assert script.main(["stop", "--data", str(tmp_path)]) == 0


def test_a_node_that_cannot_start_shows_the_end_of_its_log(
    script: Any, kafka: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "java").write_text('#!/bin/sh\ncase "$*" in *StorageTool*) exit 0;; esac\necho out of luck; exit 3\n')
    (tools / "java").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(script.KafkaFailed, match=r"did not start on 127\.0\.0\.1(.|\n)*out of luck"):
        script.start_kafka(tmp_path / "data")
    assert script.running_kafka(tmp_path / "data") is None
