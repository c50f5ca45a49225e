"""What attempts came to and what they used: the running totals of `core.health.totals`, of all teams together."""

from collections import defaultdict
from collections.abc import Iterator

from core.health.measures.families import Family, Group, Kind, Sample, Source
from core.health.totals import RESULT_BUCKETS, Total

_TOTALS = "SELECT name, label, sum(value) FROM totals GROUP BY name, label ORDER BY name, sum(value) DESC, label"
_LATENCY = "penstock_event_to_result_seconds"


def _counter(name: str, text: str, label: str) -> Family:
    return Family(name, text, (label,), Kind.COUNTER)


_COUNTERS = {
    Total.ATTEMPTS: _counter(
        "penstock_attempts", "Attempts that ended, by outcome: a task's state, or asked.", "outcome"
    ),
    Total.RELAUNCHES: _counter(
        "penstock_attempt_relaunches",
        "Attempts that were given back to be launched again: for infrastructure, or not begun.",
        "reason",
    ),
    Total.MODEL_REQUESTS: _counter(
        "penstock_model_requests", "Answers of a chat model that attempts asked for.", "model"
    ),
    Total.MODEL_RETRIES: _counter("penstock_model_retries", "Requests to a chat model that were repeated.", "model"),
    Total.PROMPT_TOKENS: _counter("penstock_model_prompt_tokens", "Tokens of prompts to a chat model.", "model"),
    Total.COMPLETION_TOKENS: _counter(
        "penstock_model_completion_tokens", "Tokens of answers of a chat model.", "model"
    ),
    Total.MODEL_MONEY: _counter(
        "penstock_model_cost_money", "Cost of a chat model, in the currency of its prices.", "model"
    ),
    Total.MODEL_SECONDS: _counter(
        "penstock_model_seconds", "Time for which attempts waited for a chat model.", "model"
    ),
    Total.SANDBOX_SESSIONS: _counter("penstock_sandbox_sessions", "Sandbox sessions that attempts opened.", "backend"),
    Total.SANDBOX_COMMANDS: _counter(
        "penstock_sandbox_commands", "Commands that attempts ran in the sandbox.", "backend"
    ),
    Total.SANDBOX_KILLED: _counter(
        "penstock_sandbox_limit_kills", "Commands in the sandbox that a limit ended.", "limit"
    ),
    Total.SANDBOX_REFUSED: _counter(
        "penstock_sandbox_refusals",
        "Sandbox sessions that failed: unavailable, or the workspace was refused.",
        "reason",
    ),
}
_ALWAYS = {
    Total.ATTEMPTS: ("resolved", "unresolved", "failed", "cancelled", "asked"),
    Total.RELAUNCHES: ("infrastructure", "not begun"),
    Total.SANDBOX_REFUSED: ("unavailable", "workspace"),
}
"""Labels that are shown from the start, since a rate needs a first value to rise from."""


def _used(source: Source) -> Iterator[Sample]:
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for name, label, value in source.rows(_TOTALS):
        found[name][label] = value
    for total, family in _COUNTERS.items():
        values = dict.fromkeys(_ALWAYS.get(total, ()), 0.0) | found[total]
        for label, value in values.items():
            yield Sample(family.name, (label,), value)
    below = 0.0
    for bound in (*(f"{bound:g}" for bound in RESULT_BUCKETS), "+Inf"):
        below += found[Total.RESULTS].get(bound, 0.0)
        yield Sample(_LATENCY, (bound,), below, "_bucket")
    yield Sample(_LATENCY, (), found[Total.RESULT_SECONDS].get("", 0.0), "_sum")
    yield Sample(_LATENCY, (), below, "_count")


USED = Group(
    "used",
    (
        *_COUNTERS.values(),
        Family(
            _LATENCY,
            "Time from accepting an event until its task's first attempt ended with a result.",
            (),
            Kind.HISTOGRAM,
        ),
    ),
    _used,
)
