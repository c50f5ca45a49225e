"""The two HTTP APIs that the proxy speaks: which paths they have, how a request is read, and how errors look.

OpenAI: https://platform.openai.com/docs/api-reference. Ollama: https://github.com/ollama/ollama/blob/main/docs/api.md.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

BYTES_PER_TOKEN = 3
"""A low estimate for code and English, for what no server has counted."""
USUAL_ANSWER = 512
"""Tokens that are reserved for an answer whose request names no limit."""
MOST_TASK = 200


class Dialect(StrEnum):
    OPENAI = "openai"
    OLLAMA = "ollama"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path that generates or embeds. `marker` is the field that each of its answers has."""

    path: str
    dialect: Dialect
    operation: str
    marker: str
    streams: bool | None
    """Whether it streams unless the request says otherwise; None if it never does."""

    @property
    def one_version(self) -> bool:
        return self.operation == "embed"


ENDPOINTS = {
    one.path: one
    for one in (
        Endpoint("/v1/chat/completions", Dialect.OPENAI, "chat", "choices", False),
        Endpoint("/v1/completions", Dialect.OPENAI, "generate", "choices", False),
        Endpoint("/v1/embeddings", Dialect.OPENAI, "embed", "data", None),
        Endpoint("/api/chat", Dialect.OLLAMA, "chat", "message", True),
        Endpoint("/api/generate", Dialect.OLLAMA, "generate", "response", True),
        Endpoint("/api/embed", Dialect.OLLAMA, "embed", "embeddings", None),
        Endpoint("/api/embeddings", Dialect.OLLAMA, "embed", "embedding", None),
        Endpoint("/api/show", Dialect.OLLAMA, "show", "details", None),
    )
}


class BadRequest(ValueError):
    """The request is wrong; the message names the field."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, read as far as the proxy has to."""

    endpoint: Endpoint
    body: dict[str, Any]
    model: str
    version: str | None
    stream: bool
    prompt_tokens: int
    """Estimated."""
    answer_tokens: int
    """The longest answer, or a usual one if the request does not say."""


def read_ask(endpoint: Endpoint, raw: bytes, models: Any) -> Ask:
    """`models` are the names that exist. Raises `BadRequest`; `KeyError` for a model that does not exist."""
    try:
        body = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {str(error)[:200]}") from None
    if not isinstance(body, dict):
        raise BadRequest("the body is not a JSON object")
    named = body.get("model", body.get("name") if endpoint.operation == "show" else None)
    if not isinstance(named, str) or not named:
        raise BadRequest("model: is missing: name one of those that /v1/models lists")
    stream = endpoint.streams
    if stream is not None and body.get("stream") is not None:
        stream = body["stream"]
        if not isinstance(stream, bool):
            raise BadRequest("stream: must be true or false")
    model, version = split_name(named, models)
    most = _answer_limit(endpoint, body)
    return Ask(endpoint, body, model, version, bool(stream), len(raw) // BYTES_PER_TOKEN + 1, most)


def split_name(named: str, models: Any) -> tuple[str, str | None]:
    """The model and version of MODEL, MODEL:latest, MODEL@VERSION or MODEL@VERSION:latest. Raises `KeyError`."""
    for name in (named, named.removesuffix(":latest")):
        if name in models:
            return name, None
        model, at, version = name.rpartition("@")
        if at and model in models:
            return model, version
    raise KeyError(named)


def _answer_limit(endpoint: Endpoint, body: dict[str, Any]) -> int:
    if endpoint.operation in ("embed", "show"):
        return 0
    if endpoint.dialect is Dialect.OLLAMA:
        options = body.get("options")
        given = [options.get("num_predict")] if isinstance(options, dict) else []
    else:
        given = [body.get("max_completion_tokens"), body.get("max_tokens")]
    for limit in given:
        if isinstance(limit, int) and not isinstance(limit, bool) and 0 < limit <= 1 << 31:
            return limit
    return USUAL_ANSWER


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def error_body(dialect: Dialect, status: int, code: str, message: str) -> bytes:
    """An error as clients of the dialect read it."""
    if dialect is Dialect.OLLAMA:
        return json.dumps({"error": message}).encode()
    kind = "invalid_request_error" if status < 500 and status not in (401, 403, 429) else "proxy_error"
    return json.dumps({"error": {"message": message, "type": kind, "code": code, "param": None}}).encode()


def error_event(dialect: Dialect, code: str, message: str) -> bytes:
    """An error inside a stream that has begun."""
    body = error_body(dialect, 502, code, message)
    return body + b"\n" if dialect is Dialect.OLLAMA else b"data: " + body + b"\n\n"


def dialect_of(path: str) -> Dialect:
    return Dialect.OLLAMA if path.startswith("/api/") else Dialect.OPENAI
