"""Where the code of a service comes from: the request brings it, a chat model writes it, or somebody is asked."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from assets.services.records import ServiceDraft
from core.settings import Settings
from core.work import TaskText
from objects.requests import HOW, WITHOUT_MODEL, BadRequest, ServiceRequest, read_request

if TYPE_CHECKING:
    from sandbox.protocol import Sandbox

TOLD_REASONS = 8


def draft(
    text: TaskText, identity: str, settings: Settings, sandbox: "Callable[[], Sandbox]", step: Callable[[str], None]
) -> ServiceDraft:
    """Raises `ChatUnavailable`, `SandboxUnavailable` and `objects.model.Unavailable`."""
    try:
        asked = read_request(text.title, text.body, identity)
    except BadRequest as error:
        return ServiceDraft(name="", wish="", question=str(error))
    if asked.source is not None:
        return ServiceDraft(
            name=asked.name,
            wish=asked.wish,
            source=asked.source,
            manifest=dict(asked.manifest),
            scenarios=asked.scenarios,
            origin="the request",
        )
    if settings.chat_model is None:
        question = f"{HOW.format(name=asked.name)}\n\n{WITHOUT_MODEL}"
        return ServiceDraft(name=asked.name, wish=asked.wish, question=question)
    return _written(asked, settings.chat_model, settings, sandbox(), step)


def _written(
    asked: ServiceRequest, model: str, settings: Settings, sandbox: "Sandbox", step: Callable[[str], None]
) -> ServiceDraft:
    from core.chat import open_chat
    from objects.custom.writing import write

    chat = open_chat(model, settings.models_folder)
    found = write(chat, sandbox, asked.name, asked.wish, asked.scenarios, step=step)
    origin = f"{model}, draft {found.rounds}, {found.usage.tokens} tokens"
    if found.passed:
        return ServiceDraft(
            name=asked.name,
            wish=asked.wish,
            source=found.source,
            manifest=found.manifest,
            scenarios=found.scenarios,
            origin=origin,
        )
    reasons = found.verdict.reasons if found.verdict else (found.problem,)
    listed = "\n".join(f"- {reason}" for reason in reasons[:TOLD_REASONS])
    question = (
        f"No draft passed ({origin}). What was wrong with the last one:\n\n{listed}\n\n"
        "Answer with what the service is to do in more detail, with scenarios, or with the code."
    )
    return ServiceDraft(name=asked.name, wish=asked.wish, origin=origin, question=question)
