"""Describes an embedding model from its Ollama server's data, so that nobody has to look up its width.

Not for its vectors: see `core.embedding.served`.
"""

import re
from collections.abc import Callable
from contextlib import closing
from typing import Any

from core.embedding.protocol import EmbedderUnavailable
from core.embedding.spec import Served
from core.http import Service, ServiceUnavailable
from core.ollama import OllamaServer, full_name

_MOST_TOKENS = 1 << 16


def description_of(
    model: str, url: str, key_variable: str | None, step: Callable[[str], None]
) -> dict[str, Any] | None:
    """The description of an embedding model as values of `Served`; None for a generative model.

    If the server lacks the model, it is pulled; `step` receives the progress as text. Raises `EmbedderUnavailable`.
    """
    with closing(Service(url, key_variable=key_variable, remedy="is Ollama running there?")) as service:
        server = OllamaServer(service)
        try:
            if full_name(model) not in server.models():
                step(f"{url} has no model {full_name(model)}: pulling it")
                server.pull(model, _tenths(model, step))
            found = server.describe(model)
        except ServiceUnavailable as error:
            raise EmbedderUnavailable(str(error)) from None
    if not found.embeds:
        return None
    values: dict[str, Any] = {"name": _name(model), "provider": "ollama", "url": url, "model": model}
    if found.dimensions is not None:
        values["dimensions"] = found.dimensions
    if found.context_tokens is not None:
        values["max_tokens"] = min(found.context_tokens, _MOST_TOKENS)
    return values


def _tenths(model: str, step: Callable[[str], None]) -> Callable[[int, int], None]:
    """Reports each downloaded tenth of a file."""
    last = -1

    def progress(done: int, total: int) -> None:
        nonlocal last
        tenth = 10 * done // total if total else -1
        if tenth > last:
            step(f"pulling {model}: {done >> 20} of {total >> 20} MiB")
        last = tenth

    return progress


def memory_of(spec: Served) -> str | None:
    """The memory that the model takes on its server, as text; None if the server does not report it within 3 s."""
    if spec.provider != "ollama":
        return None
    with closing(spec.service()) as service:
        return OllamaServer(service).memory(spec.model)


def _name(model: str) -> str:
    """A name for the catalogue: `all-minilm:22m` is `all-minilm-22m`."""
    return re.sub(r"[^a-z0-9._-]+", "-", model.removesuffix(":latest").lower()).strip("-._")[:80]
