"""Whether a tested subject is still present unchanged, and who is changing the defaults.

Not part of the room of evals, because it uses settings, engines and models.
"""

import getpass
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assets.evals.runs.results import RunRecord


def who() -> str:
    """The user and machine that make a change, for its record."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as containers have
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def gone_since(record: "RunRecord") -> list[str]:
    """The parts of a run's subject that have changed or disappeared since the run, as sentences. A model whose server
    does not answer counts as gone, since it cannot be checked."""
    from assets.executions.engines.hybrid.advice import PROMPTS
    from assets.executions.engines.model.options import chat_of
    from assets.executions.engines.model.prompts import UnknownPrompts, load_prompts
    from assets.executions.engines.model.tools import TOOLS_DIGEST
    from core.chat import ChatUnavailable, UnknownChatModel
    from core.embedding import EmbedderUnavailable, open_embedder
    from core.settings import load_settings

    settings, identity = load_settings(), record.identity
    gone = []
    if tested := identity.get("model") if identity.get("engine") in ("model", "hybrid") else None:
        try:
            present = chat_of(settings, tested.partition("@sha256:")[0]).identity
            if present != tested:
                gone.append(f"the chat model was {tested} and is {present}")
        except (ChatUnavailable, UnknownChatModel) as error:
            gone.append(str(error))
    if identity.get("tools", TOOLS_DIGEST) != TOOLS_DIGEST:
        gone.append("the tools of engine model have changed")
    prompts = {name.removeprefix("prompt:"): value for name, value in identity.items() if name.startswith("prompt:")}
    for version in sorted({name.split("/")[0] for name in prompts}):
        try:
            texts = PROMPTS.hashes if version == "hybrid" else load_prompts(version).hashes
        except UnknownPrompts as error:
            gone.append(str(error))
            continue
        gone += [
            f"prompt {name} has changed"
            for name in prompts
            if name.startswith(f"{version}/") and texts.get(name) != prompts[name]
        ]
    if embedding := identity.get("embedding_model"):
        try:
            here = open_embedder(embedding, settings.models_folder).identity
            if here != identity.get("embedding_digest", here):
                gone.append(f"the embedding model was {identity['embedding_digest']} and is {here}")
        except (EmbedderUnavailable, ValueError, OSError) as error:
            gone.append(str(error))
    return gone
