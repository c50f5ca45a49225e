"""Every adapter of chat models keeps every promise, on a server that follows the published formats, and on Ollama."""

from collections.abc import Sequence
from typing import Any

import pytest

from core.chat import ChatSpec, Completion, Message, Refused, Tool, open_chat_spec
from core.chat.conformance import (
    ADD,
    CHECKS,
    QUESTION,
    Check,
    check_account,
    check_identity,
    check_length,
    check_schema,
    check_tool_call,
)
from core.chat.openai import OpenAIWire
from core.chat.served import ServedChatModel
from core.conformance import ConformanceFailure

each = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))


@each
@pytest.mark.parametrize("tools", ["native", "worded"])
@pytest.mark.parametrize("provider", ["ollama", "openai"])
def test_models_behind_a_server(check: Check, provider: str, tools: str, chat_server: Any) -> None:
    check(lambda: open_chat_spec(chat_server.spec(provider, native_tools=tools == "native")))


@pytest.mark.services
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("provider", "checks"),
    [("ollama", (check_tool_call, check_length, check_identity)), ("openai", (check_schema, check_length))],
)
def test_a_small_model_through_a_real_ollama(
    provider: str, checks: tuple[Check, ...], ollama: Any, ollama_chat: str
) -> None:
    # On a processor alone it writes a few tokens a second: what needs a real server, and no more.
    for check in checks:
        check(lambda: open_chat_spec(served(ollama.url, provider, ollama_chat, native_tools=False)))


@pytest.mark.services
@pytest.mark.timeout(900)
@pytest.mark.parametrize("provider", ["ollama", "openai"])
def test_a_real_ollama_refuses_tools_to_a_model_without_them(provider: str, ollama: Any, ollama_chat: str) -> None:
    with pytest.raises(Refused, match="does not support tools"):
        open_chat_spec(served(ollama.url, provider, ollama_chat)).complete(QUESTION, [ADD])


def served(url: str, provider: str, model: str, **more: Any) -> ChatSpec:
    values = {"name": "small", "provider": provider, "url": url if provider == "ollama" else f"{url}/v1"}
    return ChatSpec.model_validate({**values, "model": model, "context_tokens": 2048, "timeout": 120, **more})


class Forgetful(ServedChatModel):
    """Says that it used nothing: a model that the checks must not let pass."""

    def _add(self, usage: Any) -> None:
        """Forgets."""


class Mute(ServedChatModel):
    """Never passes a tool on."""

    def complete(
        self, messages: Sequence[Message], tools: Sequence[Tool] = (), schema: Any = None, **bounds: Any
    ) -> Completion:
        return super().complete(messages, (), schema, **bounds)


@pytest.mark.parametrize(("broken", "check"), [(Forgetful, check_account), (Mute, check_tool_call)])
def test_a_broken_model_does_not_conform(broken: type[ServedChatModel], check: Check, chat_server: Any) -> None:
    spec = chat_server.spec()
    with pytest.raises(ConformanceFailure):
        check(lambda: broken(spec, OpenAIWire(spec, spec.service())))
