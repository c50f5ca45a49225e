"""Where a model is served over HTTP: the part that descriptions of chat and embedding models share.

Not for how a model is used: each kind of model describes that.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, field_validator

from core.http import Breaker, Service

TASK_HEADER = "X-Penstock-Task"
"""Names the task that a request is for, to the proxy of model servers (`core.models`)."""


class ModelServer(BaseModel):
    """A model's name on its server, and how to reach the server."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    provider: Literal["ollama", "openai"]
    url: HttpUrl = Field(description="Root of an Ollama server, or address of an OpenAI-compatible one with its /v1.")
    model: str = Field(min_length=1, max_length=200, description="The model's name on its server.")
    revision: str | None = Field(default=None, max_length=100, description="The model's digest, if its server has one.")
    key_variable: str | None = Field(
        default=None, pattern=r"^[A-Z][A-Z0-9_]*$", description="Environment variable that holds the server's key."
    )
    retries: int = Field(default=4, ge=0, le=20, description="Retries of a request that may succeed later.")
    names_task: bool = Field(
        default=False, description="Whether requests name their task, for a server that is Penstock's own proxy."
    )

    @field_validator("url")
    @classmethod
    def _without_secrets(cls, value: HttpUrl) -> HttpUrl:
        if value.username or value.password or value.query:
            raise ValueError("the address must not contain a password or query: name a key_variable instead")
        return value

    def service(self, breaker: Breaker | None = None, task: str | None = None) -> Service:
        """The server, with its key. It connects at the first request. `task` is what requests are for."""
        base = str(self.url).rstrip("/")
        named = {TASK_HEADER: task} if task and self.names_task else {}
        return Service(
            base,
            headers=lambda: named,
            key_variable=self.key_variable,
            remedy="is the model server up?",
            breaker=breaker,
        )


def token_count(raw: Any) -> int | None:
    """A token count from a server's answer; None if it is not a count."""
    return raw if isinstance(raw, int) and not isinstance(raw, bool) and raw >= 0 else None
