"""Describes an embedding model by what its Ollama server tells of it, so that nobody has to look up its width.

Not for its vectors: those are `core.embedding.served`'s.
"""

import re
from collections.abc import Callable
from typing import Any

from core.embedding.protocol import EmbedderUnavailable
from core.embedding.served import open_service
from core.embedding.spec import Served
from core.http import Service, ServiceUnavailable, bearer
from core.ollama import GLANCE, OllamaServer, full_name

_MOST_TOKENS = 1 << 16


def description_of(
    model: str, url: str, key_variable: str | None, step: Callable[[str], None]
) -> dict[str, Any] | None:
    """The description of an embedding model as values of `Served`; None for a model that writes.

    The model is pulled if its server lacks it, which `step` is told of. Raises `EmbedderUnavailable`.
    """
    service = Service(url, headers=bearer(url, key_variable), remedy="is Ollama running there?")
    server = OllamaServer(service)
    try:
        if full_name(model) not in server.models():
            step(f"{url} has no model {full_name(model)}: pulling it")
            server.pull(model, _tenths(model, step))
        told = server.describe(model)
    except ServiceUnavailable as error:
        raise EmbedderUnavailable(str(error)) from None
    finally:
        service.close()
    if not told.embeds:
        return None
    values: dict[str, Any] = {"name": _name(model), "provider": "ollama", "url": url, "model": model}
    if told.dimensions is not None:
        values["dimensions"] = told.dimensions
    if told.context_tokens is not None:
        values["max_tokens"] = min(told.context_tokens, _MOST_TOKENS)
    return values


def _tenths(model: str, step: Callable[[str], None]) -> Callable[[str, int, int], None]:
    """Tells of each tenth of a file that has come."""
    last = -1

    def progress(status: str, done: int, total: int) -> None:
        nonlocal last
        tenth = 10 * done // total if total else -1
        if tenth > last:
            step(f"pulling {model}: {done >> 20} of {total >> 20} MiB")
        last = tenth

    return progress


def memory_of(spec: Served) -> str | None:
    """What the model takes in its server's memory, in words; None where that is not known. Asks no longer than 3 s."""
    if spec.provider != "ollama":
        return None
    service = open_service(spec)
    try:
        return OllamaServer(service).memory(spec.model, GLANCE)
    except ServiceUnavailable:
        return None
    finally:
        service.close()


def _name(model: str) -> str:
    """A name for the catalogue: `all-minilm:22m` is `all-minilm-22m`."""
    return re.sub(r"[^a-z0-9._-]+", "-", model.removesuffix(":latest").lower()).strip("-._")[:80]
