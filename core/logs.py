"""Logs as JSON: one object per line on stderr, with the trace and the task that a line belongs to.

The fields are those that Loki and its collectors take without rules: `timestamp` (RFC 3339), `level`, `event` (the
message), `logger`, `service`, and where they apply `trace_id`, `span_id`, `task` and `attempt`. Headers, bodies and
query strings of requests are never logged, since they hold signatures, tokens and users' text.
"""

import logging
import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from core import tracing

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from structlog.typing import Processor

LONGEST = 8000
"""Characters of one field."""


def log_fields(**fields: str) -> AbstractContextManager[None]:
    """Adds fields to every line that is logged in the block."""
    import structlog

    return structlog.contextvars.bound_contextvars(**fields)


def json_formatter(service: str, *more: "Processor") -> logging.Formatter:
    """Formats records of `logging` and of structlog; `more` change the fields of the former."""
    import structlog

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_shared(service), *more],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _cut,
            structlog.processors.JSONRenderer(default=str),
        ],
    )


def configure(level: str, service: str, *, json: bool = True) -> None:
    """Sets up this process's logs; text for people unless `json`."""
    handler = logging.StreamHandler(sys.stderr)
    if json:
        handler.setFormatter(json_formatter(service))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    if json:
        import structlog

        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                *_shared(service),
                structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
            ],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
            cache_logger_on_first_use=True,
        )


def _shared(service: str) -> "list[Processor]":
    import structlog

    def about(_: object, __: str, fields: "MutableMapping[str, Any]") -> "MutableMapping[str, Any]":
        fields["service"] = service
        if (context := tracing.current()) is not None:
            fields["trace_id"], fields["span_id"] = context.trace_id, context.span_id
        return fields

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        about,
    ]


def _cut(_: object, __: str, fields: "MutableMapping[str, Any]") -> "MutableMapping[str, Any]":
    for name, value in fields.items():
        if isinstance(value, str) and len(value) > LONGEST:
            fields[name] = f"{value[:LONGEST]}…"
    return fields
