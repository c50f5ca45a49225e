"""What the platform's defaults are to evals: the subject that stands for them, and whether what was tested is there.

Here, and not with the evals, because it joins settings, engines and models.
"""

import getpass
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assets.evals.results import RunRecord
    from core.settings import Settings


def default_subject(settings: "Settings") -> str:
    """The subject that runs as new tasks do, on sets of repair cases."""
    if settings.engine == "model" and settings.chat_model:
        return model_subject(settings.chat_model)
    return "search"


def model_subject(chat_model: str, prompts: str | None = None) -> str:
    """The engine `model` with a chat model, and with prompts other than those of the settings."""
    return f"model:model={chat_model}" + (f",prompts={prompts}" if prompts else "")


def who() -> str:
    """Whose change it is, for the record: user and machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as containers have
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def gone_since(record: "RunRecord") -> list[str]:
    """What of a run's subject is not here any more as it was tested. A server that does not answer says nothing of
    its model, and is told as gone."""
    from assets.executions.model.options import chat_of
    from assets.executions.model.prompts import UnknownPrompts, load_prompts
    from core.chat import ChatUnavailable, UnknownChatModel
    from core.embedding import EmbedderUnavailable, find_spec
    from core.settings import load_settings

    settings, identity = load_settings(), record.identity
    gone = []
    if tested := identity.get("model") if identity.get("engine") == "model" else None:
        try:
            present = chat_of(settings, tested.partition("@sha256:")[0]).identity
            if present != tested:
                gone.append(f"the chat model was {tested} and is {present}")
        except (ChatUnavailable, UnknownChatModel) as error:
            gone.append(str(error))
    prompts = {name.removeprefix("prompt:"): value for name, value in identity.items() if name.startswith("prompt:")}
    for version in sorted({name.split("/")[0] for name in prompts}):
        try:
            here = load_prompts(version).hashes
        except UnknownPrompts as error:
            gone.append(str(error))
            continue
        gone += [f"prompt {name} has changed" for name in prompts if here.get(name) != prompts[name]]
    if embedding := identity.get("embedding_model"):
        try:
            find_spec(embedding, settings.models_folder)
        except EmbedderUnavailable as error:
            gone.append(str(error))
    return gone
