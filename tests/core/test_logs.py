"""JSON logs: one object a line, with trace, task and run, from structlog, `logging` and Dagster's runs alike."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dagster import job, op
from dagster._core.execution.context.compute import OpExecutionContext

from core import tracing
from core.logs import LONGEST, json_formatter, log_fields
from core.settings import Settings
from dagster_project.console_log import use_for_runs


@pytest.fixture
def logged() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The lines of the logger `penstock.test`."""
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    handler.setFormatter(json_formatter("penstock-test"))
    logger = logging.getLogger("penstock.test")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel("INFO")
    yield lambda: [json.loads(line) for line in output.getvalue().splitlines()]
    logger.handlers = []


def test_a_line_says_of_which_trace_and_task_it_is(
    logged: Callable[[], list[dict[str, Any]]], tmp_path: Any, receiver: Any
) -> None:
    tracing.use(Settings(home=tmp_path, traces_endpoint=receiver.endpoint), "penstock-test")
    try:
        with log_fields(task="t1", attempt="2"), tracing.span("stage") as current:
            logging.getLogger("penstock.test").warning("a %s\nof two lines", "text")
        logging.getLogger("penstock.test").info("later")
    finally:
        tracing.close()
        tracing.use(Settings(home=tmp_path), "penstock-test")
    inside, later = logged()
    assert current.context is not None
    assert inside["event"] == "a text\nof two lines" and inside["level"] == "warning"
    assert (inside["task"], inside["attempt"], inside["service"]) == ("t1", "2", "penstock-test")
    assert (inside["trace_id"], inside["span_id"]) == (current.context.trace_id, current.context.span_id)
    assert inside["logger"] == "penstock.test" and inside["timestamp"].endswith("Z")
    assert not {"task", "trace_id"} & set(later)


def test_a_line_is_bounded_and_an_error_is_part_of_it(logged: Callable[[], list[dict[str, Any]]]) -> None:
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        logging.getLogger("penstock.test").exception("x" * 100_000)
    [line] = logged()
    assert len(line["event"]) == LONGEST + 1
    assert "ZeroDivisionError" in line["exception"]


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_what_a_run_logs_is_json_only_if_that_is_set(
    log_format: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    monkeypatch.setenv("PENSTOCK_LOG_FORMAT", log_format)
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))

    @op
    def work(context: OpExecutionContext) -> None:
        with log_fields(task="t1"):
            context.log.info("done with it")

    @job
    def one() -> None:
        work()

    use_for_runs()
    use_for_runs()
    assert one.execute_in_process().success
    [line] = [line for line in capsys.readouterr().err.splitlines() if "done with it" in line]
    if log_format == "text":
        assert not line.startswith("{")
        return
    told = json.loads(line)
    assert (told["event"], told["task"], told["step_key"], told["job_name"]) == ("done with it", "t1", "work", "one")
    assert told["run_id"] and told["service"] == "penstock-run"


def test_nothing_of_opentelemetry_is_imported_without_a_collector() -> None:
    program = (
        "import sys, core.logs, gateway.app, sandbox.counted, assets.platform\n"
        "from core import tracing\n"
        "with tracing.span('x', {'a': 1}) as s:\n"
        "    s.set('b', 2); tracing.event('c', {}); tracing.flush(); tracing.begin('d').end()\n"
        "tracing.close()\n"
        "print(sorted(n for n in sys.modules if n.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.strip() == "[]"
