"""The trace context that events carry: valid ones survive every log, others are ignored, none adds a field."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import tracing
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import TASKS, Event
from core.settings import Settings
from core.trace_context import TraceContext

VALID = f"00-{'a1' * 16}-{'b2' * 8}-01"
_hex = st.text("0123456789abcdef", min_size=16, max_size=16)


@given(_hex, _hex, _hex, st.sampled_from(["00", "01"]))
def test_a_context_of_an_event_survives_its_json(one: str, two: str, span: str, flags: str) -> None:
    parent = f"00-{one}{two}-{span}-{flags}"
    event = Event(id="x:1", source="/x", type="t", subject="s", traceparent=parent, tracestate="a=1")
    again = Event.from_json(event.to_json())
    if set(one + two) == {"0"} or set(span) == {"0"}:
        assert again.trace is None
    else:
        assert again.trace == TraceContext(parent, "a=1")
        assert (again.trace.trace_id, again.trace.span_id) == (one + two, span)


@pytest.mark.parametrize(
    "given_", [None, "", 7, ["x"], "00-x", VALID.upper(), VALID + "\n", VALID[:-1], "ff" + VALID[2:], VALID + "-x"]
)
def test_a_context_that_is_not_well_formed_is_ignored_and_the_event_is_read(given_: Any) -> None:
    raw = {"id": "x:1", "source": "/x", "type": "t", "subject": "s", "traceparent": given_, "tracestate": "é" * 600}
    event = Event.from_json(json.dumps(raw))
    assert (event.traceparent, event.tracestate) == (None, None)
    assert not {"traceparent", "tracestate"} & json.loads(event.to_json()).keys()


def test_an_event_keeps_the_context_that_it_has() -> None:
    other = TraceContext(VALID.replace("a1", "c3"))
    event = Event(id="x:1", source="/x", type="t", subject="s", traceparent=VALID)
    assert event.traced(other) is event and event.traced(None) is event
    assert Event(id="x:1", source="/x", type="t", subject="s").traced(other).trace == other


def test_an_appended_event_belongs_to_the_trace_that_is_open_and_else_to_none(
    database: Database, receiver: Any, tmp_path: Any
) -> None:
    log = PostgresLog(database)
    log.append([(TASKS, Event(id="x:1", source="/x", type="t", subject="s"))])
    tracing.use(Settings(home=tmp_path, traces_endpoint=receiver.endpoint), "penstock-test")
    with tracing.span("outer") as outer:
        log.append([(TASKS, Event(id="x:2", source="/x", type="t", subject="s"))])
    tracing.use(Settings(home=tmp_path), "penstock-test")
    first, second = (record.event.trace for record in log.read(TASKS, {}).records)
    log.close()
    assert first is None and second is not None and outer.context is not None
    assert second.trace_id == outer.context.trace_id and second.span_id != outer.context.span_id


def test_the_message_of_an_error_and_long_values_are_not_told(receiver: Any, tmp_path: Any) -> None:
    tracing.use(Settings(home=tmp_path, traces_endpoint=receiver.endpoint), "penstock-test")
    with pytest.raises(ValueError, match="secret"), tracing.span("a", {"long": "x" * 5000}):
        raise ValueError("a secret")
    tracing.flush(30)
    tracing.use(Settings(home=tmp_path), "penstock-test")
    [span] = receiver.wait(lambda spans: len(spans) > 0)
    assert (span.failed, span.events, len(span.attributes["long"])) == ("ValueError", (), 200)
    assert b"a secret" not in b"".join(receiver.raw)


@pytest.mark.parametrize("fault", ["", "503"])
def test_a_process_that_ends_sends_its_spans_and_does_not_wait_for_a_collector_that_fails(
    receiver: Any, fault: str
) -> None:
    receiver.always = fault
    program = (
        "import sys\nfrom core import tracing\nfrom core.settings import Settings\n"
        "tracing.use(Settings(traces_endpoint=sys.argv[1]), 'penstock-test')\n"
        "with tracing.span('last'):\n    pass\n"
    )
    subprocess.run([sys.executable, "-c", program, receiver.endpoint], check=True, timeout=120, capture_output=True)
    assert [one.name for one in receiver.spans] == ([] if fault else ["last"])


@pytest.mark.parametrize("url", ["ftp://x/v1", "http://", "http://user:secret@x/v1/traces", "x"])
def test_a_collector_that_cannot_be_one_is_refused_with_the_settings(url: str) -> None:
    with pytest.raises(ValueError, match="must be an http or https URL"):
        Settings(traces_endpoint=url)
