"""Spans of OpenTelemetry, for the processes of the platform. Nothing of it is imported until the first span of a
process whose settings name a collector (`traces_endpoint`); without one, a span costs a function call.

A span tells ids, names and counts: never the text of a task or of a program, a secret, or the message of an error.
"""

import atexit
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from core.trace_context import TraceContext

if TYPE_CHECKING:
    from core.settings import Settings

ATTRIBUTE_CHARACTERS = 200
EXPORT_SECONDS = 5.0
"""Timeout of one request to the collector, with its retries."""
FLUSH_SECONDS = 2.0
"""How long a process that ends waits for its last spans to be taken."""
MOST_WAITING = 4096
"""Spans that wait for a collector that does not answer; further ones are dropped."""

Value = str | int | float | bool
Kind = Literal["internal", "server", "client", "producer", "consumer"]


@dataclass(frozen=True)
class _Wanted:
    endpoint: str
    ratio: float
    service: str


_wanted: _Wanted | None = None
_lock = threading.Lock()
_provider: Any = None
_pid = 0
_adopted: TraceContext | None = None
"""The span under which those of threads are that have none open: threads do not inherit it."""


def use(settings: "Settings", service: str) -> None:
    """Says where this process's spans go and what it is called; imports and connects nothing. Later calls count until
    the first span."""
    global _wanted  # noqa: PLW0603
    endpoint = settings.traces_endpoint
    _wanted = _Wanted(endpoint, settings.traces_ratio, service) if endpoint else None


def rename(service: str) -> None:
    """What this process is called, if it traces."""
    global _wanted  # noqa: PLW0603
    if _wanted is not None:
        _wanted = _Wanted(_wanted.endpoint, _wanted.ratio, service)


def is_on() -> bool:
    return _wanted is not None


class Span:
    """A span that tells nothing; a real one is a `_Recorded`."""

    context: TraceContext | None = None

    def set(self, name: str, value: Value | None) -> None: ...

    def link(self, context: TraceContext | None) -> None: ...

    def event(self, name: str, attributes: Mapping[str, Value]) -> None: ...

    def fail(self, why: str) -> None:
        """Marks the span as failed; `why` is a name, such as a class of errors."""

    def end(self) -> None:
        """Ends a span that `begin` has made; again, does nothing."""


_NOTHING = Span()


class _Recorded(Span):
    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.context = _context_of(inner)

    def set(self, name: str, value: Value | None) -> None:
        if value is not None:
            self._inner.set_attribute(name, value)

    def link(self, context: TraceContext | None) -> None:
        if context is not None:
            from opentelemetry.trace import get_current_span

            self._inner.add_link(get_current_span(_parent(context)).get_span_context())

    def event(self, name: str, attributes: Mapping[str, Value]) -> None:
        self._inner.add_event(name, dict(attributes))

    def fail(self, why: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        self._inner.set_status(Status(StatusCode.ERROR, why[:ATTRIBUTE_CHARACTERS]))

    def end(self) -> None:
        if self._inner.is_recording():
            self._inner.end()


@contextmanager
def span(
    name: str,
    attributes: Mapping[str, Value | None] | None = None,
    *,
    parent: TraceContext | None = None,
    links: Iterable[TraceContext | None] = (),
    kind: Kind = "internal",
) -> Iterator[Span]:
    """A span until the block ends: below `parent`, else below the one that is open here, else of a new trace. An error
    marks it with its class."""
    if _wanted is None:
        yield _NOTHING
        return
    from opentelemetry import context as contexts
    from opentelemetry import trace

    found = _tracer().start_span(
        name,
        context=_above(parent),
        kind=trace.SpanKind[kind.upper()],
        attributes={key: value for key, value in (attributes or {}).items() if value is not None},
        links=[trace.Link(trace.get_current_span(_parent(one)).get_span_context()) for one in links if one is not None],
    )
    recorded = _Recorded(found)
    token = contexts.attach(trace.set_span_in_context(found))
    try:
        yield recorded
    except BaseException as error:
        recorded.fail(type(error).__name__)
        raise
    finally:
        contexts.detach(token)
        found.end()


def begin(name: str, attributes: Mapping[str, Value | None] | None = None) -> Span:
    """A span below the one that is open here, which the caller must `end`; nothing that follows is below it."""
    if _wanted is None:
        return _NOTHING
    told = {key: value for key, value in (attributes or {}).items() if value is not None}
    return _Recorded(_tracer().start_span(name, context=_above(None), attributes=told))


@contextmanager
def adopting(context: TraceContext | None) -> Iterator[None]:
    """In the block, spans of this process's other threads are below `context`: for a process that does one thing."""
    global _adopted  # noqa: PLW0603
    before, _adopted = _adopted, context
    try:
        yield
    finally:
        _adopted = before


def current() -> TraceContext | None:
    """The context of the span that is open here."""
    if _wanted is None or _provider is None:
        return None
    from opentelemetry import trace

    return _context_of(trace.get_current_span())


def event(name: str, attributes: Mapping[str, Value]) -> None:
    """Notes a moment in the span that is open here."""
    if _wanted is not None and _provider is not None:
        from opentelemetry import trace

        trace.get_current_span().add_event(name, dict(attributes))


def preload() -> None:
    """Imports what spans need, for a process that will be forked. Starts no thread."""
    if _wanted is not None:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter
        import opentelemetry.sdk.trace.export  # noqa: F401


def flush(seconds: float = FLUSH_SECONDS) -> None:
    """Sends what this process has; gives up after `seconds`."""
    if _provider is not None and _pid == os.getpid():
        _provider.force_flush(int(seconds * 1000))


def close() -> None:
    """Ends tracing in this process: for one that ends without Python's own exit, and for tests."""
    global _provider  # noqa: PLW0603
    if _provider is not None and _pid == os.getpid():
        ended = threading.Thread(target=_provider.shutdown, daemon=True)
        try:
            ended.start()
        except RuntimeError:  # Python starts no thread any more at its own exit
            _provider.shutdown()
        else:
            ended.join(FLUSH_SECONDS)  # the provider itself would wait for its collector's whole timeout
    _provider = None


def _tracer() -> Any:
    """A process that was forked gets a provider of its own, since threads do not survive a fork."""
    global _provider, _pid
    if _provider is None or _pid != os.getpid():
        with _lock:
            if _provider is None or _pid != os.getpid():
                _provider, _pid = _new_provider(), os.getpid()
    return _provider.get_tracer("penstock")


def _new_provider() -> Any:
    from importlib.metadata import version

    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    assert _wanted is not None  # noqa: S101  spans are made only then
    atexit.register(close)
    provider = TracerProvider(
        shutdown_on_exit=False,
        sampler=ParentBased(TraceIdRatioBased(_wanted.ratio)),
        resource=Resource.create({"service.name": _wanted.service, "service.version": version("penstock")}),
        span_limits=SpanLimits(
            max_attributes=32, max_events=512, max_links=8, max_attribute_length=ATTRIBUTE_CHARACTERS,
        ),
    )  # fmt: skip
    exporter = OTLPSpanExporter(endpoint=_wanted.endpoint, timeout=EXPORT_SECONDS)
    provider.add_span_processor(
        BatchSpanProcessor(exporter, max_queue_size=MOST_WAITING, schedule_delay_millis=1000, max_export_batch_size=512)
    )
    return provider


def _above(parent: TraceContext | None) -> Any:
    """What a new span is below, as OpenTelemetry passes it; None for the span that is open here."""
    if parent is None and _adopted is not None:
        from opentelemetry.trace import get_current_span

        if not get_current_span().get_span_context().is_valid:
            parent = _adopted
    return None if parent is None else _parent(parent)


def _parent(context: TraceContext) -> Any:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {"traceparent": context.parent, **({"tracestate": context.state} if context.state else {})}
    return TraceContextTextMapPropagator().extract(carrier)


def _context_of(found: Any) -> TraceContext | None:
    given = found.get_span_context()
    if not given.is_valid:
        return None
    parent = f"00-{given.trace_id:032x}-{given.span_id:016x}-{int(given.trace_flags) & 1:02x}"
    return TraceContext(parent, given.trace_state.to_header() or None)
