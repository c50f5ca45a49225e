"""An OpenTelemetry collector in a thread: takes spans by OTLP over HTTP (protobuf), and keeps them."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.loopback_server import FaultyHandler, LoopbackServer


@dataclass(frozen=True)
class Received:
    """One span; `links` are trace and span ids, `parent` is empty for the first span of a trace."""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    links: tuple[tuple[str, str], ...]
    events: tuple[str, ...]
    failed: str
    attributes: dict[str, Any]


class OtlpReceiver(LoopbackServer):
    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.raw: list[bytes] = []
        self.lock = threading.Lock()
        super().__init__(_Handler)

    @property
    def endpoint(self) -> str:
        return f"{self.url}/v1/traces"

    def wait(self, enough: Callable[[list[Received]], bool], seconds: float = 30.0) -> list[Received]:
        """All spans so far, once they are enough."""
        until = time.monotonic() + seconds
        while not enough(self.spans):
            assert time.monotonic() < until, [one.name for one in self.spans]
            time.sleep(0.02)
        return list(self.spans)


class _Handler(FaultyHandler):
    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        fault = self.fault()
        if fault:
            self.misbehaved(fault)
            return
        with self.owner.lock:
            self.owner.raw.append(content)
            self.owner.spans += read(content)
        self.send(200, b"", {"Content-Type": "application/x-protobuf"})


def read(content: bytes) -> list[Received]:
    request = ExportTraceServiceRequest.FromString(content)
    found = []
    for resource in request.resource_spans:
        service = _values(resource.resource.attributes).get("service.name", "")
        found += [
            Received(
                *(str(service), one.name, one.trace_id.hex(), one.span_id.hex(), one.parent_span_id.hex()),
                links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in one.links),
                events=tuple(event.name for event in one.events),
                failed=one.status.message if one.status.code == 2 else "",
                attributes=_values(one.attributes),
            )
            for scope in resource.scope_spans
            for one in scope.spans
        ]
    return found


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
