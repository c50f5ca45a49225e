"""A trace context as events, tasks and runs carry it: W3C Trace Context, by the CloudEvents extension for distributed
tracing.

Sources: https://www.w3.org/TR/trace-context/ and
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/distributed-tracing.md.
"""

import re
from dataclasses import dataclass

_PARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]")
_STATE = re.compile(r"[\x20-\x7e]{1,512}")


def known_parent(value: object) -> str | None:
    """A `traceparent`, or None for anything else: a context that is not well-formed is ignored, not refused."""
    return value if isinstance(value, str) and _PARENT.fullmatch(value) else None


def known_state(value: object) -> str | None:
    return value if isinstance(value, str) and _STATE.fullmatch(value) else None


@dataclass(frozen=True)
class TraceContext:
    parent: str
    state: str | None = None

    @classmethod
    def read(cls, parent: object, state: object = None) -> "TraceContext | None":
        """None unless `parent` is a valid `traceparent`."""
        found = known_parent(parent)
        return None if found is None else cls(found, known_state(state))

    @property
    def trace_id(self) -> str:
        return self.parent[3:35]

    @property
    def span_id(self) -> str:
        return self.parent[36:52]
