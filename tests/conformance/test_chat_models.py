"""Every adapter of chat models keeps every promise, on a server that follows the published formats."""

from collections.abc import Sequence
from typing import Any

import pytest

from core.chat import Completion, Message, Tool, open_chat_spec
from core.chat.conformance import CHECKS, Check, ConformanceFailure, check_account, check_tool_call
from core.chat.openai import OpenAIWire
from core.chat.served import ServedChatModel

each = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))


@each
@pytest.mark.parametrize("tools", ["native", "worded"])
@pytest.mark.parametrize("provider", ["ollama", "openai"])
def test_models_behind_a_server(check: Check, provider: str, tools: str, chat_server: Any) -> None:
    check(lambda: open_chat_spec(chat_server.spec(provider, native_tools=tools == "native")))


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
    with pytest.raises(ConformanceFailure):
        check(lambda: broken(chat_server.spec(), OpenAIWire()))
