"""Chat models behind one protocol. `open_chat` opens one by name, `open_chat_spec` by description."""

from pathlib import Path

from core.chat.protocol import (
    BadAnswer,
    ChatModel,
    ChatUnavailable,
    Completion,
    FinishReason,
    Left,
    MalformedAnswer,
    Message,
    OverBudget,
    Refused,
    Role,
    Tool,
    ToolCall,
    UnknownChatModel,
    Usage,
)
from core.chat.spec import ChatSpec, described_chat_models, find_chat_spec

__all__ = [
    "BadAnswer",
    "ChatModel",
    "ChatSpec",
    "ChatUnavailable",
    "Completion",
    "FinishReason",
    "Left",
    "MalformedAnswer",
    "Message",
    "OverBudget",
    "Refused",
    "Role",
    "Tool",
    "ToolCall",
    "UnknownChatModel",
    "Usage",
    "described_chat_models",
    "find_chat_spec",
    "open_chat",
    "open_chat_spec",
]


def open_chat(name: str, folder: Path) -> ChatModel:
    """The model called `name`: described in `folder` (`Settings.models_folder`), or `ollama/NAME`. Connects at first
    use. Raises `UnknownChatModel`."""
    return open_chat_spec(find_chat_spec(name, folder))


def open_chat_spec(spec: ChatSpec, task: str | None = None) -> ChatModel:
    """The described model. Connects at first use. `task` is what it is used for, where the description lets it know."""
    from core.chat.ollama import OllamaWire
    from core.chat.openai import OpenAIWire
    from core.chat.served import ServedChatModel
    from core.chat.worded import WordedTools

    wire = OllamaWire if spec.provider == "ollama" else OpenAIWire
    served = ServedChatModel(spec, wire(spec, spec.service(task=task)))
    return served if spec.native_tools else WordedTools(served)
